"""Facts: one for each clock that has ended, made to agree with the clocks of tickets that changed. What agrees is left
alone, so that a repeat changes nothing and the order does not matter; what was taken away and added is kept as
deltas for the cubes. Whoever writes facts holds the reader's position."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.cubes.dimensions import (
    BREACHED,
    CANCELLED,
    DIMENSIONS,
    EXCLUDED,
    MET,
    METRICS,
    NO_VERDICT,
    QUARTER_SECONDS,
    SPAM,
    UNKNOWN_REASON,
)
from app.cubes.tables import ALL_FILLED, report_codes, report_deltas, report_facts
from app.db import Query, Row, Transaction
from app.sla import calendars
from app.sla.clocks import LOADED, Calendars, as_clock
from app.sla.core.clock import EndedReason
from app.sla.core.policy import NO_RELIEF
from app.sla.tables import sla_clocks
from app.statements import rows_of
from app.tickets.attribution import ATTRIBUTES
from app.tickets.tables import tickets

READER = "reports"
_c, _f = sla_clocks.c, report_facts.c
_INSTANT = DateTime(timezone=True)
_EPOCH, _FIRST = datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
_QUARTER = timedelta(seconds=QUARTER_SECONDS)
_COLUMNED = {
    "team": "team_id", "agent": "responder_id", "assignee": "assignee_id", "policy": "policy_id",
}  # fmt: skip
# What a dimension is of, as text.
_VALUES: dict[str, ColumnElement[Any]] = {
    name: cast(ATTRIBUTES[_COLUMNED.get(name, name)], Text) for name in DIMENSIONS
}
CONTRIBUTION = ("elapsed_us", "slot", *DIMENSIONS, "metric", "outcome", "wall_us", "waited_us")
_joined = sla_clocks.join(tickets, tickets.c.id == _c.ticket_id)


def _listed(words: Sequence[str]) -> ColumnElement[Any]:
    return literal_column(f"ARRAY[{', '.join(repr(str(word)) for word in words)}]")


def _number(number: int) -> ColumnElement[int]:
    return literal_column(str(number), Integer)


def _us(interval: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.extract("epoch", interval) * _number(1_000_000), BigInteger)


def slot_of(instant: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.floor(func.extract("epoch", instant) / _number(QUARTER_SECONDS)), Integer)


def slot_at(instant: datetime) -> int:
    return (instant - _EPOCH) // _QUARTER


def instant_of(slot: int) -> datetime:
    """When it begins; of `ALL_FILLED` the first instant that there is."""
    return _FIRST if slot == ALL_FILLED else _EPOCH + slot * _QUARTER


def _verdict(due_at: ColumnElement[Any]) -> ColumnElement[int]:
    """As `Clock.state` of a clock that has ended."""
    return case(
        (due_at < _c.ended_at, _number(BREACHED)),
        (_c.stopped_at.is_(None), _number(CANCELLED)),
        (due_at.is_(None), _number(NO_VERDICT)),
        else_=_number(MET),
    )


_reason = func.coalesce(func.array_position(_listed(tuple(EndedReason)), _c.ended_reason), _number(UNKNOWN_REASON))
_of_verdicts = _number(8) * _verdict(_c.due_at) + _number(32) * _verdict(_c.unrelieved_due_at)
_outcome = case(
    (_c.spam, _number(SPAM)),
    else_=case((_c.stopped_at.is_not(None), _number(0)), else_=_reason)
    + _of_verdicts
    + case((_c.excluded, _number(EXCLUDED)), else_=_number(0)),
)
_slot = slot_of(_c.started_at)
_metric = func.array_position(_listed(METRICS), _c.metric) - _number(1)
_answered = and_(_c.stopped_at.is_not(None), ~_c.spam)
# What was frozen of a wait is the core's to say.
_frozen = rows_of({"frozen_ids": Uuid, "frozen_us": BigInteger}, "frozen")
_elapsed = _us(_c.elapsed)
_wall = _us(_c.stopped_at - _c.started_at)


def _contributions(*which: ColumnElement[bool]) -> Select[Any]:
    """What each of these clocks that has ended contributes."""
    codes = {name: report_codes.alias(f"code_of_{name}") for name in DIMENSIONS}
    source = _joined.outerjoin(_frozen, _frozen.c.frozen_ids == _c.id)
    for number, (name, of) in enumerate(codes.items()):
        source = source.outerjoin(of, and_(of.c.dimension == _number(number), of.c.value == _VALUES[name]))
    return (
        select(
            _c.id.label("clock_id"),
            case((_c.spam, cast(_number(0), BigInteger)), else_=_elapsed).label("elapsed_us"),
            _slot.label("slot"),
            *(func.coalesce(of.c.code, _number(0)).label(name) for name, of in codes.items()),
            cast(_metric, SmallInteger).label("metric"),
            cast(_outcome, SmallInteger).label("outcome"),
            case((and_(_answered, _wall != _elapsed), _wall), else_=cast(null(), BigInteger)).label("wall_us"),
            case((_answered, _frozen.c.frozen_us), else_=cast(null(), BigInteger)).label("waited_us"),
        )
        .select_from(source)
        .where(_ended, *which)
    )


# What a newer release counts in metrics of its own is left to it.
_ended = and_(_c.ended_at.is_not(None), _c.metric == any_(_listed(METRICS)))
_since = _c.started_at >= bindparam("since", type_=_INSTANT)
_of_tickets = (_c.ticket_id == any_(bindparam("ids", type_=ARRAY(Uuid))), _since)
_of_span = (_since, _c.started_at < bindparam("until", type_=_INSTANT))
_has_frozen = func.cardinality(_c.frozen) > 0


class Scope:
    """The statements about some clocks, by what says which."""

    def __init__(self, *which: ColumnElement[bool]) -> None:
        self.slots = Query(select(func.min(_slot).label("first"), func.max(_slot).label("last")).where(*which))
        self.frozen = Query(select(_c.id, *(_c[name] for name in LOADED)).where(_answered, _has_frozen, *which))
        month = func.date_trunc("month", _c.started_at, literal_column("'UTC'"))
        self.months = Query(
            select(func.make_report_partition(func.min(_slot))).where(_ended, *which).group_by(month)
        )  # fmt: skip
        self.codes = Query(_new_codes(*which))
        self.contributions = _contributions(*which)

    def add(self) -> Any:
        """Facts of clocks that have none."""
        wanted = self.contributions.cte("wanted")
        there = exists().where(
            _f.metric == wanted.c.metric, _f.slot == wanted.c.slot, _f.clock_id == wanted.c.clock_id
        )  # fmt: skip
        missing = select(wanted).where(~there)
        return insert(report_facts).from_select(["clock_id", *CONTRIBUTION], missing).returning(*_f)


def _new_codes(*which: ColumnElement[bool]) -> Any:
    """A code for each word and id that has none."""
    its = select(*(value.label(name) for name, value in _VALUES.items())).select_from(_joined).where(_ended, *which)
    of = its.cte("its")
    numbers = array([literal_column(str(number), SmallInteger) for number in range(len(DIMENSIONS))])
    each = func.unnest(numbers, array(list(of.c))).table_valued("dimension", "value").render_derived(name="each")
    known = exists().where(report_codes.c.dimension == each.c.dimension, report_codes.c.value == each.c.value)
    named = select(cast(each.c.dimension, SmallInteger), each.c.value).select_from(
        of.join(each, literal_column("true"))
    )
    wanted = named.where(each.c.value.is_not(None), ~known).distinct()
    return pg_insert(report_codes).from_select(["dimension", "value"], wanted).on_conflict_do_nothing()


def _counted(changed: Any, n: int) -> Any:
    """The deltas of facts that were added (1) or taken away (-1)."""
    rows = select(_number(n), *(changed.c[name] for name in CONTRIBUTION))
    return insert(report_deltas).from_select(["n", *CONTRIBUTION], rows)


def _taken_away(scope: Scope) -> Query:
    """Facts of these clocks that are no more what the clocks contribute."""
    wanted = scope.contributions.cte("wanted")
    agrees = exists().where(
        wanted.c.clock_id == _f.clock_id,
        tuple_(*(wanted.c[name] for name in CONTRIBUTION)).is_not_distinct_from(
            tuple_(*(_f[name] for name in CONTRIBUTION))
        ),
    )
    gone = delete(report_facts).where(
        _f.slot.between(bindparam("first", type_=Integer), bindparam("last", type_=Integer)),
        _f.clock_id == _c.id, _f.metric == _metric, _f.slot == _slot,
        _c.ticket_id == any_(bindparam("ids", type_=ARRAY(Uuid))), ~agrees,
    )  # fmt: skip
    return Query(_counted(gone.returning(*_f).cte("gone"), -1))


OF_TICKETS, OF_SPAN = Scope(*_of_tickets), Scope(*_of_span)
_TAKEN_AWAY = _taken_away(OF_TICKETS)
_FILL = Query(OF_SPAN.add())
_ADDED = Query(_counted(OF_TICKETS.add().cte("added"), 1))


async def converge(tx: Transaction, ids: Sequence[UUID], filled_from: int) -> None:
    """Make the facts of these tickets' clocks agree, of those that started since `filled_from`."""
    given: dict[str, Any] = {"ids": ids, "since": instant_of(filled_from)}
    slots = await tx.locked_row(OF_TICKETS.slots, **given)
    if slots is None or slots["first"] is None:
        return
    given |= await prepared(tx, OF_TICKETS, given)
    await tx.rows(_TAKEN_AWAY, **given, first=slots["first"], last=slots["last"])
    await tx.rows(_ADDED, **given)


async def add(tx: Transaction, since: int, until: int) -> None:
    """The facts of all clocks that started in a span of which there are none; the cubes get them by themselves."""
    given: dict[str, Any] = {"since": instant_of(since), "until": instant_of(until)}
    given |= await prepared(tx, OF_SPAN, given)
    await tx.rows(_FILL, **given)


async def prepared(tx: Transaction, scope: Scope, given: dict[str, Any], *, store: bool = True) -> dict[str, Any]:
    """What statements about these clocks need beside what says which: of frozen time, and, where they `store` facts,
    the codes and months that they are to have."""
    if store:
        await tx.locked_rows(scope.months, **given)
        await tx.locked_rows(scope.codes, **given)
    rows = await tx.rows(scope.frozen, **given)
    known = await calendars.versions_of(tx, rows)
    return {"frozen_ids": [row["id"] for row in rows], "frozen_us": [_waited(row, known) for row in rows]}


def _waited(row: Row, known: Calendars) -> int:
    clock = as_clock(row, known)
    assert clock.ended_at is not None
    return clock._replace(relief=NO_RELIEF).elapsed(clock.ended_at) // timedelta(microseconds=1)
