"""Exceptions to what is promised: granted with a reason, acting from an instant on, expiring by themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, exists, func, insert, or_, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.customers.tables import customers
from app.db import Database, Query, Row, Transaction, Values
from app.errors import Forbidden, Invalid, NotFound
from app.events import log
from app.release import NewerRelease
from app.segments.tables import segment_members, segments
from app.sla import job_queue
from app.sla.broad_exceptions import as_exception
from app.sla.core.policy import AppliesTo, Effect, Scope, SlaException
from app.sla.schemas.exceptions import ExceptionKind, ExceptionState, SlaExceptionIn
from app.sla.tables import sla_clocks
from app.sla.tables import sla_exceptions as exceptions
from app.tickets.changes import TicketChange, save
from app.tickets.queries import NOT_DONE
from app.tickets.rematching import grant_exceptions
from app.tickets.store import SYSTEM, LoadedTicket, lock_ticket
from app.tickets.tables import tickets
from app.web import absence
from app.web.paging import Listing, Order, is_any

_log = structlog.get_logger("ninety.exceptions")

_GIVEN = [
    "id",
    "kind",
    "automations",
    "scope",
    "ticket_id",
    "customer_id",
    "segment_id",
    "effect",
    "metrics",
    "seconds",
    "applies_to",
    "reason",
    "starts_at",
    "expires_at",
]
_NOW = func.clock_timestamp().label("now")
_by_id = exceptions.c.id == bindparam("key_id")
_INSERT = Query(
    insert(exceptions),
    [*_GIVEN, "granted_by_kind", "granted_by_id", "created_at", "next_at", "reached_clocks", "reached_tickets"],
)
_GET = Query(select(exceptions, _NOW).where(_by_id))
_REVOKE = Query(update(exceptions).where(_by_id), ["revoked_at", "next_at"])
_WAIT = Query(update(exceptions).where(_by_id), ["next_at"])
# Without a lock: the ticket's lock decides, and `next_at` is read again under it.
_DUE = Query(
    select(exceptions.c.id, exceptions.c.ticket_id, exceptions.c.kind)
    .where(exceptions.c.next_at <= func.clock_timestamp())
    .order_by(exceptions.c.next_at)
    .limit(100)
)
_LOCK = Query(select(exceptions, _NOW).where(_by_id).with_for_update())
_KNOWN = Query(
    select(
        _NOW,
        select(tickets.c.id)
        .where(tickets.c.id == bindparam("ticket_id", type_=Uuid))
        .scalar_subquery()
        .label("ticket_id"),
        select(customers.c.id)
        .where(customers.c.id == bindparam("customer_id"), customers.c.merged_into.is_(None))
        .scalar_subquery()
        .label("customer_id"),
        select(segments.c.id)
        .where(segments.c.id == bindparam("segment_id"), segments.c.archived_at.is_(None))
        .scalar_subquery()
        .label("segment_id"),
    )
)
SUBJECTS = ("ticket_id", "customer_id", "segment_id")
LISTING = Listing(
    "sla_exceptions",
    select(exceptions, _NOW),
    {
        **{name: is_any(exceptions.c[name]) for name in ("kind", "scope", *SUBJECTS)},
        **{
            lacking: clause
            for name in SUBJECTS
            for lacking, clause in absence.filters(
                name, exceptions.c[name].is_(None), is_any(exceptions.c[name])
            ).items()
        },
    },
    {"-created_at": Order((exceptions.c.created_at, exceptions.c.id), descending=True)},
)


async def get_exception(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no exception with this id")
    return row


_of = {name: bindparam(name, type_=Uuid) for name in ("ticket_id", "customer_id", "segment_id")}
_member = exists().where(
    segment_members.c.segment_id == _of["segment_id"],
    segment_members.c.customer_id == tickets.c.customer_id,
    segment_members.c.until.is_(None),
)
_metrics = bindparam("metrics", type_=ARRAY(Text))
_REACHED = Query(
    select(func.count().label("clocks"), func.count(sla_clocks.c.ticket_id.distinct()).label("tickets"))
    .select_from(sla_clocks.join(tickets, tickets.c.id == sla_clocks.c.ticket_id))
    .where(
        sla_clocks.c.ended_at.is_(None),
        or_(func.cardinality(_metrics) == 0, sla_clocks.c.metric == any_(_metrics)),
        or_(_of["ticket_id"].is_(None), sla_clocks.c.ticket_id == _of["ticket_id"]),
        or_(_of["customer_id"].is_(None), tickets.c.customer_id == _of["customer_id"]),
        or_(_of["segment_id"].is_(None), _member),
        # Of more than a ticket a job brings it to those that are open.
        or_(_of["ticket_id"].is_not(None), NOT_DONE),
    )
)


async def _reached(tx: Transaction, row: Values) -> dict[str, int]:
    """How many of the clocks that run now it reaches, or will when it begins."""
    if row["kind"] == ExceptionKind.automation or row["applies_to"] == AppliesTo.started:
        return {"tickets": 0, "clocks": 0}
    found = await tx.row(_REACHED, **{name: row[name] for name in (*_of, "metrics")})
    assert found is not None
    return dict(found)


async def preview(tx: Transaction, actor: Actor, body: SlaExceptionIn) -> dict[str, int]:
    """What granting it would reach at once. Nothing is stored."""
    _check_body(actor, body)
    now = await _check_known(tx, body)
    return await _reached(tx, _row(actor, body, now))


async def grant(tx: Transaction, actor: Actor, body: SlaExceptionIn) -> dict[str, Any]:
    """To one ticket: its running clocks take it at once, or when it begins; those that start while it lasts, too. To
    more than one: those that start take it, and the clocks that run, where it applies to them, by a job."""
    _check_body(actor, body)
    if body.scope is not Scope.ticket or body.kind is ExceptionKind.automation:
        return await _grant_widely(tx, actor, body)
    assert body.ticket_id is not None
    locked = await _lock(tx, body.ticket_id)
    row = await _write(tx, actor, body, locked.now)
    assert body.effect is not None
    exception = as_exception(row)
    granted = (*locked.state.exceptions, exception) if exception.begun(locked.now) else None
    await _set(tx, locked, log.actor_ref(actor), "granted", exception.id, granted, {"after": _event_data(row)})
    return to_response({**row, "revoked_at": None, "now": locked.now})


async def _write(tx: Transaction, actor: Actor, body: SlaExceptionIn, now: datetime) -> dict[str, Any]:
    row = _row(actor, body, now)
    row |= {f"reached_{name}": count for name, count in (await _reached(tx, row)).items()}
    tx.write(_INSERT, **row)
    return row


def _row(actor: Actor, body: SlaExceptionIn, now: datetime) -> dict[str, Any]:
    starts_at = body.starts_at or now
    _check(body, starts_at, now)
    # Frozen time is known beforehand; everything else begins when it begins.
    begun = body.effect is Effect.freeze or starts_at <= now
    who = log.actor_ref(actor)
    usual = AppliesTo.running if body.scope is Scope.ticket else AppliesTo.started
    return {
        "id": uuid7(), "kind": body.kind, "automations": sorted(body.automations), "scope": body.scope,
        "ticket_id": body.ticket_id, "customer_id": body.customer_id,
        "segment_id": body.segment_id, "effect": body.effect, "metrics": sorted(body.metrics), "seconds": body.seconds,
        "applies_to": body.applies_to or usual, "reason": body.reason, "starts_at": starts_at,
        "expires_at": body.expires_at, "granted_by_kind": who.kind,
        "granted_by_id": who.id, "created_at": now, "next_at": body.expires_at if begun else starts_at,
    }  # fmt: skip


def _event_data(row: Mapping[str, Any]) -> dict[str, Any]:
    scope = {} if row["scope"] is Scope.ticket else {name: row[name] for name in ("scope", "customer_id", "segment_id")}
    if row["kind"] is ExceptionKind.automation:
        scope = {**scope, "kind": row["kind"], "automations": row["automations"]}
    told = ("effect", "metrics", "seconds", "applies_to", "reason", "starts_at", "expires_at")
    return {**scope, **{name: row[name] for name in told}}


async def _grant_widely(tx: Transaction, actor: Actor, body: SlaExceptionIn) -> dict[str, Any]:
    """Also what keeps automations away, of one ticket, too: no clock is touched."""
    now = await _check_known(tx, body)
    row = await _write(tx, actor, body, now)
    _record_event(tx, log.actor_ref(actor), "granted", row, now, {"after": _event_data(row)})
    _let_act(tx, row, now, begun=row["next_at"] != row["starts_at"])
    return to_response({**row, "revoked_at": None, "now": now})


async def _check_known(tx: Transaction, body: SlaExceptionIn) -> datetime:
    """Raises Invalid where the scope names what is not there; now."""
    ids = {name: getattr(body, name) for name in _ITS_ID.values()}
    seen = await tx.row(_KNOWN, **ids)
    assert seen is not None
    for name in ids:
        if getattr(body, name) and not seen[name]:
            raise Invalid.at(f"/{name}", "unknown", "there is none with this id, or not any more")
    now: datetime = seen["now"]
    return now


def _let_act(tx: Transaction, row: Values, now: datetime, *, begun: bool = True) -> None:
    """New tickets see it from now on; a job brings it to those that are open. Automations ask when they act."""
    if row["kind"] == ExceptionKind.automation:
        return
    if row["scope"] in (Scope.segment, Scope.everything):
        job_queue.count_up(tx)
    if begun:
        job_queue.queue(tx, job_queue.Kind.exception_changed, row["id"], now)


async def revoke(tx: Transaction, actor: Actor, id: UUID) -> None:
    """Running clocks are judged without it again. What has ended keeps it."""
    _check_granting(actor)
    row = await get_exception(tx, id)
    if row["scope"] != Scope.ticket or row["kind"] == ExceptionKind.automation:
        return await _revoke_widely(tx, actor, id)
    locked = await _lock(tx, row["ticket_id"])
    row = await get_exception(tx, id)
    if row["revoked_at"] is not None:
        return None
    tx.write(_REVOKE, key_id=id, revoked_at=locked.now, next_at=None)
    rest = tuple(each for each in locked.state.exceptions if each.id != id)
    return await _set(
        tx, locked, log.actor_ref(actor), "revoked", id, rest if rest != locked.state.exceptions else None, {}
    )


async def _revoke_widely(tx: Transaction, actor: Actor, id: UUID) -> None:
    row = await tx.locked_row(_LOCK, key_id=id)
    assert row is not None
    if row["revoked_at"] is None:
        now = row["now"]
        tx.write(_REVOKE, key_id=id, revoked_at=now, next_at=None)
        _record_event(tx, log.actor_ref(actor), "revoked", row, now, {})
        _let_act(tx, row, now)


async def run_once(db: Database) -> bool:
    """Let begin and expire what is due; whether there may be more."""
    async with db.transaction() as tx:
        due = [(row["id"], row["ticket_id"] and row["kind"] == ExceptionKind.sla) for row in await tx.rows(_DUE)]
    turned = 0
    for id_, of_clocks in due:
        turn_one = _expire if of_clocks else _turn_widely
        try:
            await db.run(lambda tx, id_=id_, turn_one=turn_one: turn_one(tx, id_))  # type: ignore[misc]
        except NewerRelease as newer:
            _log.warning("exception_passed_over", exception_id=str(id_), reason=newer.detail)
        else:
            turned += 1
    return turned > 0


async def _expire(tx: Transaction, id: UUID) -> None:
    locked = await _lock(tx, (await get_exception(tx, id))["ticket_id"])
    row = await get_exception(tx, id)
    if _expired(tx, row, ticket_id=locked.id):
        return
    tx.write(_WAIT, key_id=id, next_at=row["expires_at"])
    await _set(tx, locked, log.SYSTEM, "started", id, (*locked.state.exceptions, as_exception(row)), {})


async def _turn_widely(tx: Transaction, id: UUID) -> None:
    row = await tx.locked_row(_LOCK, key_id=id)
    assert row is not None
    if _expired(tx, row, ticket_id=row["ticket_id"]):
        return
    tx.write(_WAIT, key_id=id, next_at=row["expires_at"])
    _record_event(tx, log.SYSTEM, "started", row, row["now"], {})
    _let_act(tx, row, row["now"])


def _record_event(
    tx: Transaction, who: log.ActorRef, verb: str, row: Values, now: datetime, data: Mapping[str, Any]
) -> None:
    """That no clock of its ticket, if it is one ticket's, changes is what `applied` says."""
    ticket_id = row["ticket_id"]
    data = {**data, "applied": None} if ticket_id else data
    log.record(tx, who, f"sla_exception.{verb}", row["id"], now, data, ticket_id=ticket_id, internal=True)


