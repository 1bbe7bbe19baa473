"""How a goal stands: its cohort, read as of one instant, judged by the core. Reads a snapshot, because the clocks whose
time does not simply pass are read beside the figures over all others."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Float,
    Integer,
    Interval,
    bindparam,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from app.db import Query, Row, Transaction, Values
from app.goals.cohort import (
    ANSWERED,
    CLOCKS,
    COHORT,
    EVEN,
    EXACTLY,
    INSTANT,
    JUDGED,
    RUNNING,
    TARGET,
    UNEVEN,
    WAITED,
    added,
    cohort_of,
    count,
)
from app.goals.fairness import judge_groups
from app.goals.schemas import Statistic
from app.goals.service import FILTERS, GOALS
from app.release import NewerRelease, word
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock
from app.sla.core.calendar import LATEST, day_of
from app.sla.core.clock import Clock
from app.sla.core.enums import Metric
from app.sla.core.goal import Cohort, Judgement, MeanStatus, NonLinearClocks, judge_mean
from app.sla.core.share import ClocksAgainstTarget, Share
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets

# What a percentile within the target asks of the waits.
_PERCENT = {Statistic.p50: 50, Statistic.p90: 90, Statistic.p95: 95, Statistic.p99: 99}
# The short window, in which the budget is seen to be used up long before it is, is so much of the whole one.
_SHORT = 12

_c, _t = sla_clocks.c, tickets.c
_NOW = Query(select(func.statement_timestamp().label("now")))
_FIGURES = (
    count(ANSWERED).label("answered"),
    added(_c.elapsed, ANSWERED).label("answered_wait"),
    count(ANSWERED, _c.elapsed > TARGET).label("answered_late"),
    count(RUNNING).label("running"),
    added(WAITED, EVEN).label("running_wait"),
    count(EVEN, WAITED > TARGET).label("running_late"),
    count(UNEVEN).label("uneven"),
    count(EXACTLY).label("answered_exactly"),
    count(_c.ended_reason.is_not(None)).label("unanswered"),
    func.count().filter(_c.excluded, ~_c.spam).label("excluded"),
    func.count().filter(_c.spam).label("spam"),
)
_passed_at = _c.started_at + TARGET


class _Queries:
    """Of a goal's cohort, looking at the tickets or not."""

    def __init__(self, *, filtered: bool) -> None:
        def cohort(*what: Any, which: Sequence[Any] = ()) -> Any:
            if not filtered:
                # A goal for everything need not look at the tickets: each clock has one.
                return select(*what).select_from(sla_clocks).where(*CLOCKS, *which)
            joined = sla_clocks.join(tickets, _t.id == _c.ticket_id)
            return select(*what).select_from(joined).where(*COHORT, *which)

        self.figures = Query(cohort(*_FIGURES))
        self.uneven = Query(cohort(*(_c[name] for name in LOADED), which=(or_(UNEVEN, EXACTLY), JUDGED)))
        wait = case((ANSWERED, _c.elapsed), else_=WAITED).label("wait")
        even_waits = cohort(wait, ANSWERED.label("answered"), which=(JUDGED, or_(ANSWERED, EVEN)))
        uneven_waits = func.unnest(bindparam("waits", type_=ARRAY(Interval))).column_valued("wait")
        waits = union_all(even_waits, select(uneven_waits, false())).subquery().c
        percentile = func.percentile_disc(bindparam("fraction", type_=Float)).within_group(waits.wait)
        self.percentiles = Query(
            select(percentile.label("value"), percentile.filter(waits.answered).label("value_answered"))
        )
        passing = cohort(_passed_at.label("at"), which=(JUDGED, EVEN, WAITED <= TARGET))
        instants = func.unnest(bindparam("instants", type_=ARRAY(INSTANT))).column_valued("at")
        at = union_all(passing, select(instants)).subquery().c.at
        following = select(at).order_by(at).offset(bindparam("more", type_=Integer))
        self.passing = Query(following.limit(literal_column("1")))


_QUERIES = {filtered: _Queries(filtered=filtered) for filtered in (False, True)}
# So many clocks are added up before others have their turn.
_AT_A_TIME = 200


class _Window:
    """The clocks that started in a span, as of `now`: their mean, or which share of them is within the target."""

    def __init__(self, goal: Values, start: datetime, now: datetime, end: datetime = LATEST) -> None:
        self.start = start
        self.now = now
        self.target_seconds: int = goal["target_seconds"]
        self.percent: float | None = goal["target_percent"] or _PERCENT.get(goal["statistic"])
        self.fair = goal["statistic"] == Statistic.fairness
        self.queries = _QUERIES[any(goal["filter"].values())]
        target = timedelta(seconds=self.target_seconds)
        self.given = {**cohort_of(goal, start, now, end), "target": target}
        self.uneven = NonLinearClocks(now)
        self.passing = ClocksAgainstTarget(target, now)
        self.late_at_closing = 0

    async def read(self, tx: Transaction) -> None:
        row = await tx.row(self.queries.figures, **self.given)
        assert row is not None
        self.row = row

    def add(self, clock: Clock) -> None:
        """One of those that the figures know the number of only."""
        if clock.started_at < self.start:
            return
        if clock.answered:
            self.late_at_closing += self.passing.is_late(clock)
            return
        self.uneven.add(clock)
        if self.percent:
            self.passing.add(clock)

    def cohort(self) -> Cohort:
        row = self.row
        return Cohort(
            row["answered"], row["answered_wait"], row["running"], row["running_wait"],
            self.uneven if row["uneven"] else None,
        )  # fmt: skip

    @property
    def answered_late(self) -> int:
        late: int = self.row["answered_late"]
        return late + self.late_at_closing

    def share(self) -> Share:
        assert self.percent
        row = self.row
        misses = self.answered_late + row["running_late"] + self.passing.misses
        return Share(row["answered"] + row["running"], misses, self.percent)

    def budget_used(self) -> float | None:
        """None of fairness, which has none."""
        if self.fair:
            return None
        return self.share().budget_used if self.percent else self.cohort().budget_used(self.target_seconds, self.now)


