"""Cubes: sums of facts by the days and months of zones. What changed of the facts is added in one statement; a zone
without cubes gets them from the facts, piece by piece, the newest first. Whoever does either holds the zones."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from sqlalchemy import Integer, bindparam, delete, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.cubes.dimensions import DIMENSIONS, METRICS, PAIRS
from app.cubes.facts import instant_of, slot_at
from app.cubes.tables import (
    report_cubes,
    report_deltas,
    report_facts,
    report_filling,
    report_zones,
)
from app.db import Database, Query, Row, Transaction
from app.sla.core.buckets import BOUNDS
from app.sla.core.calendar import beginnings
from app.sla.tables import business_calendar_versions, business_calendars

# So many changes are added to the cubes at once.
BATCH = 10_000
# Of facts a zone gets the cubes of so many quarters of an hour at once: six hours.
_PIECE = 6 * 4
_d, _f, _z, _v = report_deltas.c, report_facts.c, report_zones.c, business_calendar_versions.c

_ZONES = Query(select(report_zones).order_by(_z.id).with_for_update(skip_locked=True))
_HOW_MANY = Query(select(func.count().label("zones")).select_from(report_zones))
_CALENDARS = Query(
    select(_v.timezone)
    .join(
        business_calendars,
        (business_calendars.c.id == _v.calendar_id) & (business_calendars.c.version == _v.version),
    )
    .where(business_calendars.c.archived_at.is_(None))
    .distinct()
)
_ADD_ZONE = Query(pg_insert(report_zones).on_conflict_do_nothing(), ["name"])
_DROP_CUBES = Query(delete(report_cubes).where(report_cubes.c.zone == bindparam("key_zone")))
_DROP_ZONE = Query(delete(report_zones).where(_z.id == bindparam("key_id")))
_DELTAS = Query(select(_d.id, _d.slot).order_by(_d.id).limit(bindparam("most", type_=Integer)))
_FILLED_FROM = Query(select(report_filling.c.filled_from))
_metrics = func.unnest(array([literal_column(f"{number}::smallint") for number in range(len(METRICS))]))
_of_metric = select(func.max(_f.slot)).where(
    _f.metric == literal_column("metrics.metric"), _f.slot < bindparam("before", type_=Integer)
)
_LATEST = Query(
    select(func.max(_of_metric.correlate(None).scalar_subquery()).label("slot")).select_from(
        _metrics.table_valued("metric").render_derived(name="metrics")
    )
)
_FILLED = Query(update(report_zones).where(_z.id == bindparam("key_id")), ["filled_from"])

BUCKET_SQL = f"width_bucket(elapsed_us, '{{{','.join(map(str, BOUNDS))}}}'::bigint[]) - 1"
ANSWERED_SQL = "outcome & 7 = 0 AND outcome < 256"
_BY = ", ".join(f"({', '.join(names)})" for names in ((), *((name,) for name in DIMENSIONS), *PAIRS))
KEY = "zone, cube, grain, metric, start, a, b, outcome"


def cells_sql(facts: str) -> str:
    """Rows as cubes have them, of facts that bear how many times they count (`n`). The parameters `zones`, `slots`,
    `days` and `months` say in which of these each slot lies."""
    dimensions = ", ".join(DIMENSIONS)
    return f"""
    counted AS (
        SELECT d.zone, GROUPING({dimensions})::smallint AS cube, GROUPING(d.day)::smallint AS grain, metric,
            coalesce(d.day, d.month) AS start, coalesce({dimensions}, 0) AS a,
            coalesce({", ".join(reversed(DIMENSIONS))}, 0) AS b, outcome,
            CASE WHEN {ANSWERED_SQL} THEN {BUCKET_SQL} END AS bucket,
            sum(n) AS n, sum(n * elapsed_us) AS elapsed_us,
            sum(n * coalesce(wall_us, elapsed_us)) AS wall_us,
            sum(n * coalesce(waited_us, elapsed_us)) AS waited_us
        FROM ({facts}) AS fact
        JOIN unnest(CAST(:zones AS smallint[]), CAST(:slots AS int[]), CAST(:days AS int[]), CAST(:months AS int[]))
            AS d (zone, slot, day, month) USING (slot)
        GROUP BY d.zone, metric, outcome, 9, GROUPING SETS ((d.day), (d.month)), GROUPING SETS ({_BY})
    ),
    cells AS (
        SELECT {KEY}, sum(n)::bigint AS n, sum(elapsed_us) AS elapsed_us, sum(wall_us) AS wall_us,
            sum(waited_us) AS waited_us,
            array_agg((n * 2048)::bigint + bucket ORDER BY bucket) FILTER (WHERE n <> 0 AND bucket IS NOT NULL) AS waits
        FROM counted GROUP BY {KEY}
    )"""  # noqa: S608 # nosec B608


# Rows are locked in the order of their key.
_STORE = f"""
INSERT INTO report_cubes AS r ({KEY}, n, elapsed_us, wall_us, waited_us, waits)
SELECT {KEY}, n, elapsed_us, wall_us, waited_us, waits FROM cells ORDER BY {KEY}
ON CONFLICT ({KEY}) DO UPDATE SET n = r.n + excluded.n, elapsed_us = r.elapsed_us + excluded.elapsed_us,
    wall_us = r.wall_us + excluded.wall_us, waited_us = r.waited_us + excluded.waited_us,
    waits = add_waits(r.waits, excluded.waits)"""  # noqa: S608 # nosec B608
_TAKE = "WITH taken AS (DELETE FROM report_deltas WHERE id = ANY(CAST(:ids AS bigint[])) RETURNING *),"
_FOLD = Query(text(" ".join((_TAKE, cells_sql("SELECT * FROM taken"), _STORE))))
# The index is by metric first.
FACTS_SQL = f"""SELECT 1 AS n, * FROM report_facts WHERE slot >= CAST(:since AS int) AND slot < CAST(:until AS int)
    AND metric = ANY('{{{",".join(map(str, range(len(METRICS))))}}}'::smallint[])"""  # noqa: S608 # nosec B608
_FILL = Query(text(" ".join(("WITH", cells_sql(FACTS_SQL), _STORE))))


# Of all groupings at once in memory, rather than sorted for each of them.
_MEMORY = Query(text("SET LOCAL work_mem = '64MB'"))


async def run_once(db: Database) -> bool:
    """Bring the cubes up to date by a batch; whether there may be more."""
    return await db.run(_fold)


async def wanted_zones(tx: Transaction) -> set[str]:
    """Of which zones there are to be cubes."""
    configured = set(tx.settings.report_zones)
    return configured or {"UTC", *(row["timezone"] for row in await tx.rows(_CALENDARS))}


async def _fold(tx: Transaction) -> bool:
    # Facts and what is not in the cubes of them yet are of one instant: a zone is filled from all the facts.
    await tx.snapshot()
    await tx.rows(_MEMORY)
    zones = await tx.locked_rows(_ZONES)
    there = await tx.row(_HOW_MANY)
    if there is None or there["zones"] != len(zones):
        return False  # another worker has them
    if await _settle_zones(tx, zones):
        return True
    deltas = await tx.rows(_DELTAS, most=BATCH)
    if deltas:
        await _take(tx, zones, deltas)
    return len(deltas) == BATCH or await _fill_zone(tx, zones)


async def _settle_zones(tx: Transaction, zones: Sequence[Row]) -> bool:
    """Begin those that are wanted, and drop those that are not; whether there were any."""
    wanted, there = await wanted_zones(tx), {zone["name"]: zone["id"] for zone in zones}
    for name in sorted(wanted - there.keys()):
        tx.write(_ADD_ZONE, name=name)
    for name in there.keys() - wanted:
        tx.write(_DROP_CUBES, key_zone=there[name])
        tx.write(_DROP_ZONE, key_id=there[name])
    return wanted != there.keys()


async def _take(tx: Transaction, zones: Sequence[Row], deltas: Sequence[Row]) -> None:
    slots = sorted({delta["slot"] for delta in deltas})
    days = _joined(days_of(zone, [slot for slot in slots if slot >= zone["filled_from"]]) for zone in zones)
    await tx.rows(_FOLD, ids=[delta["id"] for delta in deltas], **days)


async def _fill_zone(tx: Transaction, zones: Sequence[Row]) -> bool:
    """A piece of the zone that has least; whether there may be more."""
    state = await tx.row(_FILLED_FROM)
    assert state is not None  # its one row is a migration's
    filled_from: int = state["filled_from"]
    behind = [zone for zone in zones if zone["filled_from"] > filled_from]
    if not behind:
        return False
    zone = max(behind, key=lambda each: each["filled_from"])
    latest = await tx.row(_LATEST, before=zone["filled_from"])
    if latest is None or latest["slot"] is None or latest["slot"] < filled_from:
        tx.write(_FILLED, key_id=zone["id"], filled_from=filled_from)
        return len(behind) > 1
    until = latest["slot"] + 1
    since = max(until - _PIECE, filled_from)
    await tx.rows(_FILL, since=since, until=until, **days_of(zone, range(since, until)))
    tx.write(_FILLED, key_id=zone["id"], filled_from=since)
    return True


Days = dict[str, list[int]]


def days_of(zone: Row, slots: Sequence[int]) -> Days:
    """In which day and month of a zone each of these slots, in order, lies: by the slots in which those begin."""
    if not slots:
        return {"zones": [], "slots": [], "days": [], "months": []}
    first, last = instant_of(slots[0]), instant_of(slots[-1])
    found = {"zones": [zone["id"]] * len(slots), "slots": list(slots)}
    for unit in ("day", "month"):
        starts = [slot_at(start) for start in beginnings(zone["name"], unit, first, last)]
        found[f"{unit}s"] = [starts[bisect_right(starts, slot) - 1] for slot in slots]
    return found


def _joined(parts: Iterable[Days]) -> Days:
    each = list(parts)
    return {name: [value for part in each for value in part[name]] for name in ("zones", "slots", "days", "months")}
