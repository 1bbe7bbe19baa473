"""Who is a member, and was: the stays as rows, each change of them told to the log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, insert, select, update

from app.db import Query, Transaction, Values
from app.events import log
from app.segments.membership import Override, Reason, Segment
from app.segments.segment_schemas import MembershipReason
from app.segments.tables import segment_members, segment_overrides, segments
from app.web.paging import Listing, Order, is_any

_m, _s, _v = segment_members.c, segments.c, segment_overrides.c
_stay = and_(_m.customer_id == bindparam("key_customer"), _m.segment_id == bindparam("key_segment"), _m.until.is_(None))
_JOIN = Query(insert(segment_members), ["customer_id", "segment_id", "since", "rule_version", "override_id"])
_LEAVE = Query(update(segment_members).where(_stay), ["until"])
_RESTATE = Query(update(segment_members).where(_stay), ["rule_version", "override_id"])

MEMBERS = Listing(
    "segment_members",
    select(segment_members).where(_m.until.is_(None)),
    {"segment_id": is_any(_m.segment_id)},
    {"customer_id": Order((_m.customer_id,))},
)
ALL = (
    select(segment_members, _s.key, _s.name, _s.position, _v.reason.label("override_reason"))
    .join(segments, _s.id == _m.segment_id)
    .outerjoin(segment_overrides, _v.id == _m.override_id)
)
MEMBERSHIPS = Listing(
    "memberships",
    ALL,
    {
        "customer_id": is_any(_m.customer_id),
        "now": lambda _name, _value: _m.until.is_(None),
    },
    {"position": Order((_s.position, _s.id, _m.since))},
)


def settle(
    tx: Transaction,
    who: log.By,
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
            _tell(tx, who, "segment.member_added", customer_id, segments_[id_], reason.override_id, now)
        elif held[id_].override_id != reason.override_id:
            tx.write(_RESTATE, **stay, key_segment=id_, **reason._asdict())
    left = [id_ for id_ in held if id_ not in wanted and id_ in segments_]
    for id_ in left:
        tx.write(_LEAVE, **stay, key_segment=id_, until=now)
        override = (overrides or {}).get(id_)
        _tell(tx, who, "segment.member_removed", customer_id, segments_[id_], override.id if override else None, now)
    return bool(left) or any(id_ not in held for id_ in wanted)


def _tell(
    tx: Transaction,
    who: log.By,
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


def shown(row: Values) -> dict[str, Any]:
    return {**row, "reason": MembershipReason.override if row["override_id"] else MembershipReason.rule}
