"""What lets a browser open the stream: its EventSource sends no headers. A ticket stands for whoever asked for it, for
half a minute and one use. Of it only the hash is kept, and no log has a query in it."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import Security
from sqlalchemy import Interval, bindparam, cast, delete, func, insert, literal_column
from starlette.datastructures import State
from starlette.requests import Request

from app.auth.guard import Actor, BearerGuard, Unauthenticated, let_in
from app.auth.roles import Role
from app.db import Query, Row, Transaction
from app.events.tables import stream_tickets

_TICKET = re.compile(r"nts_[A-Za-z0-9_-]{43}")
_s = stream_tickets.c
_NOW = func.clock_timestamp()
_MAKE = Query(
    insert(stream_tickets)
    .values(
        hash=bindparam("hash"), actor=bindparam("actor"),
        expires_at=_NOW + cast(literal_column("'30 seconds'"), Interval),
    )
    .returning(_s.expires_at)
)  # fmt: skip
# Who deletes it has used it: that is one of any number who try.
_USE = Query(
    delete(stream_tickets)
    .where(_s.hash == bindparam("hash"))
    .returning(_s.actor, (_s.expires_at > _NOW).label("valid"))
)
_CLEAN = Query(delete(stream_tickets).where(_s.expires_at < _NOW).returning(literal_column("1")))


async def make(tx: Transaction, actor: Actor) -> dict[str, Any]:
    ticket = f"nts_{secrets.token_urlsafe(32)}"
    row = await tx.locked_row(_MAKE, hash=_hash(ticket), actor=_packed(actor))
    assert row is not None
    return {"ticket": ticket, "expires_at": row["expires_at"]}


async def clean(tx: Transaction) -> None:
    """Take away what nobody has used."""
    await tx.locked_rows(_CLEAN)


class StreamGuard(BearerGuard):
    """A key in the header, as everywhere, or a ticket in the query."""

    async def admit(self, request: Request, scopes: Sequence[str]) -> Actor:
        tickets = request.query_params.getlist("ticket")
        if not tickets:
            return await super().admit(request, scopes)
        actor = await _redeem(request.app.state, tickets[0]) if len(tickets) == 1 else None
        if actor is None:
            raise Unauthenticated("the ticket is unknown, used or older than 30 seconds")
        return let_in(request, actor, scopes)


_GUARD = StreamGuard()


def may_listen(*scopes: str) -> Any:
    """`may`, where a ticket opens, too."""
    return Security(_GUARD, scopes=list(scopes))


async def _redeem(state: State, ticket: str) -> Actor | None:
    if not _TICKET.fullmatch(ticket):
        return None
    async with state.credentials.strangers:
        used: Row | None = await state.db.run(lambda tx: tx.row(_USE, hash=_hash(ticket)))
    return _unpacked(used["actor"]) if used is not None and used["valid"] else None


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


def _packed(actor: Actor) -> dict[str, Any]:
    return {
        "id": actor.id, "role": actor.role, "scopes": sorted(actor.scopes),
        "agent_id": actor.agent_id, "customer_id": actor.customer_id, "expires_at": actor.expires_at,
    }  # fmt: skip


def _unpacked(packed: dict[str, Any]) -> Actor:
    agent, customer = (UUID(packed[name]) if packed[name] else None for name in ("agent_id", "customer_id"))
    scopes = frozenset(packed["scopes"])
    return Actor(UUID(packed["id"]), Role(packed["role"]), scopes, agent, customer, packed["expires_at"])
