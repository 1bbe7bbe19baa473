"""Promises to a customer: something by an instant. Its clock tells whether it was kept in time, like any other."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from uuid_utils.compat import uuid7

from app.auth.guard import Actor
from app.db import Query, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.sla.core.timeline import Promised, PromiseOver
from app.sla.core.words import Metric
from app.tickets.schemas import PromiseIn, PromiseState
from app.tickets.store import Locked, apply, lock_ticket, update_ticket
from app.tickets.tables import promises
from app.web.paging import Listing, Order, is_any


class PromiseIsOver(Conflict):
    """A promise that was kept or withdrawn stays as it is: make another one."""

    code = "promise_over"
    title = "The promise is over"


_NOW = func.clock_timestamp().label("now")
_INSERT = Query(
    insert(promises), ["id", "ticket_id", "cycle", "text", "due_at", "made_by_kind", "made_by_id", "created_at"]
)
_ONE = Query(
    select(promises, _NOW).where(
        promises.c.id == bindparam("promise_id"), promises.c.ticket_id == bindparam("ticket_id")
    )
)
_END = Query(
    update(promises).where(promises.c.id == bindparam("key_id")), ["kept_at", "withdrawn_at", "withdrawn_reason"]
)
LISTING = Listing(
    "promises",
    select(promises, _NOW),
    {"ticket_id": is_any(promises.c.ticket_id)},
    {"cycle": Order((promises.c.cycle,))},
)


async def promise(tx: Transaction, actor: Actor, ticket_id: UUID, body: PromiseIn) -> dict[str, Any]:
    """An instant of its own, or the seconds that the policy has for promises."""
    _check_promising(actor)
    locked = await lock_ticket(tx, actor, ticket_id)
    due_at = body.due_at or _usual(locked)
    if due_at <= locked.now:
        raise Invalid.at("/due_at", "too_early", "a promise is about the future")
    made = [clock.cycle for clock in locked.state.clocks if clock.metric is Metric.promise]
    who = log.by(actor)
    row: dict[str, Any] = {
        "id": uuid7(), "ticket_id": locked.id, "cycle": max(made, default=0) + 1, "text": body.text, "due_at": due_at,
        "made_by_kind": who.kind, "made_by_id": who.id, "created_at": locked.now,
    }  # fmt: skip
    tx.write(_INSERT, **row)
    # The text stays out of the log, as a message's does.
    log.record(
        tx, who, "promise.made", row["id"], locked.now, {"cycle": row["cycle"], "due_at": due_at},
        ticket_id=locked.id,
    )  # fmt: skip
    apply(tx, who, locked, [Promised(locked.now, due_at)])
    update_ticket(tx, locked, {})
    return shown({**row, "kept_at": None, "withdrawn_at": None, "withdrawn_reason": None, "now": locked.now})


async def end(
    tx: Transaction, actor: Actor, ticket_id: UUID, promise_id: UUID, *, withdrawn_reason: str | None = None
) -> dict[str, Any]:
    """Kept, or withdrawn with a reason."""
    _check_promising(actor)
    locked = await lock_ticket(tx, actor, ticket_id)
    row = await tx.row(_ONE, promise_id=promise_id, ticket_id=ticket_id)
    if row is None:
        raise NotFound("there is no promise with this id on the ticket")
    if row["kept_at"] or row["withdrawn_at"]:
        raise PromiseIsOver("it was kept or withdrawn before")
    kept, who = withdrawn_reason is None, log.by(actor)
    values: dict[str, Any] = {
        "kept_at": locked.now if kept else None,
        "withdrawn_at": None if kept else locked.now,
        "withdrawn_reason": withdrawn_reason,
    }
    tx.write(_END, key_id=promise_id, **values)
    log.record(
        tx, who, "promise.kept" if kept else "promise.withdrawn", promise_id, locked.now, {"cycle": row["cycle"]},
        ticket_id=locked.id,
    )  # fmt: skip
    apply(tx, who, locked, [PromiseOver(locked.now, row["cycle"], kept)])
    update_ticket(tx, locked, {})
    return shown({**row, **values, "now": locked.now})


def shown(row: Values) -> dict[str, Any]:
    return {**row, "made_by": {"kind": row["made_by_kind"], "id": row["made_by_id"]}, "state": _state(row)}


def _state(row: Values) -> PromiseState:
    """Broken is what was not kept by its instant, and what was kept or withdrawn only after it."""
    until: datetime = row["kept_at"] or row["withdrawn_at"] or row["now"]
    if until > row["due_at"]:
        return PromiseState.broken
    if row["withdrawn_at"]:
        return PromiseState.withdrawn
    return PromiseState.kept if row["kept_at"] else PromiseState.open


def _check_promising(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("promises are made to a customer, not by one")


def _usual(locked: Locked) -> datetime:
    policy = locked.state.policy
    target = policy.target(Metric.promise, locked.state.priority) if policy else None
    if policy is None or target is None:
        raise Invalid.at("/due_at", "required", "the ticket's policy has no target for promises: say by when")
    need = timedelta(seconds=target.seconds)
    if target.business_hours and policy.calendar:
        return policy.calendar.after(locked.now, need)
    return locked.now + need
