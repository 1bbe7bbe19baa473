"""Promises to a customer: something by an instant. Its clock tells whether it was kept in time, like any other."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, insert, literal_column, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.db import Query, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.sla import clocks
from app.sla.core.clock import Clock, ClockState
from app.sla.core.engine import TicketClocks
from app.sla.core.enums import Metric, Status
from app.sla.core.timeline import Promised, PromiseOver
from app.sla.schemas.types import TEN_YEARS
from app.sla.tables import sla_clocks
from app.tickets.changes import TicketChange, save
from app.tickets.lifecycle import TicketClosed
from app.tickets.promise_schemas import PromiseIn, PromiseState
from app.tickets.store import LoadedTicket, lock_ticket
from app.tickets.tables import REMINDER, promises
from app.web.paging import Listing, Order, is_any


class PromiseIsOver(Conflict):
    """A promise that was kept or withdrawn stays as it is: make another one."""

    code = "promise_over"
    title = "The promise is over"


FARTHEST = timedelta(seconds=TEN_YEARS)
_NOW = func.clock_timestamp().label("now")
_INSERT = Query(
    insert(promises), ["id", "ticket_id", "cycle", "text", "due_at", "made_by_kind", "made_by_id", "created_at"]
)
_its_clock = and_(
    sla_clocks.c.ticket_id == promises.c.ticket_id,
    sla_clocks.c.metric == Metric.promise.value,
    sla_clocks.c.cycle == promises.c.cycle,
)
WITH_CLOCK = select(promises, _NOW, *(sla_clocks.c[name].label(f"clock_{name}") for name in clocks.LOADED)).join(
    sla_clocks, _its_clock
)
_ONE = Query(WITH_CLOCK.where(promises.c.id == bindparam("promise_id"), promises.c.ticket_id == bindparam("ticket_id")))
_END = Query(
    update(promises).where(promises.c.id == bindparam("key_id")), ["kept_at", "withdrawn_at", "withdrawn_reason"]
)
_REMINDER = Query(
    select(promises.c.id, promises.c.cycle).where(
        promises.c.ticket_id == bindparam("ticket_id"),
        promises.c.text == bindparam("reminder", REMINDER),
        promises.c.kept_at.is_(None),
        promises.c.withdrawn_at.is_(None),
    )
)
_AUTOMATIC = Query(
    select(promises.c.id, promises.c.cycle).where(
        promises.c.ticket_id == bindparam("ticket_id"),
        promises.c.made_by_kind == literal_column("'system'"),
        promises.c.kept_at.is_(None),
        promises.c.withdrawn_at.is_(None),
    )
)
LISTING = Listing(
    "promises",
    WITH_CLOCK,
    {"ticket_id": is_any(promises.c.ticket_id)},
    {"cycle": Order((promises.c.cycle,))},
)


async def promise(tx: Transaction, actor: Actor, ticket_id: UUID, body: PromiseIn) -> dict[str, Any]:
    """An instant of its own, or the seconds that the policy has for promises."""
    _check_promising(actor)
    locked = await lock_ticket(tx, actor, ticket_id)
    if locked.state.status is Status.closed:
        raise TicketClosed("open a new ticket")
    due_at = body.due_at or _usual(locked)
    if not locked.now < due_at <= locked.now + FARTHEST:
        raise Invalid.at("/due_at", "out_of_range", "a promise is about the future, ten years of it at most")
    made = [clock.cycle for clock in locked.state.clocks if clock.metric is Metric.promise]
    change = TicketChange(locked, log.actor_ref(actor))
    row = write(tx, change.who, locked.id, max(made, default=0) + 1, body.text, due_at, locked.now, change)
    change.add(Promised(locked.now, due_at))
    save(tx, change)
    row |= {"kept_at": None, "withdrawn_at": None, "withdrawn_reason": None}
    return _to_response(row, _clock_of(change.clocks(), row["cycle"]), locked.now)


def write(
    tx: Transaction,
    who: log.ActorRef,
    ticket_id: UUID,
    cycle: int,
    text: str,
    due_at: datetime,
    now: datetime,
    change: TicketChange | None = None,
) -> dict[str, Any]:
    """Queue a promise's row and tell of it, as part of the `change` if the ticket was there before; its clock is the
    caller's to start. The row."""
    row: dict[str, Any] = {
        "id": uuid7(), "ticket_id": ticket_id, "cycle": cycle, "text": text, "due_at": due_at,
        "made_by_kind": who.kind, "made_by_id": who.id, "created_at": now,
    }  # fmt: skip
    tx.write(_INSERT, **row)
    # The text stays out of the log, as a message's does.
    data = {"cycle": cycle, "due_at": due_at}
    if change:
        change.record("promise.made", data, subject_id=row["id"])
    else:
        log.record(tx, who, "promise.made", row["id"], now, data, ticket_id=ticket_id)
    return row