async def judge(tx: Transaction, id: UUID, *, burn_rate: bool = True) -> dict[str, Any]:
    """The goal's status now. The transaction must read a snapshot. Without the `burn_rate` the clocks are counted
    once. Raises NewerRelease."""
    goal = await GOALS.get(tx, id)
    check_known(goal)
    clock = await tx.row(_NOW)
    assert clock is not None
    now: datetime = clock["now"]
    start, end = _span(goal, now)
    short = timedelta(seconds=goal["rolling_seconds"]) / _SHORT
    window, lately = _Window(goal, start, now), _Window(goal, max(start, now - short), now)
    windows = (window, lately) if burn_rate else (window,)
    judged = await _judged_window(tx, goal, windows)
    crosses_at = judged["crosses_at"]
    return {
        "goal_id": id,
        "at": now,
        "window_start": start,
        **judged,
        # Tomorrow is another window.
        "crosses_at": crosses_at if crosses_at and crosses_at < end else None,
        "short_window_seconds": short // timedelta(seconds=1),
        "burn_rate": lately.budget_used() if burn_rate else None,
    }


async def judge_span(tx: Transaction, goal: Values, start: datetime, end: datetime, now: datetime) -> dict[str, Any]:
    """How a goal of this definition stands by the clocks that started in a span, as of `now`. The transaction must read
    a snapshot."""
    return await _judged_window(tx, goal, (_Window(goal, start, now, end),))


async def _judged_window(tx: Transaction, goal: Values, windows: Sequence[_Window]) -> dict[str, Any]:
    """The first window judged; the others, which lie within it, are added up with it."""
    window = windows[0]
    for each in windows:
        await each.read(tx)
    if window.row["uneven"] or (window.percent and window.row["answered_exactly"]):
        await _add_up(tx, await tx.rows(window.queries.uneven, **window.given), windows)
    mean = judge_mean(window.cohort(), window.target_seconds, window.now)
    if window.fair:
        judged = await judge_groups(tx, goal, window.given)
    else:
        share = await _share_judged(tx, window, goal["statistic"]) if window.percent else _mean_judged(mean)
        judged = {**share, "groups": None}
    return {
        **{name: goal[name] for name in ("statistic", "target_seconds", "target_percent")},
        **{name: window.row[name] for name in ("answered", "running", "unanswered", "excluded", "spam")},
        "mean_answered": mean.mean_answered_seconds,
        "mean_floor": mean.mean_floor_seconds,
        **judged,
        "budget_spent": window.budget_used(),
    }


def check_known(goal: Row) -> None:
    """Raises NewerRelease: what is not understood whole must not be judged by half of it."""
    word(Statistic, goal["statistic"])
    word(Metric, goal["metric"])
    if unknown := goal["filter"].keys() - set(FILTERS):
        raise NewerRelease(f"the filter {', '.join(sorted(unknown))}")


async def _add_up(tx: Transaction, rows: Sequence[Row], windows: Sequence[_Window]) -> None:
    known = await calendars.versions_of(tx, rows)
    for start in range(0, len(rows), _AT_A_TIME):
        for row in rows[start : start + _AT_A_TIME]:
            clock = as_clock(row, known)
            for window in windows:
                window.add(clock)
        await asyncio.sleep(0)


def _span(goal: Row, now: datetime) -> tuple[datetime, datetime]:
    """From when on clocks are judged, and until when by this window."""
    if zone := goal["calendar_day"]:
        return day_of(zone, now)
    return now - timedelta(seconds=goal["rolling_seconds"]), LATEST


def _mean_judged(mean: MeanStatus) -> dict[str, Any]:
    return {
        "judgement": mean.judgement,
        "value": mean.mean_floor_seconds,
        "value_answered": mean.mean_answered_seconds,
        "slack_seconds": mean.slack_seconds,
        "misses": None,
        "allowed_misses": None,
        "crosses_at": mean.crosses_at,
    }


async def _share_judged(tx: Transaction, window: _Window, statistic: str) -> dict[str, Any]:
    share, answered = window.share(), window.row["answered"]
    value, value_answered = share.within, Share(answered, window.answered_late, share.percent).within
    if statistic != Statistic.attainment:
        given = {**window.given, "waits": window.passing.waits, "fraction": share.percent / 100}
        found = await tx.row(window.queries.percentiles, **given)
        assert found is not None
        value, value_answered = _seconds(found["value"]), _seconds(found["value_answered"])
    crosses_at = None
    if share.judgement is Judgement.met:
        given = {**window.given, "instants": window.passing.instants, "more": share.allowed - share.misses}
        passing = await tx.row(window.queries.passing, **given)
        crosses_at = passing["at"] if passing else None
    return {
        "judgement": share.judgement,
        "value": value,
        "value_answered": value_answered,
        "slack_seconds": None,
        "misses": share.misses,
        "allowed_misses": share.allowed,
        "crosses_at": crosses_at,
    }


def _seconds(wait: timedelta | None) -> float | None:
    return None if wait is None else wait.total_seconds()
