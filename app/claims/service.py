"""An agent who has a hand free is given the ticket that is to be answered next: `sla/core/next_answer.py` says which,
and the statements here find it in the same order. Whoever claims passes over what others are being given."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    all_,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from uuid_utils.compat import uuid7

from app.agents.tables import agents, team_members
from app.auth.dependencies import Actor, check_lead
from app.availability.schemas import AvailabilityState
from app.availability.service import AVAILABLE, NotAvailable, awake, takes_capacity
from app.availability.tables import agent_availability
from app.claims.schemas import ClaimIn
from app.claims.tables import claim_queue, ticket_claims
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.errors import Conflict, Invalid
from app.events import log
from app.goals.service import FILTERS
from app.goals.tables import service_goal_states, service_goals
from app.sla.core.enums import RESPONSES, Channel
from app.sla.core.next_answer import NEAR, WaitingTicket, Why, in_words, why
from app.sla.tables import sla_clocks
from app.tickets.changes import TicketChange, save
from app.tickets.store import SYSTEM, LoadedTicket, lock_ticket
from app.tickets.tables import tickets


class Outcome(StrEnum):
    answered = "answered"
    released = "released"
    expired = "expired"
    reassigned = "reassigned"


class NotClaimed(Conflict):
    """Only what was claimed, and is not answered yet, can be given back."""

    code = "not_claimed"
    title = "Nobody holds a claim on the ticket"


# What somebody gave back is not given to them again for so long.
PASSED_OVER = timedelta(minutes=10)
_SKILL = "skill:"
_t, _v, _k, _c = tickets.c, agent_availability.c, ticket_claims.c, sla_clocks.c
_agent_id = bindparam("agent_id", type_=Uuid)
_now = func.statement_timestamp()
AWAKE = awake(_t)
# In the words of their index.
CLAIMABLE = _t.assignee_id.is_(None) & _t.waiting_since.is_not(None)
_AGENT = Query(
    select(
        agents.c.id, agents.c.active, _v.state, _v.capacity, _v.channels, _v.skills, AVAILABLE.label("available"),
        select(func.array_agg(team_members.c.team_id))
        .where(team_members.c.agent_id == agents.c.id).scalar_subquery().label("team_ids"),
        func.clock_timestamp().label("now"),
    )
    .join(agent_availability, _v.agent_id == agents.c.id)
    .where(agents.c.id == _agent_id)
    .with_for_update(of=agent_availability, key_share=True)
)  # fmt: skip
_KNOWN = Query(select(agents.c.id).where(agents.c.id == _agent_id))
_claimed_since = select(func.count()).where(_k.claimed_at > claim_queue.c.seen_at).scalar_subquery()
_spare = select((claim_queue.c.spare_claims - _claimed_since).label("spare"))
_SPARE = Query(_spare)

_tag = func.unnest(_t.tags).column_valued("tag")
_lacking = exists().where(
    func.lower(func.left(_tag, len(_SKILL))) == literal_column(f"'{_SKILL}'"),
    func.lower(func.substr(_tag, len(_SKILL) + 1)) != all_(bindparam("skills", type_=ARRAY(Text))),
)
_their_team = or_(
    _t.team_id == any_(bindparam("team_ids", type_=ARRAY(Uuid))),
    _t.team_id.is_(None) & bindparam("also_of_none").is_(True),
)
_given_back = exists().where(
    _k.ticket_id == _t.id,
    _k.agent_id == _agent_id,
    _k.outcome == literal_column("'released'"),
    _k.ended_at > _now - PASSED_OVER,
)
_fits = (
    CLAIMABLE,
    AWAKE,
    _t.channel == any_(bindparam("channels", type_=ARRAY(Text))),
    _their_team,
    ~_lacking,
    ~_given_back,
    _t.id != all_(bindparam("taken", type_=ARRAY(Uuid))),
)


def _first(*which: ColumnElement[bool], by: ColumnElement[Any]) -> Select[Any]:
    return (
        select(_t.id, _t.waiting_since, _t.due_at)
        .where(*_fits, *which)
        .order_by(by, _t.id)
        .limit(literal_column("1"))
        .with_for_update(skip_locked=True, key_share=True)
    )


_can_be_met = _first(_t.due_at > bindparam("now", type_=DateTime(timezone=True)), by=_t.due_at)
_met = _can_be_met.cte("met")
_else_oldest = _first(~exists(select(_met.c.id)), by=_t.waiting_since).cte("else_oldest")
_OLDEST, _CAN_BE_MET = Query(_first(by=_t.waiting_since)), Query(_can_be_met)
_CAN_BE_MET_OR_OLDEST = Query(union_all(select(_met), select(_else_oldest)))


def _asked(name: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    wanted = bindparam(name, type_=column.type)
    return or_(wanted.is_(None), column == wanted)


_counted = (
    *(_asked(name, _t[name]) for name in ("priority", "channel", "team_id", "segment")),
    _asked("region", select(customers.c.region).where(customers.c.id == _t.customer_id).scalar_subquery()),
    exists().where(_c.ticket_id == _t.id, _c.metric == bindparam("metric"), _c.ended_at.is_(None)),
)
# Of those that a goal counts; what is late is all that is left by then.
_OF_GOAL = Query(_first(*_counted, by=_t.waiting_since))
_IS_COUNTED = Query(select(_t.id).where(_t.id == bindparam("ticket_id"), *_counted))
_near_goals = (
    select(service_goals.c.metric, service_goals.c.filter, service_goal_states.c.crosses_at)
    .join(service_goals, service_goals.c.id == service_goal_states.c.goal_id)
    .where(
        service_goal_states.c.crosses_at > _now,
        service_goal_states.c.crosses_at <= _now + NEAR,
        service_goals.c.metric.in_([literal_column(f"'{metric}'") for metric in sorted(RESPONSES)]),
    )
    .order_by(service_goal_states.c.crosses_at, service_goals.c.id)
    .limit(literal_column("10"))
)
_NEAR_GOALS = Query(_near_goals)
# What the agent holds by channel, and what the queue asks for. After the agent's lock, or it would not see what another
# claim of theirs has just given them.
_held = (
    select(_t.channel, func.count().label("held")).where(*takes_capacity(_t, _agent_id)).group_by(_t.channel).subquery()
)
_STANDING = Query(
    select(
        select(func.jsonb_object_agg(_held.c.channel, _held.c.held)).scalar_subquery().label("held"),
        _spare.scalar_subquery().label("spare"),
        exists(_near_goals).label("goals_are_near"),
    )
)
_KEEP = Query(
    insert(ticket_claims),
    ["id", "ticket_id", "agent_id", "claimed_at", "waiting_since", "answer_by", "why", "reason"],
)
_CURRENT = Query(
    select(ticket_claims)
    .where(_k.ticket_id == bindparam("ticket_id"), _k.ended_at.is_(None))
    .order_by(_k.claimed_at.desc(), _k.id.desc())
    .limit(literal_column("1"))
    .with_for_update()
)
_LATEST = Query(
    select(ticket_claims)
    .where(_k.ticket_id == bindparam("ticket_id"), _k.ended_at.is_(None))
    .order_by(_k.claimed_at.desc(), _k.id.desc())
    .limit(literal_column("1"))
)
END = Query(update(ticket_claims).where(_k.id == bindparam("key_id")), ["ended_at", "outcome"])


async def claim(tx: Transaction, actor: Actor, body: ClaimIn) -> dict[str, Any]:
    """Raises NotAvailable where the agent is not online."""
    agent = await _claiming_agent(tx, _for_whom(actor, body))
    if body.team_id and body.team_id not in (agent["team_ids"] or ()):
        check_lead(actor, "an agent claims of their own teams; a lead of any")
    standing = await tx.row(_STANDING, agent_id=agent["id"])
    assert standing is not None
    held: dict[str, int] = standing["held"] or {}
    items: list[dict[str, Any]] = []
    because = None
    while len(items) < body.count:
        channels = _channels_with_room(agent, held, body)
        if not channels:
            most = agent["capacity"]
            because = f"They hold {sum(held.values())} tickets, and take {most} at once, or fewer of a channel."
            break
        found = await _next(tx, agent, standing, body, channels, [item["ticket_id"] for item in items])
        if found is None:
            because = "Nobody who waits for an answer fits their channels, teams and skills."
            break
        given = await _give(tx, actor, agent["id"], *found)
        items.append(given)
        channel = given["ticket"]["channel"]
        held[channel] = held.get(channel, 0) + 1
    return {"items": items, "because": because}


async def _claiming_agent(tx: Transaction, agent_id: UUID) -> Row:
    """Locked, so that two claims at once do not both find room."""
    agent = await tx.locked_row(_AGENT, agent_id=agent_id)
    if agent is None and await tx.row(_KNOWN, agent_id=agent_id) is None:
        raise Invalid.at("/agent_id", "unknown", "there is no agent with this id")
    if agent is None or not agent["available"] or agent["state"] != AvailabilityState.online:
        raise NotAvailable("only who is online is given tickets: say so first, and keep it with heartbeats")
    return agent


def _for_whom(actor: Actor, body: ClaimIn) -> UUID:
    if body.agent_id and body.agent_id != actor.agent_id:
        check_lead(actor, "an agent claims for themselves; a lead for anybody")
    agent_id = body.agent_id or actor.agent_id
    if agent_id is None:
        raise Invalid.at("/agent_id", "required", "the caller stands for no agent: name the one who claims")
    return agent_id


def _channels_with_room(agent: Row, held: Mapping[str, int], body: ClaimIn) -> list[str]:
    if sum(held.values()) >= agent["capacity"]:
        return []
    most = {each["channel"]: each["capacity"] for each in agent["channels"] or ()}
    asked = set(body.channels or Channel)
    taken = [channel for channel in asked if agent["channels"] is None or channel in most]
    return sorted(channel for channel in taken if held.get(channel, 0) < most.get(channel, agent["capacity"]))


async def _next(
    tx: Transaction, agent: Row, standing: Row, body: ClaimIn, channels: list[str], taken: list[UUID]
) -> tuple[WaitingTicket, Why] | None:
    """The one that `place` puts first of those that fit and that nobody else is being given."""
    now, hold = agent["now"], _turn_of_oldest(standing, len(taken))
    fits = {
        "agent_id": agent["id"], "skills": agent["skills"], "channels": channels, "taken": taken,
        "team_ids": [body.team_id] if body.team_id else agent["team_ids"] or [], "also_of_none": body.team_id is None,
    }  # fmt: skip
    if hold:
        found = _waiting(await tx.locked_row(_OLDEST, **fits))
    elif not standing["goals_are_near"]:
        found = _waiting(await tx.locked_row(_CAN_BE_MET_OR_OLDEST, **fits, now=now))
    else:
        found = (
            _waiting(await tx.locked_row(_CAN_BE_MET, **fits, now=now))
            or await _of_near_goal(tx, fits)
            or _waiting(await tx.locked_row(_OLDEST, **fits))
        )
    return (found, why(found, now, oldest_first=hold)) if found else None


async def _of_near_goal(tx: Transaction, fits: Mapping[str, Any]) -> WaitingTicket | None:
    for goal in await tx.rows(_NEAR_GOALS):
        counts = {name: goal["filter"].get(name) for name in FILTERS}
        channels = [channel for channel in fits["channels"] if counts["channel"] in (None, channel)]
        asked = {**fits, **counts, "channels": channels, "metric": goal["metric"]}
        found = _waiting(await tx.locked_row(_OF_GOAL, **asked), goal["crosses_at"])
        if found:
            return found
    return None


def _waiting(row: Row | None, crosses_at: datetime | None = None) -> WaitingTicket | None:
    return WaitingTicket(row["id"], row["waiting_since"], row["due_at"], crosses_at) if row else None


async def oldest_first(tx: Transaction) -> bool:
    """Whether it is the turn of the oldest, by the queue as the worker saw it last and the claims since then."""
    row = await tx.row(_SPARE)
    return row is not None and _turn_of_oldest(row)


def _turn_of_oldest(standing: Row, given: int = 0) -> bool:
    """`given` are the claims of this transaction."""
    return standing["spare"] is not None and standing["spare"] <= given


async def as_waiting(tx: Transaction, ticket: Mapping[str, Any]) -> WaitingTicket | None:
    """The ticket as it stands in the queue; None where its customer waits for no answer, or it is somebody's."""
    if ticket["waiting_since"] is None or ticket["assignee_id"]:
        return None
    crosses_at = None
    for goal in await tx.rows(_NEAR_GOALS):
        counts = {name: goal["filter"].get(name) for name in FILTERS}
        if await tx.row(_IS_COUNTED, ticket_id=ticket["id"], metric=goal["metric"], **counts):
            crosses_at = goal["crosses_at"]
            break
    return WaitingTicket(ticket["id"], ticket["waiting_since"], ticket["due_at"], crosses_at)


