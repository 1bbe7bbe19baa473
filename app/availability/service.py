"""Whether agents are there to answer: they say so, heartbeats keep it, and silence or their own end ends it. What they
said is theirs to say; a lead may say it for them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.agents.tables import agents
from app.auth.dependencies import Actor, check_lead
from app.availability.schemas import AvailabilityIn, AvailabilityState
from app.availability.tables import agent_availability
from app.db import Database, Query, Row, Transaction
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.web.paging import Listing, Order, is_any
from app.web.schemas import fold


class Because(StrEnum):
    """Why an availability is another one: it was said, nothing was heard, or its own end came."""

    said = "said"
    silence = "silence"
    until = "until"


class NotAvailable(Conflict):
    """The agent is offline: only who is online or away is kept so by a heartbeat, and only who is online gets tickets.
    Say the availability anew."""

    code = "not_available"
    title = "The agent is not available"


class AgentInactive(Conflict):
    """The agent has left: whoever is inactive is offline, and answers nothing."""

    code = "agent_inactive"
    title = "The agent is inactive"


_BATCH = 100
_v = agent_availability.c
_SAID = ["state", "capacity", "channels", "skills", "until"]
_TOLD = ["capacity", "channels", "skills", "until"]
_mine = _v.agent_id == bindparam("agent_id")
_now = func.statement_timestamp()

# Who is silent, or has left, is offline from that instant on, whoever notices it when.
AVAILABLE = agents.c.active & (_v.expires_at > _now)


def awake(t: Any) -> ColumnElement[bool]:
    """A ticket that is not snoozed; `t` are the columns of tickets."""
    return or_(t.snoozed_until.is_(None), t.snoozed_until <= func.statement_timestamp())


def takes_capacity(t: Any, agent_id: Any) -> tuple[ColumnElement[bool], ...]:
    """A ticket that takes of the capacity of its assignee, in the words of an index."""
    return (
        t.assignee_id == agent_id,
        t.assignee_id.is_not(None),
        t.status != literal_column("'resolved'"),
        t.status != literal_column("'closed'"),
        t.status.in_([literal_column("'new'"), literal_column("'open'")]),
        awake(t),
    )


_state = case((AVAILABLE, _v.state), else_=literal(AvailabilityState.offline.value, Text))
_LISTED = select(
    agents.c.id.label("agent_id"),
    _state.label("state"),
    func.coalesce(_v.capacity, 0).label("capacity"),
    _v.channels,
    func.coalesce(_v.skills, cast([], ARRAY(Text))).label("skills"),
    case((AVAILABLE, _v.until)).label("until"),
    case((~AVAILABLE, func.least(_v.expires_at, _now)), else_=_v.since).label("since"),
    _v.heard_at,
    case((AVAILABLE, _v.expires_at)).label("expires_at"),
    agents.c.created_at,
    agents.c.id,
).select_from(agents.outerjoin(agent_availability, _v.agent_id == agents.c.id))
LISTING = Listing(
    "availability", _LISTED.where(agents.c.active), {"state": is_any(_state)},
    {"created_at": Order((agents.c.created_at, agents.c.id))},
)  # fmt: skip
_GET = Query(_LISTED.where(agents.c.id == bindparam("agent_id")))
_BEGIN = Query(
    pg_insert(agent_availability)
    .from_select(
        ["agent_id", "since", "heard_at"], select(agents.c.id, _now, _now).where(agents.c.id == bindparam("agent_id"))
    )
    .on_conflict_do_nothing()
)
_LOCK = Query(
    select(agent_availability, agents.c.active, func.clock_timestamp().label("now"))
    .join(agents, agents.c.id == _v.agent_id)
    .where(agents.c.id == bindparam("agent_id"))
    .with_for_update(of=agent_availability, key_share=True)
)
_SAY = Query(
    update(agent_availability).where(_v.agent_id == bindparam("key_id")), [*_SAID, "since", "heard_at", "expires_at"]
)
_silent_at = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("seconds", type_=Double))
_HEAR = Query(
    update(agent_availability)
    .where(_mine, agents.c.id == _v.agent_id, AVAILABLE)
    .values(heard_at=func.clock_timestamp(), expires_at=func.least(_v.until, _silent_at))
    .returning(_v.agent_id)
)
_DUE = Query(
    select(agent_availability)
    .where(_v.expires_at <= _now)
    .order_by(_v.expires_at)
    .limit(bindparam("most", _BATCH))
    .with_for_update(skip_locked=True, key_share=True)
)


async def get(tx: Transaction, agent_id: UUID) -> dict[str, Any]:
    row = await tx.row(_GET, agent_id=agent_id)
    if row is None:
        raise _no_such_agent()
    return dict(row)


async def say(tx: Transaction, actor: Actor, agent_id: UUID, body: AvailabilityIn) -> dict[str, Any]:
    """The availability as it is from now on. What changes nothing is a heartbeat."""
    _check_own(actor, agent_id)
    await tx.locked_rows(_BEGIN, agent_id=agent_id)
    before = await tx.row(_LOCK, agent_id=agent_id)
    if before is None:
        raise _no_such_agent()
    now: datetime = before["now"]
    _check(body, before["active"], now)
    stood = {name: before[name] for name in _SAID}
    if before["expires_at"] and before["expires_at"] <= now:
        stood |= _end(tx, before)
    said = _as_said(body)
    if stood != said:
        _record(tx, log.actor_ref(actor), agent_id, now, Because.said, stood["state"], said)
    silent_at = now + timedelta(seconds=tx.settings.availability_silence_seconds)
    offline = body.state is AvailabilityState.offline
    tx.write(
        _SAY, key_id=agent_id, **said, heard_at=now,
        since=before["since"] if stood["state"] == said["state"] and "since" not in stood else now,
        expires_at=None if offline else min(silent_at, body.until or silent_at),
    )  # fmt: skip
    await tx.flush()
    return await get(tx, agent_id)


async def hear(tx: Transaction, actor: Actor, agent_id: UUID) -> dict[str, Any]:
    """Raises NotAvailable where it has ended: who comes back says so."""
    _check_own(actor, agent_id)
    heard = await tx.locked_row(_HEAR, agent_id=agent_id, seconds=tx.settings.availability_silence_seconds)
    row = await get(tx, agent_id)
    if heard is None:
        raise NotAvailable("they are offline: say that they are online, or away")
    return row


async def run_once(db: Database) -> bool:
    """End what has expired; whether there may be more."""
    return await db.run(_end_due)


async def _end_due(tx: Transaction) -> bool:
    due = await tx.locked_rows(_DUE)
    for row in due:
        ended = _end(tx, row)
        tx.write(_SAY, key_id=row["agent_id"], **ended, heard_at=row["heard_at"], expires_at=None)
    return len(due) == _BATCH


def _end(tx: Transaction, row: Row) -> dict[str, Any]:
    """Tell that it ended by itself, at its instant; what is left of it."""
    at: datetime = row["expires_at"]
    because = Because.until if row["until"] and row["until"] <= at else Because.silence
    ended = {**{name: row[name] for name in _SAID}, "state": AvailabilityState.offline.value, "until": None}
    _record(tx, log.SYSTEM, row["agent_id"], at, because, row["state"], ended)
    return {**ended, "since": at}


def _record(
    tx: Transaction,
    who: log.ActorRef,
    agent_id: UUID,
    at: datetime,
    because: Because,
    before: str,
    said: Mapping[str, Any],
) -> None:
    data = {"before": before, "after": said["state"], "because": because, **{name: said[name] for name in _TOLD}}
    log.record(tx, who, "agent.availability_changed", agent_id, at, data, internal=True)


def _as_said(body: AvailabilityIn) -> dict[str, Any]:
    """The columns. Who is offline has no end ahead."""
    channels = body.model_dump(mode="json")["channels"]
    return {
        "state": body.state.value,
        "capacity": body.capacity,
        "channels": channels,
        "skills": sorted({fold(skill) for skill in body.skills}),
        "until": None if body.state is AvailabilityState.offline else body.until,
    }


def _check(body: AvailabilityIn, active: bool, now: datetime) -> None:
    if body.until and body.until <= now:
        raise Invalid.at("/until", "out_of_range", "an instant in the future")
    if not active and body.state is not AvailabilityState.offline:
        raise AgentInactive("make the agent active first")


def _check_own(actor: Actor, agent_id: UUID) -> None:
    if actor.agent_id != agent_id:
        check_lead(actor, "an agent speaks for themselves; a lead for anybody")


def _no_such_agent() -> NotFound:
    return NotFound("there is no agent with this id")
