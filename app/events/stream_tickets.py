"""What lets a browser open the stream: its EventSource sends no headers. A ticket stands for whoever asked for it, for
half a minute and one use. Of it only the hash is kept, and no log has a query in it."""

import hashlib
import re
import secrets
from typing import Any
from uuid import UUID

from fastapi import Security
from sqlalchemy import Interval, bindparam, cast, delete, func, insert, literal_column, select
from starlette.datastructures import State
from starlette.requests import Request

from app.auth.dependencies import Actor, BearerGuard, Unauthenticated
from app.auth.roles import Role
from app.db import Query, Row, Transaction
from app.events.tables import stream_tickets
from app.release import word

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
_over = select(_s.hash).where(_s.expires_at < _NOW).with_for_update(skip_locked=True)
_CLEAN = Query(delete(stream_tickets).where(_s.hash.in_(_over)).returning(literal_column("1")))


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

    async def _caller(self, request: Request) -> Actor:
        tickets = request.query_params.getlist("ticket")
        if not tickets:
            return await super()._caller(request)
        if len(tickets) > 1:
            raise _refused("several stream tickets")
        return await _redeem(request.app.state, tickets[0])


_GUARD = StreamGuard()


def may_listen(*scopes: str) -> Any:
    """`may`, where a ticket opens, too."""
    return Security(_GUARD, scopes=list(scopes))


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated("the ticket is unknown, used or older than 30 seconds", reason)


async def _redeem(state: State, ticket: str) -> Actor:
    """Raises Unauthenticated."""
    if not _TICKET.fullmatch(ticket):
        raise _refused("no stream ticket")
    async with state.credentials.strangers:
        used: Row | None = await state.db.run(lambda tx: tx.row(_USE, hash=_hash(ticket)))
    if used is None:
        raise _refused("unknown or used stream ticket")
    if not used["valid"]:
        raise _refused("stream ticket past its time")
    return _unpacked(used["actor"])


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
    return Actor(UUID(packed["id"]), word(Role, packed["role"]), scopes, agent, customer, packed["expires_at"])