async def _give(tx: Transaction, actor: Actor, agent_id: UUID, found: WaitingTicket, because: Why) -> dict[str, Any]:
    locked = await lock_ticket(tx, SYSTEM, found.id)
    change = TicketChange(locked, log.actor_ref(actor))
    claim: dict[str, Any] = {
        "ticket_id": locked.id, "agent_id": agent_id, "claimed_at": locked.now,
        "answer_by": locked.now + timedelta(seconds=tx.settings.claim_seconds),
        "why": because.value, "reason": in_words(found, because, locked.now),
    }  # fmt: skip
    change.update({"assignee_id": agent_id})
    told = {name: claim[name] for name in ("agent_id", "answer_by", "why", "reason")}
    change.record("ticket.claimed", told, internal=True)
    tx.write(_KEEP, id=uuid7(), waiting_since=found.since, **claim)
    return {**claim, "ticket": save(tx, change)}


async def release(tx: Transaction, actor: Actor, ticket_id: UUID) -> Mapping[str, Any]:
    """The ticket, nobody's again. Raises NotClaimed."""
    claim = await tx.locked_row(_CURRENT, ticket_id=ticket_id)
    locked = await lock_ticket(tx, actor, ticket_id)
    if claim is None or locked.ticket["assignee_id"] != claim["agent_id"]:
        raise NotClaimed("only a ticket that was claimed, and is still theirs, can be given back")
    if claim["agent_id"] != actor.agent_id:
        check_lead(actor, "an agent gives back what they claimed themselves; a lead anything")
    return take_back(tx, log.actor_ref(actor), locked, claim, Outcome.released)


def take_back(
    tx: Transaction, who: log.ActorRef, locked: LoadedTicket, claim: Row, outcome: Outcome
) -> Mapping[str, Any]:
    """The ticket is nobody's again, and its customer's wait goes on."""
    change = TicketChange(locked, who)
    change.update({"assignee_id": None})
    data = {"agent_id": claim["agent_id"], "claimed_at": claim["claimed_at"]}
    change.record(f"ticket.claim_{outcome}", data, internal=True)
    tx.write(END, key_id=claim["id"], ended_at=locked.now, outcome=outcome.value)
    return save(tx, change)


async def current(tx: Transaction, ticket_id: UUID) -> Row | None:
    """The claim in force, if any."""
    return await tx.row(_LATEST, ticket_id=ticket_id)