def _expired(tx: Transaction, row: Row, ticket_id: UUID | None) -> bool:
    """Whether there is nothing to begin: another worker was here, or it is over. What runs keeps it then; what starts
    does not get it. Nothing to recompute, but to be told."""
    id_, at = row["id"], row["expires_at"]
    if row["next_at"] is None or row["next_at"] > row["now"]:
        return True
    if at is None or at > row["now"]:
        return False
    tx.write(_WAIT, key_id=id_, next_at=None)
    log.record(tx, log.SYSTEM, "sla_exception.expired", id_, at, {}, ticket_id=ticket_id, internal=True)
    return True


def to_response(row: Values) -> dict[str, Any]:
    return {
        **row,
        "granted_by": log.actor_of(row, "granted_by"),
        "state": _state(row),
        "reached": {"tickets": row["reached_tickets"], "clocks": row["reached_clocks"]},
    }


def _state(row: Values) -> ExceptionState:
    now: datetime = row["now"]
    if row["revoked_at"] is not None:
        return ExceptionState.revoked
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return ExceptionState.expired
    return ExceptionState.waiting if row["starts_at"] > now else ExceptionState.in_force


def _check_body(actor: Actor, body: SlaExceptionIn) -> None:
    _check_granting(actor)
    _check_scope(body)
    _check_kind(body)


