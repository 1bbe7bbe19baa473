"""The ceiling: what FastAPI, asyncpg and PostgreSQL do at best: one autocommitted statement a route, no more.

Declared bodies and answers stay, because every service pays for those. Without key, audit, policy, validation of words
or problem documents it is no service: it is the number that the real one is divided by.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import APIRouter, FastAPI, Request
from uuid_utils.compat import uuid7

from bench.shapes import MessageIn, MessageOut, TicketIn, TicketOut

_TICKET = """id, number, subject, status, priority, type, channel, customer_id, assignee_id, team_id, tags,
    custom_fields, external_id, product, created_at, updated_at, resolved_at, closed_at, version"""

_CREATE = f"""
WITH ticket AS (
    INSERT INTO tickets (id, subject, priority, channel, customer_id) VALUES ($1, $2, $3, $4, $5) RETURNING {_TICKET}
), event AS (
    INSERT INTO events (id, ticket_id, type, data) VALUES ($6, $1, 'ticket.created', $7)
), clock AS (
    INSERT INTO sla_clocks (id, ticket_id, metric, state, target_seconds, started_at, due_at)
    VALUES ($8, $1, 'first_response', 'running', 90, now(), now() + interval '90 seconds')
)
SELECT {_TICKET} FROM ticket"""

_REPLY = """
WITH message AS (
    INSERT INTO messages (id, ticket_id, author_kind, visibility, body) VALUES ($1, $2, 'agent', $3, $4)
    RETURNING id, ticket_id, author_kind, visibility, body, created_at
), event AS (
    INSERT INTO events (id, ticket_id, type, data) VALUES ($5, $2, 'message.created', $6)
), clock AS (
    UPDATE sla_clocks SET state = 'met', stopped_at = now()
    WHERE ticket_id = $2 AND metric = 'first_response' AND stopped_at IS NULL
)
SELECT id, ticket_id, author_kind, visibility, body, created_at FROM message"""

_GET = f"SELECT {_TICKET} FROM tickets WHERE id = $1"
_LIST = f"SELECT {_TICKET} FROM tickets WHERE status = $1 ORDER BY created_at DESC, id DESC LIMIT $2"

router = APIRouter()


@router.post("/tickets", response_model=TicketOut, status_code=201)
async def create_ticket(request: Request, body: TicketIn) -> Any:
    data = {"subject": body.subject, "description": body.description}
    row = await request.app.state.pool.fetchrow(
        _CREATE, uuid7(), body.subject, body.priority, body.channel, body.customer.id, uuid7(), data, uuid7()
    )
    return dict(row)


@router.post("/tickets/{id}/messages", response_model=MessageOut, status_code=201)
async def create_message(request: Request, id: UUID, body: MessageIn) -> Any:
    data = {"visibility": body.visibility}
    row = await request.app.state.pool.fetchrow(_REPLY, uuid7(), id, body.visibility, body.body, uuid7(), data)
    return dict(row)


@router.get("/tickets/{id}", response_model=TicketOut)
async def get_ticket(request: Request, id: UUID) -> Any:
    return dict(await request.app.state.pool.fetchrow(_GET, id))


@router.get("/tickets", response_model=list[TicketOut])
async def list_tickets(request: Request, status: str, limit: int = 50) -> Any:
    return [dict(row) for row in await request.app.state.pool.fetch(_LIST, status, limit)]


async def _keep_state(_connection: Any) -> None:
    """No reset on release: nothing here changes session state, and the default costs a round trip a request."""


async def _know_json(connection: Any) -> None:
    # jsonb's binary form is a version byte and the text.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ["BENCH_POOL_SIZE"])
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"],
        min_size=size,
        max_size=size,
        init=_know_json,
        reset=_keep_state,
        server_settings={"search_path": "bench_ceiling"},
    ) as pool:
        app.state.pool = pool
        yield


def create_app() -> FastAPI:
    app = FastAPI(lifespan=_lifespan)
    app.include_router(router)
    return app
