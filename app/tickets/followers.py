"""Agents who follow a ticket. The customer is not told, and the ticket is not changed by it."""

from uuid import UUID

from sqlalchemy import bindparam, delete, func, null, select
from sqlalchemy.dialects.postgresql import insert

from app.agents.tables import agents
from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.db import Query, Transaction
from app.errors import Forbidden, NotFound
from app.events import log
from app.tickets.queries import get_ticket
from app.tickets.tables import ticket_followers as followers
from app.web.paging import Listing, Order, is_any

_f = followers.c
_NOW = func.clock_timestamp().label("now")
_ACTIVE = Query(select(agents.c.id).where(agents.c.id == bindparam("agent_id"), agents.c.active))
_KNOWN = Query(select(agents.c.id).where(agents.c.id == bindparam("agent_id")))
# Who came with a merged ticket follows this one of their own then, and stays.
_FOLLOW = Query(
    insert(followers)
    .on_conflict_do_update(
        index_elements=["ticket_id", "agent_id"],
        set_={"from_ticket_id": null(), "created_at": func.clock_timestamp()},
        where=_f.from_ticket_id.is_not(None),
    )
    .returning(_f.created_at.label("now")),
    ["ticket_id", "agent_id"],
)
_UNFOLLOW = Query(
    delete(followers)
    .where(_f.ticket_id == bindparam("ticket_id"), _f.agent_id == bindparam("agent_id"))
    .returning(_NOW)
)
LISTING = Listing(
    "followers",
    select(followers),
    {"ticket_id": is_any(_f.ticket_id)},
    {"created_at": Order((_f.created_at, _f.agent_id))},
)


def check_following(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("who follows a ticket is the agents' to know")


async def follow(tx: Transaction, actor: Actor, ticket_id: UUID, agent_id: UUID) -> None:
    """Repeatable."""
    _check_for(actor, agent_id)
    await get_ticket(tx, actor, ticket_id)
    if await tx.row(_ACTIVE, agent_id=agent_id) is None:
        raise NotFound("there is no active agent with this id")
    await _change(tx, actor, "followed", _FOLLOW, ticket_id, agent_id)


async def unfollow(tx: Transaction, actor: Actor, ticket_id: UUID, agent_id: UUID) -> None:
    """Repeatable."""
    _check_for(actor, agent_id)
    await get_ticket(tx, actor, ticket_id)
    if await tx.row(_KNOWN, agent_id=agent_id) is None:
        raise NotFound("there is no agent with this id")
    await _change(tx, actor, "unfollowed", _UNFOLLOW, ticket_id, agent_id)


async def _change(tx: Transaction, actor: Actor, verb: str, query: Query, ticket_id: UUID, agent_id: UUID) -> None:
    if changed := await tx.locked_row(query, ticket_id=ticket_id, agent_id=agent_id):
        log.record(
            tx, log.actor_ref(actor), f"ticket.{verb}", agent_id, changed["now"], {}, ticket_id=ticket_id, internal=True
        )


def _check_for(actor: Actor, agent_id: UUID) -> None:
    check_following(actor)
    if actor.role is Role.agent and actor.agent_id != agent_id:
        raise Forbidden("an agent follows for themselves; a lead for anybody")
