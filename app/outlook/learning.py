"""What the worker does for outlooks: it learns of each wait for a first answer once its end is known, and tells before
that how long it is likely to be, so that what was said can be held against what came.

The log names the tickets that changed; what is kept is made to agree with their clocks, and so a repeat changes
nothing. The work a ticket is bounded: a key has at most so many waits, and a wait four keys."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Double,
    SmallInteger,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.db import Database, Query, Row, Transaction
from app.events import reader
from app.outlook.curves import curves_now, key_columns
from app.outlook.hands import TICKETS, idle_at
from app.outlook.tables import outlook_curves, outlook_revision, outlook_waits
from app.sla.core.enums import Priority
from app.sla.core.outlook import AHEAD, MOST_AHEAD, NEEDED, REMEMBERED, Key, Wait, curve, learned_under
from app.sla.tables import LATEST_SQL, sla_clocks

READER = "outlook"
# Curves are drawn once a batch: a large one costs hardly more than a small one.
_BATCH = 4_000
# Of a wait that began longer ago nothing is said any more: who looks so late would say what nobody could be told.
_SAID_WITHIN = timedelta(minutes=10)
# So long is kept who waited, where nothing was learnt of it.
_UNLEARNT = timedelta(days=1)

_PRIORITIES = frozenset(Priority)
_w, _c, _t = outlook_waits.c, sla_clocks.c, TICKETS.c
_latest = literal_column(LATEST_SQL, DateTime(timezone=True))
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
_over = _c.ended_at.is_not(None) & ~_c.spam
_seconds = case((_over, cast(func.extract("epoch", _c.elapsed), Double)))
_clocks = (
    select(
        _c.id,
        func.coalesce(_c.priority, _t.priority),
        _c.started_at,
        _c.original_due_at,
        _c.ended_at,
        _seconds,
        case((_over, _c.stopped_at.is_not(None))),
    )
    .join(TICKETS, _t.id == _c.ticket_id)
    .where(_c.metric == literal_column("'first_response'"))
)
_OF_CLOCK = ("clock_id", "priority", "started_at", "due_at", "ended_at", "seconds", "answered")
_of_tickets = _clocks.where(_c.ticket_id == _ids)
_KNOWN = Query(
    select(_w.clock_id, _w.priority, _w.ahead, _w.idle, _w.seconds)
    .join(sla_clocks, _c.id == _w.clock_id)
    .where(_c.ticket_id == _ids)
)


def _agreed(clocks: Any) -> Query:
    """Make the waits agree with these clocks; those that were changed by it."""
    given = insert(outlook_waits).from_select(list(_OF_CLOCK), clocks)
    changed = {name: given.excluded[name] for name in _OF_CLOCK[1:]}
    differs = tuple_(*(_w[name] for name in changed)).is_distinct_from(tuple_(*changed.values()))
    return Query(
        given.on_conflict_do_update(index_elements=["clock_id"], set_=changed, where=differs).returning(_w.clock_id)
    )


_AGREE = _agreed(_of_tickets)

_other = outlook_waits.alias("other").c


def _before(*which: ColumnElement[bool], order: Sequence[ColumnElement[Any]] = ()) -> ColumnElement[Any]:
    """How many of these were in the queue when a wait began, and came before it: as many as make a difference."""
    some = (
        select(literal_column("1"))
        .where(
            *which,
            _other.due_at.is_not(None),
            tuple_(_other.due_at, _other.clock_id) < tuple_(func.coalesce(_w.due_at, _latest), _w.clock_id),
        )
        .order_by(*order)
        .limit(literal_column(str(MOST_AHEAD)))
        .correlate(outlook_waits)
        .subquery()
    )
    return select(func.count()).select_from(some).scalar_subquery()


# Whoever still waits is found by deadline, for there may be very many who come after; whoever does not, by instant.
_waits_on = _before(
    _other.ended_at.is_(None), _other.started_at <= _w.started_at, order=(_other.due_at, _other.clock_id)
)
_was_there = func.tstzrange(_other.started_at, _other.ended_at).op("@>")(_w.started_at)
_waited_then = _before(_other.ended_at.is_not(None), _was_there)
_firsts: ColumnElement[Any] = literal_column(f"ARRAY[{', '.join(map(str, AHEAD))}]::bigint[]")
_ahead = func.width_bucket(_waits_on + _waited_then, _firsts) - 1
_MEET = Query(
    update(outlook_waits)
    .values(ahead=cast(_ahead, SmallInteger), idle=idle_at(_w.started_at))
    .where(_w.clock_id == any_(bindparam("clock_ids", type_=ARRAY(Uuid))))
)
_CHANGED = Query(
    select(
        _w.clock_id, _w.priority, _w.ahead, _w.idle, _w.seconds,
        (_w.started_at > func.clock_timestamp() - _SAID_WITHIN).label("young"), _t.imported,
    )
    .join(sla_clocks, _c.id == _w.clock_id)
    .join(TICKETS, _t.id == _c.ticket_id)
    .where(_w.clock_id == any_(bindparam("clock_ids", type_=ARRAY(Uuid))))
)  # fmt: skip
_SAY = Query(update(outlook_waits).where(_w.clock_id == bindparam("key_id")), ["said"])

_learnt = _w.seconds.is_not(None)
_newest = (_w.ended_at.desc(), _w.clock_id.desc())


def _last_waits(*names: str) -> Query:
    wanted = [_w[name] == bindparam(name, type_=_w[name].type) for name in names]
    return Query(
        select(_w.seconds, _w.answered)
        .where(_learnt, *wanted)
        .order_by(*_newest)
        .limit(literal_column(str(REMEMBERED)))
    )


_LAST_WAITS: dict[tuple[str, ...], Query] = {
    names: _last_waits(*names) for names in (("priority", "ahead", "idle"), ("ahead", "idle"), ("ahead",), ())
}
_older = outlook_waits.alias("older").c
_oldest_kept = (
    select(_older.ended_at, _older.clock_id)
    .where(
        _older.seconds.is_not(None),
        *(_older[name] == bindparam(name, type_=_w[name].type) for name in ("priority", "ahead", "idle")),
    )
    .order_by(_older.ended_at.desc(), _older.clock_id.desc())
    .offset(literal_column(str(REMEMBERED - 1)))
    .limit(literal_column("1"))
    .subquery("oldest")
)
_FORGET = Query(
    delete(outlook_waits).where(
        _learnt,
        *(_w[name] == bindparam(name, type_=_w[name].type) for name in ("priority", "ahead", "idle")),
        tuple_(_w.ended_at, _w.clock_id) < tuple_(_oldest_kept.c.ended_at, _oldest_kept.c.clock_id),
    )
)
_FORGET_UNLEARNT = Query(delete(outlook_waits).where(~_learnt, _w.ended_at < func.clock_timestamp() - _UNLEARNT))
_curve = insert(outlook_curves)
_CURVE = Query(
    _curve.on_conflict_do_update(
        index_elements=["priority", "ahead", "idle"],
        set_={name: _curve.excluded[name] for name in ("revision", "waits", "seconds", "shares")},
    ),
    ["priority", "ahead", "idle", "revision", "waits", "seconds", "shares"],
)
_COUNT_UP = Query(
    update(outlook_revision).values(revision=outlook_revision.c.revision + 1).returning(outlook_revision.c.revision)
)


async def run_once(db: Database) -> bool:
    """Learn from a batch of the log; whether there may be more."""
    return await db.run(lambda tx: reader.read_on(tx, READER, _BATCH, _learn))


async def _learn(tx: Transaction, events: list[Row], _: UUID | None) -> None:
    ids = sorted({event["ticket_id"] for event in events if event["ticket_id"]})
    if not ids:
        return
    before = {row["clock_id"]: row for row in await tx.rows(_KNOWN, ids=ids)}
    changed = [row["clock_id"] for row in await tx.locked_rows(_AGREE, ids=ids)]
    new = [id_ for id_ in changed if id_ not in before]
    if new:
        await tx.rows(_MEET, clock_ids=new)
    rows = [row for row in await tx.rows(_CHANGED, clock_ids=changed) if _is_known(row)] if changed else []
    # Before anything is learnt of them.
    await _say(tx, [row for row in rows if row["clock_id"] not in before and row["young"] and not row["imported"]])
    learnt = [row for row in rows if row["seconds"] is not None]
    learnt += [
        before[id_]
        for id_ in changed
        if id_ in before and before[id_]["seconds"] is not None and _is_known(before[id_])
    ]
    if learnt:
        await redraw(tx, {(Priority(row["priority"]), row["ahead"], row["idle"]) for row in learnt})


def _is_known(row: Row) -> bool:
    """A newer release may have priorities of its own: of these nothing is learnt."""
    return row["priority"] in _PRIORITIES


async def _say(tx: Transaction, rows: Iterable[Row]) -> None:
    known = await curves_now(tx)
    for row in rows:
        found = known.outlook(Priority(row["priority"]), row["ahead"], row["idle"])
        if found:
            tx.write(_SAY, key_id=row["clock_id"], said=list(found.by))


async def redraw(tx: Transaction, met: Collection[tuple[Priority, int, int]]) -> None:
    """Forget what is too old of those who met this, and draw the curves that they are part of anew."""
    row = await tx.locked_row(_COUNT_UP)
    assert row is not None  # its one row is a migration's
    for priority, ahead, idle in met:
        await tx.rows(_FORGET, priority=priority, ahead=ahead, idle=idle)
    for key in sorted({key for each in met for key in learned_under(*each)}, key=str):
        waits = [Wait(*each) for each in await _waits(tx, key)]
        drawn = curve(waits if len(waits) >= NEEDED else ())
        tx.write(
            _CURVE, **key_columns(key), revision=row["revision"], waits=len(waits),
            seconds=list(drawn.seconds), shares=list(drawn.shares),
        )  # fmt: skip


async def _waits(tx: Transaction, key: Key) -> list[Row]:
    given = {name: value for name, value in key._asdict().items() if value is not None}
    return await tx.rows(_LAST_WAITS[tuple(given)], **given)


async def clean(tx: Transaction) -> None:
    await tx.locked_rows(_FORGET_UNLEARNT)
