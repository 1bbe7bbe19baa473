"""From when until when agents were online, and with what capacity: read back from the log."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, bindparam, func, literal_column, select, union_all

from app.agents.tables import agents
from app.availability.schemas import AvailabilityState
from app.availability.tables import agent_availability
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events.tables import events

# What of the log one answer may read.
MOST_CHANGES = 100_000


class Stretch(NamedTuple):
    """In which one agent was in one state; `channels` are those they took and how many tickets of each, None for
    every channel."""

    agent_id: UUID
    state: AvailabilityState
    start: datetime
    end: datetime
    capacity: int
    channels: dict[str, int] | None


_e = events.c
_start, _end = (bindparam(name, type_=DateTime(timezone=True)) for name in ("start", "end"))
_change = (
    _e.subject_id == agents.c.id,
    _e.ticket_id.is_(None),
    _e.type == literal_column("'agent.availability_changed'"),
)
_told = (_e.subject_id.label("agent_id"), _e.occurred_at, _e.id, _e.data)
_last_before = (
    select(*_told).where(*_change, _e.occurred_at < _start).order_by(_e.id.desc()).limit(literal_column("1")).lateral()
)
# Nothing is recorded before it occurs: older months are not looked at.
_within = select(*_told).where(*_change, _e.recorded_at >= _start, _e.occurred_at >= _start, _e.occurred_at < _end)
_each = [
    select(*lateral.c).select_from(agents.join(lateral, literal_column("true")))
    for lateral in (_last_before, _within.lateral())
]
_all = union_all(*_each).subquery()
_CHANGES = Query(
    select(_all.c.agent_id, _all.c.occurred_at, _all.c.data, agent_availability.c.expires_at)
    .select_from(_all.outerjoin(agent_availability, agent_availability.c.agent_id == _all.c.agent_id))
    .order_by(_all.c.agent_id, _all.c.occurred_at, _all.c.id)
    .limit(literal_column(str(MOST_CHANGES + 1)))
)
_NOW = Query(select(func.clock_timestamp().label("now")))


async def stretches(tx: Transaction, start: datetime, end: datetime) -> list[Stretch]:
    """Online or away, within the span and up to now, by agent and in order. Cost: the changes of availability in it.
    Raises Invalid for more than `MOST_CHANGES`."""
    now = await tx.row(_NOW)
    assert now is not None
    rows = await tx.rows(_CHANGES, start=start, end=end)
    if len(rows) > MOST_CHANGES:
        raise Invalid.at("/query/from", "too_many_items", "agents came and went too often: narrow `from` and `to`")
    end = min(end, now["now"])
    return [
        each
        for _, changes in groupby(rows, lambda row: row["agent_id"])
        for each in _of_agent(list(changes), start, end)
    ]


def _of_agent(changes: Sequence[Row], start: datetime, end: datetime) -> Iterator[Stretch]:
    # Who has gone silent is offline from then on, whether or not it is noticed yet.
    last = min(end, changes[-1]["expires_at"] or end)
    ends = [row["occurred_at"] for row in changes[1:]] + [last]
    for row, until in zip(changes, ends, strict=True):
        data: dict[str, Any] = row["data"]
        from_, until = max(start, row["occurred_at"]), min(end, until)
        if data["after"] != AvailabilityState.offline and from_ < until:
            channels = data["channels"]
            most = {each["channel"]: each["capacity"] for each in channels} if channels is not None else None
            yield Stretch(
                row["agent_id"], AvailabilityState(data["after"]), from_, until, data["capacity"], most
            )  # fmt: skip
