"""Letting a customer into a segment, or keeping them out, whatever its rule says: with a reason, by somebody, and if
they like until an instant. And whom a rule would hold, before it is anybody's."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, insert, literal_column, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.memberships.figures import FIGURES
from app.memberships.service import refresh_memberships
from app.segments import service as segments
from app.segments.bulk_decide import ALIVE, WITH_ORGANIZATION, holds
from app.segments.schemas import OverrideIn
from app.segments.tables import segment_overrides as overrides
from app.web.paging import Listing, Order, is_any

_SAMPLE = 10
_c, _v = customers.c, overrides.c
_NOW = func.clock_timestamp().label("now")
_LOCK_CUSTOMER = Query(
    select(_c.id, _c.merged_into, _c.erased_at, _NOW)
    .where(_c.id == bindparam("customer_id"))
    .with_for_update(key_share=True)
)
_pair = (_v.segment_id == bindparam("of_segment"), _v.customer_id == bindparam("of_customer"), _v.ended_at.is_(None))
_END_EXPIRED = Query(
    update(overrides).where(*_pair, _v.expires_at <= func.clock_timestamp()).values(ended_at=_v.expires_at)
)
_IN_FORCE = Query(select(_v.id).where(*_pair))
_INSERT = Query(
    insert(overrides),
    [
        "id", "segment_id", "customer_id", "effect", "reason", "made_by_kind", "made_by_id", "created_at", "expires_at",
    ],
)  # fmt: skip
_ONE = Query(select(overrides).where(_v.id == bindparam("key_id"), _v.segment_id == bindparam("of_segment")))
_END = Query(update(overrides).where(_v.id == bindparam("key_id")), ["ended_at"])
LISTING = Listing(
    "segment_overrides",
    select(overrides),
    {"segment_id": is_any(_v.segment_id), "customer_id": is_any(_v.customer_id)},
    {"-created_at": Order((_v.created_at, _v.id), descending=True)},
)


class Overridden(Conflict):
    """One override of a customer in a segment is in force at a time: take it back first."""

    code = "overridden"
    title = "There is an override already"


async def create_override(tx: Transaction, actor: Actor, segment_id: UUID, body: OverrideIn) -> dict[str, Any]:
    """It acts at once: the customer joins or leaves, and their open tickets are matched anew."""
    segment = await segments.SEGMENTS.get(tx, segment_id)
    if segment["archived_at"] is not None:
        raise segments.SegmentArchived("make a new one")
    now = await _locked(tx, body.customer_id)
    if body.expires_at is not None and body.expires_at <= now:
        raise Invalid.at("/expires_at", "too_early", "it expires in the future")
    pair = {"of_segment": segment_id, "of_customer": body.customer_id}
    await tx.locked_rows(_END_EXPIRED, **pair)
    if await tx.row(_IN_FORCE, **pair) is not None:
        raise Overridden("delete the one that is in force")
    who = log.actor_ref(actor)
    row: dict[str, Any] = {
        "id": uuid7(), "segment_id": segment_id, "customer_id": body.customer_id, "effect": body.effect,
        "reason": body.reason, "made_by_kind": who.kind, "made_by_id": who.id, "created_at": now,
        "expires_at": body.expires_at,
    }  # fmt: skip
    tx.write(_INSERT, **row)
    _record_event(tx, who, "created", row, now, "after")
    await tx.flush()
    await refresh_memberships(tx, who, body.customer_id, "override created")
    return to_response({**row, "ended_at": None})


async def delete_override(tx: Transaction, actor: Actor, segment_id: UUID, id: UUID) -> None:
    """The rule decides again. The override stays readable."""
    row = await get_override(tx, segment_id, id)
    now = await _locked(tx, row["customer_id"])
    row = await get_override(tx, segment_id, id)
    if row["ended_at"] is None:
        who = log.actor_ref(actor)
        tx.write(_END, key_id=id, ended_at=now)
        _record_event(tx, who, "deleted", row, now, "before")
        await tx.flush()
        await refresh_memberships(tx, who, row["customer_id"], "override deleted")


async def get_override(tx: Transaction, segment_id: UUID, id: UUID) -> Row:
    row = await tx.row(_ONE, key_id=id, of_segment=segment_id)
    if row is None:
        raise NotFound("there is no override with this id in the segment")
    return row


async def _locked(tx: Transaction, customer_id: UUID) -> datetime:
    row = await tx.locked_row(_LOCK_CUSTOMER, customer_id=customer_id)
    if row is None or row["merged_into"] or row["erased_at"]:
        raise Invalid.at("/customer_id", "unknown", "there is no such customer, or not any more")
    now: datetime = row["now"]
    return now


def _record_event(tx: Transaction, who: log.ActorRef, verb: str, row: Values, now: datetime, when: str) -> None:
    # About the customer: erasing them blanks the reason here, too.
    about = {name: row[name] for name in ("effect", "reason", "expires_at")}
    data = {"override_id": row["id"], "segment_id": row["segment_id"], when: about}
    log.record(tx, who, f"segment_override.{verb}", row["customer_id"], now, data, internal=True)


def to_response(row: Values) -> dict[str, Any]:
    return {**row, "made_by": log.actor_of(row, "made_by")}


async def preview(tx: Transaction, raw: object) -> dict[str, Any]:
    """One statement, and nothing is kept of it: no two previews are alike."""
    rule = await segments.rule_from(tx, raw)
    found = select(_c.id).select_from(WITH_ORGANIZATION).where(ALIVE, holds(rule, FIGURES)).cte("found")
    some = select(found.c.id).limit(literal_column(str(_SAMPLE)))
    row = await tx.row(
        Query(
            select(
                select(func.count()).select_from(found).scalar_subquery().label("count"),
                func.array(some.scalar_subquery(), type_=ARRAY(Uuid)).label("sample"),
            )
        )
    )
    assert row is not None
    return dict(row)
