"""Figures added up from cubes, where groups and filters are at most two dimensions that there is a cube by and days are
those of a zone that has cubes, else from the facts. What the sums do not hold is added from the clocks: those that run,
those of tickets that changed since, and the ends of the span that are no whole days."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array

from app.cubes.dimensions import DAY, DIMENSIONS, METRICS, MONTH, WITH_PRIORITY, Outcome, cube_of
from app.cubes.facts import instant_of, slot_at, slot_of
from app.cubes.pending import pending_tickets
from app.cubes.tables import (
    ALL_FILLED,
    report_codes,
    report_cubes,
    report_deltas,
    report_facts,
    report_filling,
    report_zones,
)
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.reports.clock_figures import Asked, read
from app.reports.figures import Figures
from app.reports.grouping import MOST_ITEMS, check_number
from app.reports.schemas import Exceptions, GroupBy, ReportQuery
from app.reports.schemas import Interval as Each
from app.sla.core.buckets import BOUNDS
from app.sla.core.calendar import beginnings, day_of
from app.sla.tables import sla_clocks

# Of more clocks nothing is added up from facts.
MOST_FACTS = 1_500_000
# As many rows as this many items have, with an outcome of each kind.
_MOST_ROWS = 10 * MOST_ITEMS
_NOT_OF_FACTS = frozenset(GroupBy) - {GroupBy(name) for name in DIMENSIONS}
_IDS = {GroupBy.team, GroupBy.agent, GroupBy.assignee, GroupBy.policy}
_FIRST_DAY_OF_ZONES = datetime.fromisoformat("1990-01-01T00:00:00+00:00")
_z, _c, _f, _r = report_zones.c, sla_clocks.c, report_facts.c, report_cubes.c
_STATE = Query(
    select(report_filling.c.filled_from, _z.name, _z.id, _z.filled_from.label("zone_filled_from"))
    .select_from(report_filling.outerjoin(report_zones, literal_column("true")))
    .order_by(_z.id)
)
_CODES = Query(
    select(report_codes.c.code, report_codes.c.dimension, report_codes.c.value).where(
        report_codes.c.dimension == any_(bindparam("dimensions", type_=ARRAY(SmallInteger)))
    )
)
_of_metric = bindparam("metric_number", type_=SmallInteger)
_first, _end = (bindparam(name, type_=Integer) for name in ("first_slot", "end_slot"))
_COUNT = Query(
    select(func.coalesce(func.sum(_r.n), 0).label("clocks")).where(
        _r.zone == bindparam("zone", type_=SmallInteger),
        _r.cube == literal_column(str(cube_of(())), SmallInteger),
        _r.grain == literal_column(str(DAY), SmallInteger),
        _r.metric == _of_metric, _r.start >= _first, _r.start < _end,
    )
)  # fmt: skip
_SORTED = Query(
    select(func.unnest(bindparam("words", type_=ARRAY(Text))).column_valued("word").label("word")).order_by(
        literal_column("1")
    )
)


@dataclass(frozen=True, slots=True)
class _Core:
    """The whole slots that sums are added up over, and, of them, those of whole months."""

    first: int
    end: int
    month_first: int
    month_end: int

    def given(self) -> dict[str, Any]:
        return {
            "first_slot": self.first, "end_slot": self.end, "month_first": self.month_first,
            "month_end": self.month_end, "core_from": instant_of(self.first), "core_to": instant_of(self.end),
        }  # fmt: skip


def _number(slot: ColumnElement[Any]) -> ColumnElement[int]:
    """Of the interval that a slot lies in."""
    return func.width_bucket(slot, bindparam("starts", type_=ARRAY(Integer)))


def _only(filters: Sequence[tuple[str, ColumnElement[Any]]]) -> list[ColumnElement[bool]]:
    return [column == any_(bindparam(f"codes_{name}", type_=ARRAY(Integer))) for name, column in filters]


def _names(asked: Asked) -> list[str]:
    return sorted({*asked.groups, *(group for group, *_ in asked.filters)}, key=DIMENSIONS.index)


@lru_cache(maxsize=1_000)
def _of_cubes(asked: Asked) -> Query:
    """Rows of a cube, as they are."""
    names = _names(asked)
    columns: dict[str, ColumnElement[Any]] = {name: (_r.a, _r.b)[place] for place, name in enumerate(names)}
    within = bindparam("month_first", type_=Integer), bindparam("month_end", type_=Integer)
    is_month = _r.grain == literal_column(str(MONTH), SmallInteger)
    statement = select(
        *([_number(_r.start).label("interval_number")] if asked.interval else []),
        *(columns[group].label(f"by_{group}") for group in asked.groups),
        _r.outcome, _r.n, *(_r[name] for name in _SUMS), _r.waits,
    ).where(
        _r.zone == bindparam("zone", type_=SmallInteger),
        _r.cube == literal_column(str(cube_of(names)), SmallInteger),
        _r.metric == _of_metric,
        or_(
            and_(is_month, _r.start >= within[0], _r.start < within[1]),
            and_(~is_month, _r.start >= _first, _r.start < func.least(within[0], _end)),
            and_(~is_month, _r.start >= func.greatest(within[1], _first), _r.start < _end),
        ),
        *_only([(name, columns[name]) for name, *_ in asked.filters]),
    )  # fmt: skip
    return Query(statement)


_SUMS = ("elapsed_us", "wall_us", "waited_us")
_bounds: ColumnElement[Any] = literal_column(f"'{{{','.join(map(str, BOUNDS))}}}'::bigint[]")


@lru_cache(maxsize=1_000)
def _of_facts(asked: Asked, table: Table) -> Query:
    """Facts, or deltas, of the span added up by interval, group and outcome."""
    f = table.c
    n = f.n if "n" in f else literal_column("1", Integer)
    keys = [
        *([_number(f.slot).label("interval_number")] if asked.interval else []),
        *(f[group].label(f"by_{group}") for group in asked.groups),
        f.outcome,
    ]
    bucket = func.width_bucket(f.elapsed_us, _bounds) - 1
    by_bucket = (
        select(
            *keys, bucket.label("bucket"), func.sum(n).label("n"), func.sum(n * f.elapsed_us).label("elapsed_us"),
            func.sum(n * func.coalesce(f.wall_us, f.elapsed_us)).label("wall_us"),
            func.sum(n * func.coalesce(f.waited_us, f.elapsed_us)).label("waited_us"),
        )
        .where(
            f.metric == _of_metric, f.slot >= _first, f.slot < _end,
            *_only([(name, f[name]) for name, *_ in asked.filters]),
        )
        .group_by(*keys, bucket)
        .subquery()
        .c
    )  # fmt: skip
    outer = [by_bucket[key.name] for key in keys]
    sums = [
        cast(func.sum(by_bucket.n), BigInteger).label("n"),
        *(func.sum(by_bucket[name]).label(name) for name in _SUMS),
    ]
    waits = func.array_agg(cast(by_bucket.n * 2048 + by_bucket.bucket, BigInteger)).label("waits")
    return Query(select(*outer, *sums, waits).group_by(*outer).limit(literal_column(str(_MOST_ROWS))))


@lru_cache(maxsize=1_000)
def _of_changed(asked: Asked) -> Query:
    """The facts of tickets that changed since, one by one: they are to be taken off again."""
    bucket = func.width_bucket(_f.elapsed_us, _bounds) - 1
    return Query(
        select(
            *([_number(_f.slot).label("interval_number")] if asked.interval else []),
            *(_f[group].label(f"by_{group}") for group in asked.groups),
            _f.outcome, literal_column("-1").label("n"), (-_f.elapsed_us).label("elapsed_us"),
            (-func.coalesce(_f.wall_us, _f.elapsed_us)).label("wall_us"),
            (-func.coalesce(_f.waited_us, _f.elapsed_us)).label("waited_us"),
            array([cast(bucket - 2048, BigInteger)]).label("waits"),
        )
        .select_from(sla_clocks.join(report_facts, and_(_f.clock_id == _c.id, _f.slot == slot_of(_c.started_at))))
        .where(
            _c.ticket_id == any_(bindparam("changed", type_=ARRAY(Uuid))),
            _f.metric == _of_metric, _f.slot >= _first, _f.slot < _end,
            *_only([(name, _f[name]) for name, *_ in asked.filters]),
        )
    )  # fmt: skip


async def read_sums(
    tx: Transaction, query: ReportQuery, asked: Asked, given: Mapping[str, Any], first: datetime, last: datetime
) -> list[dict[str, Any]] | None:
    """Rows as `clock_figures.read` has them, with percentiles of buckets; there are clocks from `first` to `last`. None
    where no sums hold what is asked for, and the clocks are to be read. Raises Invalid where neither can be done."""
    names = _names_of_facts(asked)
    state = await tx.rows(_STATE)
    changed = await pending_tickets(tx)
    if changed is None or not state or first < _FIRST_DAY_OF_ZONES:
        return None
    zone = _zone(state, query, asked)
    core = _whole_days(zone["name"], given["from_"], given["to"], first, last, asked) if zone else None
    if names is not None and zone and core and cube_of(names) is not None and _is_filled(zone, core):
        sources = [_of_cubes(asked), _of_facts(asked, report_deltas)]
        return await _added_up(tx, asked, {**given, "zone": zone["id"]}, core, changed, sources)
    whole = _whole_slots(given["from_"], given["to"], first, last)
    await _check_number(tx, state, whole, METRICS.index(given["metric"]))
    if names is None or state[0]["filled_from"] > whole.first or whole.first >= whole.end:
        return None
    return await _added_up(tx, asked, given, whole, changed, [_of_facts(asked, report_facts)])


def _names_of_facts(asked: Asked) -> list[str] | None:
    """What is grouped and filtered by; None where facts do not know it."""
    groups = {*asked.groups, *(group for group, *_ in asked.filters)}
    if groups & _NOT_OF_FACTS or asked.buckets or asked.interval is Each.hour:
        return None
    return _names(asked)


def _zone(state: Sequence[Row], query: ReportQuery, asked: Asked) -> Row | None:
    """Where days do not matter, those of any zone do."""
    named = {row["name"]: row for row in state if row["name"]}
    return named.get(query.timezone) or (None if asked.interval else next(iter(named.values()), None))


def _is_filled(zone: Row, core: _Core) -> bool:
    first = min(core.first, core.month_first) if core.month_first < core.month_end else core.first
    return bool(zone["zone_filled_from"] in (ALL_FILLED, None) or zone["zone_filled_from"] <= first)


def _up(instant: datetime) -> int:
    return slot_at(instant - timedelta(microseconds=1)) + 1


def _whole_slots(from_: datetime | None, to: datetime | None, first: datetime, last: datetime) -> _Core:
    return _Core(_up(from_) if from_ else slot_at(first), slot_at(to) if to else slot_at(last) + 1, 0, 0)


def _whole_days(
    zone: str, from_: datetime | None, to: datetime | None, first: datetime, last: datetime, asked: Asked
) -> _Core | None:
    days = _bounded([*beginnings(zone, "day", first, last), day_of(zone, last)[1]], from_, to)
    if len(days) < 2:
        return None
    months: Sequence[datetime] = ()
    if asked.interval in (None, Each.month):
        months = _bounded(beginnings(zone, "month", first, last + timedelta(days=32)), from_, to)
    month_first, month_end = (months[0], months[-1]) if len(months) > 1 else (days[0], days[0])
    return _Core(*map(slot_at, (days[0], days[-1], month_first, month_end)))


def _bounded(bounds: Sequence[datetime], from_: datetime | None, to: datetime | None) -> list[datetime]:
    return [at for at in bounds if (from_ is None or from_ <= at) and (to is None or at <= to)]


async def _check_number(tx: Transaction, state: Sequence[Row], core: _Core, metric_number: int) -> None:
    """Raises Invalid where more clocks are asked for than can be looked at."""
    zone = next((row for row in state if row["name"] and _is_filled(row, core)), None)
    if zone is None:
        return
    given = {"zone": zone["id"], "first_slot": core.first, "end_slot": core.end, "metric_number": metric_number}
    counted = await tx.row(_COUNT, **given)
    assert counted is not None
    if counted["clocks"] > MOST_FACTS:
        detail = (
            f"more than {MOST_FACTS} clocks, which are not kept added up by this: narrow `from` and `to`, or group and "
            f"filter by one dimension, or by priority and one of {', '.join(WITH_PRIORITY)}, and by days of a zone of "
            "NINETY_REPORT_ZONES"
        )
        raise Invalid.at("/query/from", "span_too_large", detail)


_Key = tuple[Any, ...]


class _Codes:
    """The words and ids of some dimensions."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._codes = {(row["dimension"], row["value"]): row["code"] for row in rows}
        self._values = {code: value for (_, value), code in self._codes.items()}

    @classmethod
    async def read(cls, tx: Transaction, names: Iterable[str]) -> "_Codes":
        return cls(await tx.rows(_CODES, dimensions=[DIMENSIONS.index(name) for name in names]))

    def filter(self, name: str, values: Iterable[object], *, none: bool) -> list[int]:
        number = DIMENSIONS.index(name)
        found = [self._codes.get((number, str(value)), -1) for value in values]
        return [*found, *([0] if none else [])]

    def value(self, group: GroupBy, code: int) -> object:
        value = self._values.get(code)
        return UUID(value) if value and group in _IDS else value


