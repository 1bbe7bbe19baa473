"""Recompute from the clocks who waited for a first answer and how long it was, and compare it with what outlooks are
made of. What the worker works out beside each ticket is worked out here in one pass over all of them. What a wait met
is as it was seen then, and is worked out for those alone of whom nothing is kept: a merge, a reopening or an import of
the past changes the queue that others met, and not what they were told."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappush, heappushpop
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid, any_, bindparam, delete, func, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.db import Database, Query, Row, Transaction
from app.events import reader
from app.outlook import learning
from app.outlook.tables import outlook_hands, outlook_waits
from app.release import word
from app.sla.core.enums import Priority
from app.sla.core.outlook import REMEMBERED, Queue, Stay, Wait
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets

# What was changed a moment ago may not have been learnt yet.
SETTLED = timedelta(seconds=30)
_PAGE = 5_000
_w, _c, _t, _h = outlook_waits.c, sla_clocks.c, tickets.c, outlook_hands.c
_place = _c.started_at, _c.id
_CLOCKS = Query(
    select(
        _c.id, _c.started_at, _c.original_due_at, _c.ended_at, _c.stopped_at, _c.spam,
        func.extract("epoch", _c.elapsed).label("seconds"), func.coalesce(_c.priority, _t.priority).label("priority"),
    )
    .join(tickets, _t.id == _c.ticket_id)
    .where(
        _c.metric == literal_column("'first_response'"),
        tuple_(*_place) > tuple_(bindparam("at", type_=DateTime(timezone=True)), bindparam("after", type_=Uuid)),
    )
    .order_by(*_place)
    .limit(literal_column(str(_PAGE)))
)  # fmt: skip
_STORED = Query(select(outlook_waits).where(or_(_w.seconds.is_not(None), _w.ended_at.is_(None))))
_HANDS = Query(select(_h.at, _h.idle).order_by(_h.at))
_FIELDS = ("priority", "started_at", "due_at", "ended_at", "seconds", "answered", "ahead", "idle")
_given = insert(outlook_waits)
_PUT = Query(
    _given.on_conflict_do_update(
        index_elements=["clock_id"], set_={name: _given.excluded[name] for name in _FIELDS}
    ),
    ["clock_id", *_FIELDS],
)  # fmt: skip
_DROP = Query(delete(outlook_waits).where(_w.clock_id == any_(bindparam("ids", type_=ARRAY(Uuid)))))
_FIRST = datetime.fromisoformat("0001-01-01T00:00:00+00:00"), UUID(int=0)


@dataclass(frozen=True, slots=True)
class WaitDifference:
    clock_id: UUID
    field: str
    stored: object
    computed: object


async def verify_outlook(
    db: Database, *, repair: bool, settled: timedelta = SETTLED
) -> tuple[int, list[WaitDifference]]:
    """How many waits, and what differs, but for what changed within `settled`; to `repair` is to make it as it should
    be, and all curves with it."""
    while await learning.run_once(db):
        pass
    async with db.transaction() as tx:
        await tx.snapshot()
        before = await tx.now() - settled
        stored = {row["clock_id"]: {name: row[name] for name in _FIELDS} for row in await tx.rows(_STORED)}
        computed = await _computed(tx, stored)
    found = [
        WaitDifference(id_, name, (stored.get(id_) or {}).get(name), (computed.get(id_) or {}).get(name))
        for id_ in sorted(stored.keys() | computed.keys())
        if _is_settled(before, stored.get(id_), computed.get(id_))
        for name in _FIELDS
        if (stored.get(id_) or {}).get(name) != (computed.get(id_) or {}).get(name)
    ]
    if repair and found:
        await db.run(lambda tx: _repair(tx, {each.clock_id for each in found}, stored, computed))
    return len(computed), found


def _is_settled(before: datetime, *rows: dict[str, Any] | None) -> bool:
    instants = (row[name] for row in rows if row for name in ("started_at", "ended_at") if row[name])
    return all(instant <= before for instant in instants)


async def _computed(tx: Transaction, stored: Mapping[UUID, Mapping[str, Any]]) -> dict[UUID, dict[str, Any]]:
    """Who waits, and of each key of its own the last waits."""
    hands = await tx.rows(_HANDS)
    at = [row["at"] for row in hands]
    kept: dict[tuple[str, int, int], list[tuple[datetime, UUID]]] = defaultdict(list)
    found: dict[UUID, dict[str, Any]] = {}
    async for stay, ahead in _met(tx):
        if kept_row := stored.get(stay.id):
            ahead, idle = kept_row["ahead"], kept_row["idle"]
        else:
            seen = bisect_right(at, stay.started_at)
            idle = hands[seen - 1]["idle"] if seen else 0
        if stay.ended_at and stay.wait is None:
            continue
        found[stay.id] = _row(stay, ahead, idle)
        if stay.ended_at:
            last = kept[stay.priority, ahead, idle]
            if len(last) < REMEMBERED:
                heappush(last, (stay.ended_at, stay.id))
            else:
                del found[heappushpop(last, (stay.ended_at, stay.id))[1]]
    return found


async def _met(tx: Transaction) -> AsyncIterator[tuple[Stay, int]]:
    """Each with the class of how many were ahead."""
    queue, (at, after), left = Queue(), _FIRST, list[Stay]()
    while page := [_stay(row) for row in await tx.rows(_CLOCKS, at=at, after=after)]:
        at, after = page[-1].started_at, page[-1].id
        *whole, left = [list(group) for _, group in groupby([*left, *page], key=attrgetter("started_at"))]
        for together in whole:
            for each in zip(together, queue.enter(together), strict=True):
                yield each
    for each in zip(left, queue.enter(left), strict=True) if left else ():
        yield each


def _stay(row: Row) -> Stay:
    over = row["ended_at"] and not row["spam"]
    wait = Wait(float(row["seconds"]), row["stopped_at"] is not None) if over else None
    priority = word(Priority, row["priority"])
    return Stay(row["id"], priority, row["started_at"], row["original_due_at"], row["ended_at"], wait)


def _row(stay: Stay, ahead: int, idle: int) -> dict[str, Any]:
    seconds, answered = stay.wait or (None, None)
    return {
        "priority": stay.priority, "started_at": stay.started_at, "due_at": stay.due_at, "ended_at": stay.ended_at,
        "seconds": seconds, "answered": answered, "ahead": ahead, "idle": idle,
    }  # fmt: skip


async def _repair(
    tx: Transaction,
    ids: Iterable[UUID],
    stored: Mapping[UUID, dict[str, Any]],
    computed: Mapping[UUID, dict[str, Any]],
) -> None:
    await reader.hold(tx, learning.READER)
    await tx.rows(_DROP, ids=[id_ for id_ in ids if id_ not in computed])
    for id_ in ids:
        if id_ in computed:
            tx.write(_PUT, clock_id=id_, **computed[id_])
    await tx.flush()
    both = [*stored.values(), *computed.values()]
    met = {(Priority(row["priority"]), row["ahead"], row["idle"]) for row in both if row["seconds"] is not None}
    await learning.redraw(tx, met)
