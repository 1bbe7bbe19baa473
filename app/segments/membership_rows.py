"""Who is a member, and was: the stays as rows, each change of them told to the log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, and_, bindparam, func, insert, select, update

from app.db import Query, Transaction, Values
from app.events import log
from app.segments.decide import Override, Reason, Segment
from app.segments.schemas import MembershipReason
from app.segments.tables import segment_members, segment_overrides, segments
from app.web.paging import Listing, Order, is_any

_m, _s, _v = segment_members.c, segments.c, segment_overrides.c
_stay = and_(
    segment_members.c.customer_id == bindparam("key_customer"),
    segment_members.c.segment_id == bindparam("key_segment"),
    segment_members.c.until.is_(None),
)
_JOIN = Query(insert(segment_members), ["customer_id", "segment_id", "since", "rule_version", "override_id"])
_LEAVE = Query(update(segment_members).where(_stay), ["until"])
_RESTATE = Query(update(segment_members).where(_stay), ["rule_version", "override_id"])

MEMBERS = Listing(
    "segment_members",
    select(segment_members).where(segment_members.c.until.is_(None)),
    {"segment_id": is_any(segment_members.c.segment_id)},
    {"customer_id": Order((segment_members.c.customer_id,))},
)
ALL = (
    select(segment_members, _s.key, _s.name, _s.position, _v.reason.label("override_reason"))
    .join(segments, _s.id == segment_members.c.segment_id)
    .outerjoin(segment_overrides, _v.id == segment_members.c.override_id)
)
MEMBERSHIPS = Listing(
    "memberships",
    ALL,
    {
        "customer_id": is_any(segment_members.c.customer_id),
        "now": lambda _name, _value: segment_members.c.until.is_(None),
    },
    {"position": Order((_s.position, _s.id, segment_members.c.since))},
)


def save_membership_changes(
    tx: Transaction,
    who: log.ActorRef,
    customer_id: UUID,
    segments_: Mapping[UUID, Segment],
    held: Mapping[UUID, Reason],
    wanted: Mapping[UUID, Reason],
    now: datetime,
    *,
    overrides: Mapping[UUID, Override] | None = None,
) -> bool:
    """Queue what differs, with its events; whether anything but a reason does. What is held of a segment that is
    archived is left to its job."""
    stay: dict[str, Any] = {"key_customer": customer_id}
    for id_, reason in wanted.items():
        if id_ not in held:
            tx.write(_JOIN, customer_id=customer_id, segment_id=id_, since=now, **reason._asdict())
            _record_event(tx, who, "segment.member_added", customer_id, segments_[id_], reason.override_id, now)
        elif held[id_].override_id != reason.override_id:
            tx.write(_RESTATE, **stay, key_segment=id_, **reason._asdict())
    left = [id_ for id_ in held if id_ not in wanted and id_ in segments_]
    for id_ in left:
        tx.write(_LEAVE, **stay, key_segment=id_, until=now)
        override = (overrides or {}).get(id_)
        _record_event(
            tx, who, "segment.member_removed", customer_id, segments_[id_], override.id if override else None, now
        )
    return bool(left) or any(id_ not in held for id_ in wanted)


def _record_event(
    tx: Transaction,
    who: log.ActorRef,
    type_: str,
    customer_id: UUID,
    segment: Segment,
    override_id: UUID | None,
    now: datetime,
) -> None:
    data = {
        "segment_id": segment.id, "key": segment.key, "rule_version": segment.rule_version, "override_id": override_id,
    }  # fmt: skip
    log.record(tx, who, type_, customer_id, now, data, internal=True)


def to_response(row: Values) -> dict[str, Any]:
    return {**row, "reason": MembershipReason.override if row["override_id"] else MembershipReason.rule}


def segments_of(customer_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """An array of the ids of the segments that somebody belongs to now."""
    ids = select(segment_members.c.segment_id).where(
        segment_members.c.customer_id == customer_id, segment_members.c.until.is_(None)
    )
    return func.array(ids.correlate_except(segment_members).scalar_subquery(), type_=ARRAY(Uuid))
