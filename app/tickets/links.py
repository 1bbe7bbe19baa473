"""Links between tickets. One ticket may be the parent of many and has one parent at most, and nobody is among their own
ancestors. Customers neither see nor make links: the other ticket may be somebody else's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, insert, literal_column, or_, select
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.db import Query, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.tickets.lifecycle import LinkKind
from app.tickets.queries import get_ticket
from app.tickets.tables import ticket_links, tickets
from app.web.paging import Listing, Order, is_any


class LinkExists(Conflict):
    """These two tickets are linked in this way already."""

    code = "link_exists"
    title = "The tickets are linked already"


class HasParent(Conflict):
    """A ticket has one parent. Delete that link first."""

    code = "has_parent"
    title = "The ticket has a parent"


class LinkCycle(Conflict):
    """A ticket cannot be a parent of its own ancestors."""

    code = "link_cycle"
    title = "The links would make a cycle"


class TooManyLevels(Conflict):
    """Parents go up 100 levels at most."""

    code = "too_many_levels"
    title = "The tickets are nested too deep"


class _Moved(Exception):
    """The ancestors are others than those that were locked."""


MOST_LEVELS = 100

_l = ticket_links.c
_INSERT = Query(
    insert(ticket_links), ["id", "source_id", "target_id", "kind", "made_by_kind", "made_by_id", "created_at"]
)
# In the order of their ids, as everybody locks several tickets.
_LOCK = Query(
    select(tickets.c.id, func.clock_timestamp().label("now"))
    .where(tickets.c.id == any_(bindparam("ticket_ids", type_=ARRAY(Uuid))))
    .order_by(tickets.c.id)
    .with_for_update(key_share=True)
)
_BETWEEN = Query(
    select(_l.id).where(
        _l.source_id == bindparam("source_id"), _l.target_id == bindparam("target_id"), _l.kind == bindparam("kind")
    )
)
_is_parent = _l.kind == LinkKind.parent_of.value
_PARENT = Query(select(_l.id).where(_is_parent, _l.target_id == bindparam("child_id")))
_up = select(bindparam("from_id", type_=Uuid).label("id"), literal_column("0").label("level")).cte("up", recursive=True)
_above = (
    select(_l.source_id, _up.c.level + literal_column("1"))
    .join(_up, _l.target_id == _up.c.id)
    .where(_is_parent, _up.c.level < literal_column(str(MOST_LEVELS)))
)
_ANCESTORS = Query(select(_up.union_all(_above).c.id))
_at = or_(_l.source_id == bindparam("ticket_id"), _l.target_id == bindparam("ticket_id"))
_DELETE = Query(delete(ticket_links).where(_l.id == bindparam("link_id"), _at).returning(ticket_links))
LISTING = Listing(
    "links",
    select(ticket_links),
    {"ticket_id": lambda name, value: or_(is_any(_l.source_id)(name, value), is_any(_l.target_id)(name, value))},
    {"created_at": Order((_l.created_at, _l.id))},
)


def check_linking(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("links between tickets are the agents'")


async def link(tx: Transaction, actor: Actor, ticket_id: UUID, kind: LinkKind, other_id: UUID) -> dict[str, Any]:
    """From the ticket to the other one. What relates two tickets to each other has no direction, and is there once."""
    check_linking(actor)
    if ticket_id == other_id:
        raise Invalid.at("/ticket_id", "itself", "another ticket: none is linked to itself")
    source_id, target_id = ticket_id, other_id
    if kind is LinkKind.relates_to:
        source_id, target_id = sorted((ticket_id, other_id))
    if kind is LinkKind.parent_of:
        now = await _lock_family(tx, source_id, target_id)
    else:
        now = await _lock(tx, ticket_id, other_id)
    if await tx.row(_BETWEEN, source_id=source_id, target_id=target_id, kind=kind):
        raise LinkExists("the link is there already")
    if kind is LinkKind.parent_of and await tx.row(_PARENT, child_id=target_id):
        raise HasParent("the other ticket has a parent")
    return to_response(add_link(tx, log.actor_ref(actor), source_id, target_id, kind, now), (ticket_id,))


async def unlink(tx: Transaction, actor: Actor, ticket_id: UUID, link_id: UUID) -> None:
    check_linking(actor)
    await get_ticket(tx, actor, ticket_id)
    row = await tx.locked_row(_DELETE, link_id=link_id, ticket_id=ticket_id)
    if row is None:
        raise NotFound("there is no link with this id at the ticket")
    _record_event(tx, log.actor_ref(actor), "unlinked", row, await tx.now())


def add_link(
    tx: Transaction, who: log.ActorRef, source_id: UUID, target_id: UUID, kind: LinkKind, now: datetime
) -> dict[str, Any]:
    """Queue a link and tell of it at both of its ends; its row."""
    row: dict[str, Any] = {
        "id": uuid7(), "source_id": source_id, "target_id": target_id, "kind": kind, "made_by_kind": who.kind,
        "made_by_id": who.id, "created_at": now,
    }  # fmt: skip
    tx.write(_INSERT, **row)
    _record_event(tx, who, "linked", row, now)
    return row


def to_response(row: Values, ticket_ids: Sequence[UUID]) -> dict[str, Any]:
    """A link of the first of these tickets, or of one that was merged into it."""
    ends = (row["source_id"], row["target_id"])
    came_with = None if ticket_ids[0] in ends else next(end for end in ends if end in ticket_ids)
    return {**row, "made_by": log.actor_of(row, "made_by"), "from_ticket_id": came_with}


async def _lock(tx: Transaction, ticket_id: UUID, other_id: UUID, *more: UUID) -> datetime:
    """Lock all of them. Raises NotFound, and Invalid where the other one is not there."""
    rows = await tx.locked_rows(_LOCK, ticket_ids=[ticket_id, other_id, *more])
    found = {row["id"] for row in rows}
    if ticket_id not in found:
        raise NotFound("there is no ticket with this id")
    if other_id not in found:
        raise Invalid.at("/ticket_id", "unknown", "there is no ticket with this id")
    now: datetime = max(row["now"] for row in rows)
    return now


async def _lock_family(tx: Transaction, parent_id: UUID, child_id: UUID) -> datetime:
    """Lock both and all ancestors: whoever else would close the same cycle must lock one of them, too. Ancestors that
    came while we waited are not locked in their order, so then all locks are given back and taken anew."""
    while True:
        line = await _ancestors(tx, parent_id)
        if child_id in line:
            raise LinkCycle("the other ticket is an ancestor of this one")
        if len(line) > MOST_LEVELS:
            raise TooManyLevels(f"at most {MOST_LEVELS} levels")
        try:
            async with tx.nested(savepoint=True):
                now = await _lock(tx, parent_id, child_id, *line)
                if not await _ancestors(tx, parent_id) <= line:
                    raise _Moved
                return now
        except _Moved:
            continue


async def _ancestors(tx: Transaction, id: UUID) -> set[UUID]:
    """With the ticket itself."""
    return {row["id"] for row in await tx.rows(_ANCESTORS, from_id=id)}


def _record_event(tx: Transaction, who: log.ActorRef, verb: str, row: Values, now: datetime) -> None:
    data = {name: row[name] for name in ("kind", "source_id", "target_id")}
    for ticket_id in (row["source_id"], row["target_id"]):
        log.record(tx, who, f"ticket.{verb}", row["id"], now, data, ticket_id=ticket_id, internal=True)
