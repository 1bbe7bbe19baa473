"""Many tickets changed at once, each as it would be by itself: one that is refused is left as it is, and the others are
changed, all in one transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from app.auth.dependencies import Actor
from app.db import Transaction, Values
from app.errors import AppError, Invalid
from app.tickets.queries import ticket_to_response
from app.tickets.schemas import BulkTicketPatch, TicketPatch
from app.tickets.service import change_ticket
from app.web.paging import Room
from app.web.problems import Problem, as_problem
from app.web.taken import UNIQUE_VIOLATION, conflict

_NOT_OF_THE_PATCH = {"id", "if_match"}


async def change_tickets(tx: Transaction, actor: Actor, patches: Sequence[BulkTicketPatch]) -> list[dict[str, Any]]:
    """What became of each, in the order sent. Tickets are locked in the order of their ids, as everybody locks them."""
    seen: set[UUID] = set()
    for index, patch in enumerate(patches):
        if patch.id in seen:
            raise Invalid.at(f"/tickets/{index}/id", "repeated", "each ticket once")
        seen.add(patch.id)
    room = Room()
    done = {patch.id: await _change(tx, actor, patch, room) for patch in sorted(patches, key=lambda patch: patch.id)}
    return [done[patch.id] for patch in patches]


async def _change(tx: Transaction, actor: Actor, asked: BulkTicketPatch, room: Room) -> dict[str, Any]:
    values = asked.model_dump(exclude=_NOT_OF_THE_PATCH)
    patch = TicketPatch.model_construct(set(values), **values)
    try:
        # What may be taken is for the database to say, and is asked at once; all other writes leave together.
        async with tx.nested(savepoint="external_id" in values):
            changed = await change_ticket(tx, actor, asked.id, patch, asked.if_match)
    except AppError as refused:
        return _refused(asked.id, refused)
    except asyncpg.PostgresError as failed:
        if failed.sqlstate != UNIQUE_VIOLATION:
            raise
        return _refused(asked.id, await conflict(tx, failed))
    ticket = await ticket_to_response(tx, actor, changed)
    return _item(asked.id, 200, ticket=ticket if room.holds(ticket) else None)


def _refused(id: UUID, why: AppError) -> dict[str, Any]:
    if why.status >= 500:
        raise why
    return _item(id, why.status, problem=as_problem(why, f"/v1/tickets/{id}"))


def _item(id: UUID, status: int, ticket: Values | None = None, problem: Problem | None = None) -> dict[str, Any]:
    return {"ticket_id": id, "status": status, "ticket": ticket, "problem": problem}
