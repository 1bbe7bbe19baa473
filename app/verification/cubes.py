"""What reports are added up from, recomputed: facts from the clocks, and cubes from the facts."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Uuid,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
    union_all,
)

from app.cubes import filling
from app.cubes.facts import CONTRIBUTION, OF_SPAN, instant_of, prepared, slot_at
from app.cubes.folding import FACTS_SQL, KEY, cells_sql, days_of
from app.cubes.pending import pending_tickets
from app.cubes.tables import NOTHING_FILLED, report_facts, report_zones
from app.db import Database, Query, Row, Transaction
from app.sla.core.calendar import beginnings
from app.sla.tables import sla_clocks

# So many differences of a piece are told.
_MOST_TOLD: ColumnElement[int] = literal_column("100")
# So many quarters of an hour are compared at once: thirty days.
_PIECE = 30 * 96
_f, _c = report_facts.c, sla_clocks.c
_instants = union_all(*(select(function(_c.started_at).label("at")) for function in (func.min, func.max))).subquery().c
_ENDS = Query(
    select(
        func.min(_instants.at).label("first_clock"), func.max(_instants.at).label("last_clock"),
        select(func.min(_f.slot)).scalar_subquery().label("first"),
        select(func.max(_f.slot)).scalar_subquery().label("last"),
    )
)  # fmt: skip
_ZONES = Query(select(report_zones).order_by(report_zones.c.id))
_columns = ("clock_id", *CONTRIBUTION)
_stored = select(*(_f[name] for name in _columns)).where(
    _f.slot >= bindparam("first", type_=Integer), _f.slot < bindparam("end", type_=Integer)
)
_wanted = OF_SPAN.contributions.cte("wanted").c
_computed = select(*(_wanted[name] for name in _columns))
_COUNT = Query(_stored.with_only_columns(func.count().label("facts")))
_both = union_all(
    select(literal_column("true").label("stored"), _stored.except_all(_computed).subquery("s")),
    select(literal_column("false"), _computed.except_all(_stored).subquery("c")),
).subquery("both")
_owner = select(_c.ticket_id).where(_c.id == _both.c.clock_id).scalar_subquery()
_FACTS = Query(
    select(_both)
    .where((_owner == any_(bindparam("changed", type_=ARRAY(Uuid)))).is_not(true()))
    .order_by(_both.c.clock_id)
    .limit(_MOST_TOLD)
)
# What is in the cubes: all facts, without the changes that are to be added yet.
_IN_CUBES = f"""{FACTS_SQL} UNION ALL
    SELECT -n, NULL, {", ".join(CONTRIBUTION)} FROM report_deltas
    WHERE slot >= CAST(:since AS int) AND slot < CAST(:until AS int)"""  # noqa: S608 # nosec B608
_FIGURES = f"{KEY}, n, elapsed_us, wall_us, waited_us, waits"
_CUBES_STORED = f"""SELECT {_FIGURES} FROM report_cubes
    WHERE zone = CAST(:zone AS smallint) AND start >= CAST(:first AS int) AND start < CAST(:end AS int) AND n <> 0
"""  # noqa: S608 # nosec B608
_CUBES_COMPUTED = f"SELECT {_FIGURES} FROM cells WHERE n <> 0"  # noqa: S608 # nosec B608
_CUBES = Query(
    text(f"""
    WITH {cells_sql(_IN_CUBES)}
    (SELECT true AS stored, * FROM ({_CUBES_STORED} EXCEPT ALL {_CUBES_COMPUTED}) AS s LIMIT 100)
    UNION ALL
    (SELECT false, * FROM ({_CUBES_COMPUTED} EXCEPT ALL {_CUBES_STORED}) AS c LIMIT 100)""")  # noqa: S608 # nosec B608
)


@dataclass(frozen=True, slots=True)
class ReportDifference:
    """Of a clock's fact, or of a place in the cubes; `stored` and `computed` are None where there is nothing."""

    where: str
    stored: dict[str, Any] | None
    computed: dict[str, Any] | None


async def verify_reports(db: Database) -> AsyncIterator[tuple[int, list[ReportDifference]]]:
    """How many facts each piece held, and what differs in it. What is not filled yet is left out, and so are clocks of
    tickets that changed a moment ago."""
    while await filling.follow_once(db):
        pass
    async with db.transaction() as tx:
        filled_from, zones, ends = await filling.filled_from(tx), await tx.rows(_ZONES), await tx.row(_ENDS)
    assert ends is not None
    slots = [ends[name] for name in ("first", "last") if ends[name] is not None]
    slots += [slot_at(ends[name]) for name in ("first_clock", "last_clock") if ends[name] is not None]
    if filled_from == NOTHING_FILLED or not slots:
        return
    for first in range(max(min(slots), filled_from), max(slots) + 1, _PIECE):
        async with db.transaction() as tx:
            yield await _facts(tx, first, first + _PIECE)
    for zone in zones:
        months = beginnings(zone["name"], "month", instant_of(min(slots)), instant_of(max(slots)))
        for start, end in pairwise([*map(slot_at, months), max(slots) + 1]):
            if end > zone["filled_from"]:
                async with db.transaction() as tx:
                    yield 0, await _cubes(tx, zone, start, end)


async def _facts(tx: Transaction, first: int, end: int) -> tuple[int, list[ReportDifference]]:
    await tx.snapshot()
    changed = await pending_tickets(tx)
    if changed is None:
        return 0, []
    given: dict[str, Any] = {"since": instant_of(first), "until": instant_of(end)}
    given |= await prepared(tx, OF_SPAN, given, store=False)
    rows = await tx.rows(_FACTS, **given, first=first, end=end, changed=changed)
    count = await tx.row(_COUNT, first=first, end=end)
    assert count is not None
    return count["facts"], list(_differences(rows, ("clock_id",)))


async def _cubes(tx: Transaction, zone: Row, start: int, end: int) -> list[ReportDifference]:
    await tx.snapshot()
    since = max(start, zone["filled_from"])
    rows = await tx.rows(
        _CUBES, since=since, until=end, zone=zone["id"], first=start, end=end, **days_of(zone, range(since, end))
    )
    return list(_differences(rows, KEY.split(", ")))


def _differences(rows: Iterable[Row], key: Sequence[str]) -> Iterator[ReportDifference]:
    found: dict[str, dict[bool, dict[str, Any]]] = {}
    for row in rows:
        where = " ".join(f"{name} {row[name]}" for name in key)
        found.setdefault(where, {})[row["stored"]] = {
            name: value for name, value in row.items() if name not in ("stored", *key)
        }
    for where, sides in found.items():
        yield ReportDifference(where, sides.get(True), sides.get(False))