async def _added_up(
    tx: Transaction,
    asked: Asked,
    given: Mapping[str, Any],
    core: _Core,
    changed: Sequence[UUID],
    sources: Sequence[Query],
) -> list[dict[str, Any]]:
    codes = await _Codes.read(tx, _names(asked))
    only = {
        f"codes_{group}": codes.filter(group, given[f"only_{group}"], none=none) for group, _, none in asked.filters
    }
    params = {
        **given, **core.given(), **only, "changed": changed, "metric_number": METRICS.index(given["metric"]),
        "starts": [slot_at(start) for start in given["beginnings"]],
    }  # fmt: skip
    found: dict[_Key, Figures] = {} if asked.groups or asked.interval else {(): Figures()}
    for query in (*sources, *([_of_changed(asked)] if changed else [])):
        for row in await tx.rows(query, **params):
            _add(found, row, asked, codes)
    for each in await read(tx, asked, params, live=True):
        key = tuple(each[name] for name in _keys(asked))
        found.setdefault(key, Figures()).add_clocks(each)
    rows = [
        {**dict(zip(_keys(asked), key, strict=True)), **figures.totals_by_name(), **figures.percentiles()}
        for key, figures in found.items()
        if key == () or not figures.is_empty()
    ]
    check_number(rows, asked.groups)
    return await _in_order(tx, rows, asked)


def _keys(asked: Asked) -> list[str]:
    return [*(["interval_number"] if asked.interval else []), *(f"by_{group}" for group in asked.groups)]


def _add(found: dict[_Key, Figures], row: Row, asked: Asked, codes: _Codes) -> None:
    values = (codes.value(group, row[f"by_{group}"]) for group in asked.groups)
    key = (*([row["interval_number"]] if asked.interval else []), *values)
    with_ = asked.exceptions is Exceptions.with_
    found.setdefault(key, Figures()).add_facts(_outcome(row["outcome"]), row, with_=with_)


@lru_cache(maxsize=1_000)
def _outcome(number: int) -> Outcome:
    return Outcome.of(number)


async def _in_order(tx: Transaction, rows: list[dict[str, Any]], asked: Asked) -> list[dict[str, Any]]:
    """As the database sorts them."""
    names = _keys(asked)
    words = sorted({row[name] for row in rows for name in names if isinstance(row[name], str)})
    place = {row["word"]: number for number, row in enumerate(await tx.rows(_SORTED, words=words))} if words else {}
    return sorted(rows, key=lambda row: [(row[name] is None, place.get(row[name], row[name]) or 0) for name in names])