def _check_granting(actor: Actor) -> None:
    if actor.role is Role.agent or actor.is_customer:
        raise Forbidden("a lead grants exceptions")


_ITS_ID = {Scope.ticket: "ticket_id", Scope.customer: "customer_id", Scope.segment: "segment_id"}


def _check_scope(body: SlaExceptionIn) -> None:
    """Raises Invalid where the scope's id is missing, and where another one is there."""
    for scope, name in _ITS_ID.items():
        given = getattr(body, name) is not None
        if given and scope is not body.scope:
            raise Invalid.at(f"/{name}", "unexpected", f"the scope is {body.scope}")
        if not given and scope is body.scope:
            raise Invalid.at(f"/{name}", "required", f"the scope {scope} needs it")


def _check_kind(body: SlaExceptionIn) -> None:
    """Raises Invalid for what belongs to the other kind."""
    if body.kind is ExceptionKind.sla:
        if body.effect is None:
            raise Invalid.at("/effect", "required", "an exception to what is promised has an effect")
        given = "automations" if body.automations else None
    else:
        given = next((name for name in ("effect", "metrics", "seconds", "applies_to") if getattr(body, name)), None)
    if given:
        raise Invalid.at(f"/{given}", "unexpected", f"an exception of kind {body.kind} has none")


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


async def _lock(tx: Transaction, ticket_id: UUID) -> LoadedTicket:
    try:
        return await lock_ticket(tx, SYSTEM, ticket_id)
    except NotFound:
        raise Invalid.at("/ticket_id", "unknown", "there is no ticket with this id") from None


async def _set(
    tx: Transaction,
    locked: LoadedTicket,
    who: log.ActorRef,
    verb: str,
    id: UUID,
    granted: tuple[SlaException, ...] | None,
    data: Mapping[str, Any],
) -> None:
    """Tell of it and, where it changes what is `granted` to the ticket now, recompute its running clocks."""
    change = TicketChange(locked, who)
    if granted is not None:
        await grant_exceptions(tx, change, granted)
    applied = change.values.get("exceptions")
    change.record(f"sla_exception.{verb}", {**data, "applied": applied}, subject_id=id, internal=True)
    save(tx, change, touch=False)
