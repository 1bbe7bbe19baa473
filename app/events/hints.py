"""Hints of the stream: who is writing an answer just now. The staff who listen are told; a hint holds for ten seconds
unless it is said again, and is not in the log, which holds what has happened."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from fastapi.sse import format_sse_event
from sqlalchemy import Interval, Uuid, bindparam, cast, delete, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.events.tables import answering
from app.instants import written

BEING_ANSWERED = "ticket.being_answered"
Told = Mapping[tuple[UUID, UUID], datetime]

_a = answering.c
_NOW = func.clock_timestamp()
_UNTIL = _NOW + cast(literal_column("'10 seconds'"), Interval)
_SAY = Query(
    insert(answering)
    .values(
        ticket_id=bindparam("ticket_id", type_=Uuid), caller_id=bindparam("caller_id", type_=Uuid),
        agent_id=bindparam("agent_id", type_=Uuid), until=_UNTIL,
    )
    .on_conflict_do_update(index_elements=["ticket_id", "caller_id"], set_={"until": _UNTIL})
    .returning(_a.until)
)  # fmt: skip
_HELD = Query(select(answering).where(_a.until > _NOW).order_by(_a.until))
_over = select(_a.ticket_id, _a.caller_id).where(_a.until < _NOW).with_for_update(skip_locked=True)
_CLEAN = Query(delete(answering).where(tuple_(_a.ticket_id, _a.caller_id).in_(_over)).returning(literal_column("1")))


async def say(tx: Transaction, actor: Actor, ticket_id: UUID) -> None:
    await tx.locked_row(_SAY, ticket_id=ticket_id, caller_id=actor.bearer_id, agent_id=actor.agent_id)


async def held(tx: Transaction) -> list[Row]:
    return await tx.rows(_HELD)


async def clean(tx: Transaction) -> None:
    await tx.locked_rows(_CLEAN)


def told_now(rows: Sequence[Row]) -> Told:
    return {(row["ticket_id"], row["caller_id"]): row["until"] for row in rows}


def encoded(row: Row) -> bytes:
    """A named block without an id: no position stands for it."""
    data = {name: row[name] and str(row[name]) for name in ("ticket_id", "agent_id")}
    data["until"] = written(row["until"])
    return format_sse_event(event=BEING_ANSWERED, data_str=orjson.dumps(data).decode())