async def end(
    tx: Transaction, actor: Actor, ticket_id: UUID, promise_id: UUID, *, withdrawn_reason: str | None = None
) -> dict[str, Any]:
    """Kept, or withdrawn with a reason."""
    _check_promising(actor)
    locked = await lock_ticket(tx, actor, ticket_id)
    row = await tx.row(_ONE, promise_id=promise_id, ticket_id=ticket_id)
    if row is None:
        raise NotFound("there is no promise with this id on the ticket")
    if clocks.as_clock(row, {}, "clock_").ended_at:
        raise PromiseIsOver("it was kept or withdrawn, or its ticket merged")
    change = TicketChange(locked, log.actor_ref(actor))
    values = _end(tx, change, row, withdrawn_reason)
    save(tx, change)
    return _to_response({**row, **values}, _clock_of(change.clocks(), row["cycle"]), locked.now)


async def end_reminder(tx: Transaction, change: TicketChange) -> None:
    """The reminder that was promised when the ticket was opened is not needed any more."""
    row = await tx.row(_REMINDER, ticket_id=change.id)
    if row is not None:
        _end(tx, change, row, "The customer has confirmed.")


async def end_automatic(tx: Transaction, change: TicketChange) -> None:
    """A first answer that was promised by itself is kept by that answer, and withdrawn where nobody waits for it any
    more. Reads only where a promise runs."""
    if not any(clock.metric is Metric.promise and clock.ended_at is None for clock in change.loaded.state.clocks):
        return
    firsts = [clock for clock in change.clocks().clocks if clock.metric is Metric.first_response]
    first = max(firsts, key=lambda clock: clock.cycle, default=None)
    if first is None or first.ended_at is None:
        return
    for row in await tx.rows(_AUTOMATIC, ticket_id=change.id):
        _end(tx, change, row, None if first.answered else "The customer does not wait any more.")


def _end(tx: Transaction, change: TicketChange, row: Values, withdrawn_reason: str | None) -> dict[str, Any]:
    """It is kept, or withdrawn for a reason: what its row gets."""
    kept = withdrawn_reason is None
    values: dict[str, Any] = {
        "kept_at": change.now if kept else None,
        "withdrawn_at": None if kept else change.now,
        "withdrawn_reason": withdrawn_reason,
    }
    tx.write(_END, key_id=row["id"], **values)
    type_ = "promise.kept" if kept else "promise.withdrawn"
    change.record(type_, {"cycle": row["cycle"]}, subject_id=row["id"])
    change.add(PromiseOver(change.now, row["cycle"], kept, change.who.id))
    return values


def to_response(row: Values) -> dict[str, Any]:
    """A row with its clock. Promise clocks have no calendar."""
    return _to_response(row, clocks.as_clock(row, {}, "clock_"), row["now"])


# What the customer is told of a promise, by the state of its clock without any exception.
STATES = {
    ClockState.running: PromiseState.open,
    ClockState.paused: PromiseState.open,
    ClockState.met: PromiseState.kept,
    ClockState.stopped: PromiseState.kept,
    ClockState.breached: PromiseState.broken,
    ClockState.cancelled: PromiseState.withdrawn,
}


def _to_response(row: Values, clock: Clock, now: datetime) -> dict[str, Any]:
    """The clock judges: broken is what was not kept in time, and what was kept or withdrawn only after it. An exception
    changes our figures, not what the customer was promised."""
    made_by = log.actor_of(row, "made_by")
    return {**row, "made_by": made_by, "state": STATES[clock.unexcepted.state(now)]}


def _clock_of(state: TicketClocks, cycle: int) -> Clock:
    return next(clock for clock in state.clocks if (clock.metric, clock.cycle) == (Metric.promise, cycle))


def _check_promising(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("promises are made to a customer, not by one")


def _usual(locked: LoadedTicket) -> datetime:
    policy = locked.state.policy
    target = policy.target(Metric.promise, locked.state.priority) if policy else None
    if policy is None or target is None:
        raise Invalid.at("/due_at", "required", "the ticket's policy has no target for promises: say by when")
    need = timedelta(seconds=target.seconds)
    if target.business_hours and policy.calendar:
        return policy.calendar.after(locked.now, need)
    return locked.now + need
