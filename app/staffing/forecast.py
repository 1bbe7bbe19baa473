"""How many agents each interval needs, and how well the same arithmetic would have met the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Any

from app.db import Transaction, Values
from app.errors import Invalid
from app.goals.judging import check_known
from app.goals.schemas import Statistic
from app.goals.service import GOALS, check_filter
from app.sla.core.calendar import midnight, zone_names, zone_rules
from app.sla.core.enums import Metric
from app.sla.core.patience import Patience, patience
from app.sla.core.staffing import MOST_AGENTS, Demand, Target, with_shrinkage
from app.sla.core.staffing_check import HOUR, NEEDED, Accuracy, Hour, accuracy, covered, planned
from app.staffing.reading import Past, read_past
from app.staffing.schemas import MOST_INTERVALS, StaffingForecastIn, StaffingInterval
from app.web.slices import in_slices

_SECONDS = {StaffingInterval.quarter_hour: 900, StaffingInterval.half_hour: 1800, StaffingInterval.hour: HOUR}
_DAY_SECONDS = 86_400
# An interval is known by so many of the past at least.
_FEW = 4
# The search for a number of agents costs the more, the more of them and the more who wait at a time: so many in all.
_MOST_WORK = 200_000
_CHECKED_HOURS = 28 * 24


@dataclass(frozen=True, slots=True)
class _Plan:
    """What each interval asks for, and from how many of the past it is known."""

    start: datetime
    end: datetime
    arrivals: float | None
    past: int


async def forecast(tx: Transaction, body: StaffingForecastIn) -> dict[str, Any]:
    """Cost: the clocks of the past weeks, and some seconds of arithmetic at most, in slices. Raises NotFound,
    NewerRelease and Invalid."""
    goal = await _goal(tx, body)
    now = await tx.now()
    today = now.astimezone(zone_rules(body.timezone)).date()
    first_day = today - timedelta(weeks=body.weeks)
    past = await read_past(tx, goal, midnight(body.timezone, first_day), now)
    handling = body.handling_seconds or past.learnt.handling_mean
    if handling is None:
        raise Invalid.at(
            "/handling_seconds", "required",
            f"fewer than {NEEDED} tickets of the past say how long they took: say how long one takes",
        )  # fmt: skip
    found = patience(past.newest)
    patience_seconds = body.patience_seconds or past.learnt.patience
    days = _DaysOfPast(past, body, first_day, today)
    plans = _plans(body, days, today)
    _check_work(plans, body, handling, patience_seconds)
    target = _target(goal, body.max_abandoned_percent)
    items = await _items(plans, body, target, handling, patience_seconds)
    checked = await _accuracy(past.hours, patience_seconds)
    met, judged = covered(days.counts, 7 * days.slots, body.arrivals_quantile, _FEW)
    return {
        "goal_id": body.goal_id,
        **{name: goal[name] for name in ("statistic", "target_seconds", "target_percent")},
        "max_abandoned_percent": body.max_abandoned_percent,
        "handling_seconds": handling,
        "patience_seconds": patience_seconds,
        "patience": {
            "waits": found.waits, "abandoned": found.gone, "mean_seconds": found.mean, "p25": found.p25,
            "p50": found.p50,
        },
        "items": items,
        "error": checked and _described(checked),
        "arrivals_error": {"intervals": judged, "covered_percent": 100 * met / judged} if judged else None,
        "unsure": list(_unsure(body, past, found, plans, checked)),
    }  # fmt: skip


async def _goal(tx: Transaction, body: StaffingForecastIn) -> Values:
    """As a row of goals has it."""
    if (body.goal_id is None) == (body.target is None):
        raise Invalid.at("/goal_id", "required", "either goal_id or target")
    if body.timezone not in zone_names():
        raise Invalid.at("/timezone", "unknown_zone", "an IANA time zone, such as Europe/Helsinki")
    if body.target:
        filter_ = body.filter.model_dump(mode="json", exclude_none=True) if body.filter else {}
        await check_filter(tx, filter_)
        goal: Values = body.target.model_dump() | {"metric": Metric.first_response, "filter": filter_}
    else:
        assert body.goal_id
        goal = row = await GOALS.get(tx, body.goal_id)
        check_known(row)
        if body.filter:
            raise Invalid.at("/filter", "unexpected", "a goal has a filter of its own")
    where = "/target/statistic" if body.target else "/goal_id"
    if goal["metric"] != Metric.first_response or goal["statistic"] == Statistic.fairness:
        raise Invalid.at(where, "unexpected", "a mean, a percentile or an attainment of first responses")
    if (goal["statistic"] == Statistic.attainment) != (goal["target_percent"] is not None):
        raise Invalid.at("/target/target_percent", "required", "an attainment, and only that, says how many percent")
    return goal


def _target(goal: Values, most_gone: float) -> Target:
    statistic: str = goal["statistic"]
    share = None
    if statistic == Statistic.attainment:
        share = goal["target_percent"] / 100
    elif statistic != Statistic.mean:
        share = int(statistic.removeprefix("p")) / 100
    return Target(goal["target_seconds"], share, most_gone / 100)


class _DaysOfPast:
    """How many came, interval by interval of the local days from the first on which anybody came to yesterday."""

    def __init__(self, past: Past, body: StaffingForecastIn, first: date, today: date) -> None:
        zone = zone_rules(body.timezone)
        self.minutes = _SECONDS[body.interval] // 60
        self.slots = _DAY_SECONDS // 60 // self.minutes
        began = past.first.astimezone(zone).date() if past.first else today
        # The day on which it began is not a whole one, unless it began before all that is looked at.
        self.first = first if began == first else min(began + timedelta(days=1), today)
        self.counts = [0] * ((today - self.first).days * self.slots)
        for at, count in past.arrivals.items():
            local = at.astimezone(zone)
            place = self.place(local)
            if 0 <= place < len(self.counts):
                self.counts[place] += count

    def place(self, local: datetime) -> int:
        slot = (local.hour * 60 + local.minute) // self.minutes
        return (local.date() - self.first).days * self.slots + slot

    def same(self, local: datetime) -> Sequence[int]:
        """Of the same interval of the same day of the week."""
        period = 7 * self.slots
        return self.counts[self.place(local) % period :: period]


def _plans(body: StaffingForecastIn, days: _DaysOfPast, today: date) -> list[_Plan]:
    zone = zone_rules(body.timezone)
    first = date.fromisoformat(body.from_) if body.from_ else today + timedelta(days=1)
    start, length = midnight(body.timezone, first), timedelta(seconds=_SECONDS[body.interval])
    if body.arrivals is not None:
        return [
            _Plan(start + number * length, start + (number + 1) * length, arrivals, 0)
            for number, arrivals in enumerate(body.arrivals)
        ]
    count = (midnight(body.timezone, first + timedelta(days=body.days)) - start) // length
    if count > MOST_INTERVALS:
        raise Invalid.at("/days", "too_many_items", f"{MOST_INTERVALS} intervals at most: fewer days, or longer ones")
    plans = []
    for number in range(count):
        at = start + number * length
        same = days.same(at.astimezone(zone))
        arrivals = planned(same, body.arrivals_quantile) if same else None
        plans.append(_Plan(at, at + length, arrivals, len(same)))
    return plans


def _check_work(plans: Sequence[_Plan], body: StaffingForecastIn, handling: float, patience_: float | None) -> None:
    """Raises Invalid for what would take too long to work out."""
    rates = sum({plan.arrivals for plan in plans if plan.arrivals}) / _SECONDS[body.interval]
    waiting = (patience_ or 0.0) * body.max_abandoned_percent / 100
    if rates * (handling + waiting) > _MOST_WORK:
        raise Invalid.at("/days", "too_large", "so many agents and waits are not worked out at once: say fewer days")


async def _items(
    plans: Sequence[_Plan], body: StaffingForecastIn, target: Target, handling: float, patience_: float | None
) -> list[dict[str, Any]]:
    permille = round(body.shrinkage * 1000)
    known: dict[float, dict[str, Any]] = {}
    items = []
    async for plan in in_slices(plans):
        needs: dict[str, Any] = {"agents": None, "scheduled": None, "options": []}
        if plan.arrivals is not None:
            if plan.arrivals not in known:
                demand = Demand(plan.arrivals / _SECONDS[body.interval], handling, patience_)
                known[plan.arrivals] = _needs(demand, target, permille)
            needs = known[plan.arrivals]
        items.append(
            {"start": plan.start, "end": plan.end, "arrivals": plan.arrivals, "past_intervals": plan.past, **needs}
        )
    return items


def _needs(demand: Demand, target: Target, permille: int) -> dict[str, Any]:
    agents = demand.least(target)
    if not agents:
        return {"agents": agents, "scheduled": agents, "options": []}
    numbers = [number for number in (agents - 1, agents, agents + 1) if 0 < number <= MOST_AGENTS]
    return {
        "agents": agents,
        "scheduled": with_shrinkage(agents, permille),
        "options": [_option(demand, target, number, permille) for number in numbers],
    }


def _option(demand: Demand, target: Target, agents: int, permille: int) -> dict[str, Any]:
    figures = demand.figures(agents, target.seconds)
    return {
        "agents": agents,
        "scheduled": with_shrinkage(agents, permille),
        "mean_wait_seconds": figures.wait if isfinite(figures.wait) else None,
        "within_percent": 100 * figures.within,
        "abandoned_percent": 100 * figures.gone,
        "occupancy_percent": 100 * figures.occupancy,
    }


async def _accuracy(hours: Sequence[Hour], patience_: float | None) -> Accuracy | None:
    """Over the last weeks, as far back as it does not take too long."""
    first, work = len(hours) - 1, 0.0
    # The hour that is not over is no hour to judge.
    past = hours[:-1]
    while first > max(0, len(past) - _CHECKED_HOURS) and work <= _MOST_WORK:
        first -= 1
        work += past[first].online + past[first].arrivals / HOUR * (patience_ or 0.0)
    found = None
    async for each in in_slices(accuracy(past, first)):
        found = each
    return found


def _described(found: Accuracy) -> dict[str, Any]:
    return {
        "hours": found.hours,
        "mean_wait_seconds": found.mean,
        "mean_absolute_error_seconds": found.error,
        "error_percent": 100 * found.error / found.mean if found.mean else None,
        "as_before_error_seconds": found.error_before,
        "hours_without_answer": found.answerless,
        "at_work_percent": 100 * found.part,
    }


def _unsure(
    body: StaffingForecastIn, past: Past, found: Patience, plans: Sequence[_Plan], checked: Accuracy | None
) -> Iterator[str]:
    if body.arrivals is None:
        if unknown := sum(plan.arrivals is None for plan in plans):
            yield f"Nothing is planned for {unknown} intervals: no such interval is past. Say `arrivals`."
        if few := sum(plan.arrivals is not None and plan.past < _FEW for plan in plans):
            yield f"{few} intervals are planned from fewer than {_FEW} of the past."
    if body.patience_seconds is None and past.learnt.patience is None:
        yield (
            f"Only {found.gone} customers gave up: patience is not known, and the figures have nobody give up. "
            "They ask for more agents than are needed."
        )
    if about_error := _unsure_of_error(past, checked):
        yield about_error


def _unsure_of_error(past: Past, checked: Accuracy | None) -> str | None:
    if past.learnt.handling_mean is None:
        return "The past does not say how long tickets take: the error on it is not known."
    if not any(hour.online for hour in past.hours):
        return "No agent said that they were online: the error on the past is not known."
    if checked is None:
        return "No past hour could be judged: too little was known before it."
    if checked.error > checked.error_before:
        return "In the past the model was further off than what the same hour of the day before had been."
    return None
