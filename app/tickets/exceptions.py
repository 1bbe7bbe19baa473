"""Exceptions to what is promised: granted with a reason, acting from an instant on, expiring by themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from uuid_utils.compat import uuid7

from app.auth.guard import Actor
from app.auth.roles import Role
from app.db import Database, Query, Row, Transaction, Values
from app.errors import Forbidden, Invalid, NotFound
from app.events import log
from app.sla.core.policy import Effect, SlaException
from app.sla.core.timeline import Excepted
from app.sla.core.words import Metric
from app.sla.schemas.exceptions import ExceptionState, SlaExceptionIn
from app.sla.tables import sla_exceptions as exceptions
from app.tickets.facts import exceptions_data
from app.tickets.store import SYSTEM, Locked, apply, lock_ticket, settle, update_ticket
from app.web.paging import Listing, Order, is_any

_GIVEN = ["id", "scope", "ticket_id", "effect", "metrics", "seconds", "reason", "starts_at", "expires_at"]
_NOW = func.clock_timestamp().label("now")
_by_id = exceptions.c.id == bindparam("key_id")
_INSERT = Query(insert(exceptions), [*_GIVEN, "granted_by_kind", "granted_by_id", "created_at", "next_at"])
_GET = Query(select(exceptions, _NOW).where(_by_id))
_REVOKE = Query(update(exceptions).where(_by_id), ["revoked_at", "next_at"])
_WAIT = Query(update(exceptions).where(_by_id), ["next_at"])
# Without a lock: the ticket's lock decides, and `next_at` is read again under it.
_DUE = Query(
    select(exceptions.c.id)
    .where(exceptions.c.next_at <= func.clock_timestamp())
    .order_by(exceptions.c.next_at)
    .limit(100)
)
LISTING = Listing(
    "sla_exceptions",
    select(exceptions, _NOW),
    {"ticket_id": is_any(exceptions.c.ticket_id)},
    {"-created_at": Order((exceptions.c.created_at, exceptions.c.id), descending=True)},
)


async def get_exception(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no exception with this id")
    return row


async def grant(tx: Transaction, actor: Actor, body: SlaExceptionIn) -> dict[str, Any]:
    """To one ticket: its running clocks take it at once, or when it begins; those that start while it lasts, too."""
    _check_granting(actor)
    locked = await _lock(tx, body.ticket_id)
    starts_at = body.starts_at or locked.now
    _check(body, starts_at, locked.now)
    exception = SlaException(uuid7(), body.effect, frozenset(body.metrics), starts_at, body.expires_at, body.seconds)
    # Frozen time is known beforehand; everything else begins when it begins.
    begins = exception.effect is Effect.freeze or starts_at <= locked.now
    who = log.by(actor)
    row: dict[str, Any] = {
        "id": exception.id, "scope": body.scope, "ticket_id": locked.id, "effect": body.effect,
        "metrics": sorted(body.metrics), "seconds": body.seconds, "reason": body.reason, "starts_at": starts_at,
        "expires_at": body.expires_at, "granted_by_kind": who.kind, "granted_by_id": who.id, "created_at": locked.now,
        "next_at": body.expires_at if begins else starts_at,
    }  # fmt: skip
    tx.write(_INSERT, **row)
    granted = (*locked.state.exceptions, exception) if begins else None
    after = {name: row[name] for name in ("effect", "metrics", "seconds", "reason")}
    after |= {"starts_at": starts_at, "expires_at": body.expires_at}
    await _set(tx, locked, who, "granted", exception.id, granted, {"after": after})
    return shown({**row, "revoked_at": None, "now": locked.now})


async def revoke(tx: Transaction, actor: Actor, id: UUID) -> None:
    """Running clocks are judged without it again. What has ended keeps it."""
    _check_granting(actor)
    locked = await _lock(tx, (await get_exception(tx, id))["ticket_id"])
    row = await get_exception(tx, id)
    if row["revoked_at"] is not None:
        return
    tx.write(_REVOKE, key_id=id, revoked_at=locked.now, next_at=None)
    rest = tuple(each for each in locked.state.exceptions if each.id != id)
    await _set(tx, locked, log.by(actor), "revoked", id, rest if rest != locked.state.exceptions else None, {})


async def turn(db: Database) -> bool:
    """Let begin and expire what is due; whether there may be more."""
    async with db.transaction() as tx:
        due = [row["id"] for row in await tx.rows(_DUE)]
    for id_ in due:
        await db.run(lambda tx, id_=id_: _turn(tx, id_))  # type: ignore[misc]
    return bool(due)


async def _turn(tx: Transaction, id: UUID) -> None:
    locked = await _lock(tx, (await get_exception(tx, id))["ticket_id"])
    row = await get_exception(tx, id)
    if row["next_at"] is None or row["next_at"] > row["now"]:
        return  # another worker was here
    if row["expires_at"] is not None and row["expires_at"] <= row["now"]:
        # What runs keeps it; what starts from now on does not get it. Nothing to recompute, but to be told.
        tx.write(_WAIT, key_id=id, next_at=None)
        log.record(
            tx, log.SYSTEM, "sla_exception.expired", id, row["expires_at"], {}, ticket_id=locked.id, internal=True
        )
        return
    tx.write(_WAIT, key_id=id, next_at=row["expires_at"])
    exception = SlaException(
        id, Effect(row["effect"]), frozenset(map(Metric, row["metrics"])), row["starts_at"], row["expires_at"],
        row["seconds"],
    )  # fmt: skip
    await _set(tx, locked, log.SYSTEM, "started", id, (*locked.state.exceptions, exception), {})


def shown(row: Values) -> dict[str, Any]:
    return {**row, "granted_by": {"kind": row["granted_by_kind"], "id": row["granted_by_id"]}, "state": _state(row)}


def _state(row: Values) -> ExceptionState:
    now: datetime = row["now"]
    if row["revoked_at"] is not None:
        return ExceptionState.revoked
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return ExceptionState.expired
    return ExceptionState.waiting if row["starts_at"] > now else ExceptionState.in_force


def _check_granting(actor: Actor) -> None:
    if actor.role is Role.agent or actor.is_customer:
        raise Forbidden("a lead grants exceptions")


def _check(body: SlaExceptionIn, starts_at: datetime, now: datetime) -> None:
    """Raises Invalid where the parts do not fit the effect or each other."""
    timed = body.effect in (Effect.extend, Effect.retarget)
    if timed != (body.seconds is not None):
        detail = "needs seconds" if timed else "takes no seconds"
        raise Invalid.at("/seconds", "required" if timed else "unexpected", f"{body.effect} {detail}")
    if body.effect is Effect.freeze and body.expires_at is None:
        raise Invalid.at("/expires_at", "required", "freeze needs the instant at which time runs on")
    if body.expires_at is not None and body.expires_at <= max(starts_at, now):
        raise Invalid.at("/expires_at", "too_early", "after starts_at, and not in the past")


async def _lock(tx: Transaction, ticket_id: UUID) -> Locked:
    try:
        return await lock_ticket(tx, SYSTEM, ticket_id)
    except NotFound:
        raise Invalid.at("/ticket_id", "unknown", "there is no ticket with this id") from None


async def _set(
    tx: Transaction,
    locked: Locked,
    who: log.By,
    verb: str,
    id: UUID,
    granted: tuple[SlaException, ...] | None,
    data: Mapping[str, Any],
) -> None:
    """Tell of it and, where it changes what is `granted` to the ticket now, recompute its running clocks."""
    applied = None if granted is None else exceptions_data(granted)
    if granted is not None:
        await settle(tx, locked)
    log.record(
        tx, who, f"sla_exception.{verb}", id, locked.now, {**data, "applied": applied},
        ticket_id=locked.id, internal=True,
    )  # fmt: skip
    if granted is not None:
        after = apply(tx, who, locked, [Excepted(locked.now, granted)])
        update_ticket(tx, locked, after, {"exceptions": applied})
