"""Why a goal's mean wait is what it is, against the window before: where the seconds went, mix and within by
dimension, and causes by replay. Each adds up to the change exactly, to the microsecond."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.goals.cohort import cohort_of
from app.goals.judging import check_known
from app.goals.service import GOALS
from app.goals.tables import service_goal_misses
from app.goals.why_reading import Staff, Wait, queue_window, read_waits
from app.goals.why_schemas import Dimension, GoalWhyQuery, Verdict
from app.sla.core.calendar import day_of
from app.sla.core.causes import Explanation, explained
from app.sla.core.mix import GroupTotal, mix_and_within, whole_parts
from app.sla.core.replayed_queue import Cause
from app.sla.core.wait_parts import WaitPart, total
from app.web.slices import in_slices

# Of the windows before, as many are looked at for what is usual, and so many waits of each are replayed.
USUAL = 5
MOST_REPLAYED = 2_000
_TICKETS, _GROUPS = 5, 20
_LONGEST = timedelta(days=31)
_m = service_goal_misses.c
_LAST_MISS = Query(
    select(_m.missed_at).where(_m.goal_id == bindparam("goal_id")).order_by(_m.missed_at.desc()).limit(1)
)


@dataclass(frozen=True, slots=True)
class _Window:
    start: datetime
    end: datetime
    waits: Sequence[Wait]
    staff: Staff

    @property
    def counted(self) -> list[Wait]:
        return [wait for wait in self.waits if not wait.deflected]

    @property
    def mean(self) -> Fraction | None:
        counted = self.counted
        return Fraction(sum(wait.length for wait in counted), len(counted)) if counted else None


async def why(tx: Transaction, id: UUID, query: GoalWhyQuery) -> dict[str, Any]:
    """The transaction must read a snapshot. Cost: the clocks of up to six windows and some 500 replays of at most
    `MOST_REPLAYED` waits. Raises NotFound, NewerRelease, and Invalid for a span that cannot be explained."""
    goal = await GOALS.get(tx, id)
    check_known(goal)
    now = await tx.now()
    start, end = await _span(tx, goal, query, now)
    length = end - start
    given = cohort_of(goal, start - length, now, end)
    before, after = _split(*await read_waits(tx, given), [start - length, start, end])
    means = before.mean, after.mean
    change = _rounded(means[1]) - _rounded(means[0]) if None not in means else 0
    known = means[0] is not None and means[1] is not None
    parts = _parts(before, after) if known else []
    found, because = (None, "One of the two windows has no wait.") if not known else await _causes(
        tx, goal, before, after, Fraction(change), now
    )  # fmt: skip
    return {
        "goal_id": id,
        "metric": goal["metric"],
        "before": _described(before),
        "after": _described(after),
        "change_seconds": _seconds(change),
        "in_words": _in_words(before, after, parts, found),
        "parts": parts,
        "dimensions": [_dimension(each, before, after, change) for each in Dimension] if known else [],
        "causes": found,
        "because": because,
    }


async def _span(tx: Transaction, goal: Row, query: GoalWhyQuery, now: datetime) -> tuple[datetime, datetime]:
    zone = query.timezone if "timezone" in query.model_fields_set else goal["calendar_day"] or "UTC"
    start, end = query.span(zone)
    if start is None and end is None:
        missed = await tx.row(_LAST_MISS, goal_id=goal["id"])
        at: datetime = missed["missed_at"] if missed else now
        day = goal["calendar_day"]
        start, end = day_of(day, at) if day else (at - timedelta(seconds=goal["rolling_seconds"]), at)
    if start is None:
        raise Invalid.at("/query/from", "required", "`to` alone is no span: say `from`, too")
    end = min(end or now, now)
    if not timedelta(0) < end - start <= _LONGEST:
        raise Invalid.at("/query/to", "out_of_range", f"after `from`, by {_LONGEST.days} days at most, up to now")
    return start, end


def _split(waits: Sequence[Wait], staff: Staff, ends: Sequence[datetime]) -> list[_Window]:
    places = [bisect_left(waits, at, key=lambda wait: wait.clock.started_at) for at in ends]
    return [
        _Window(*span, waits[first:last], staff)
        for span, (first, last) in zip(pairwise(ends), pairwise(places), strict=True)
    ]


def _described(window: _Window) -> dict[str, Any]:
    mean, waits = window.mean, len(window.counted)
    return {
        "start": window.start, "end": window.end, "waits": waits,
        "mean_seconds": None if mean is None else _seconds(_rounded(mean)),
    }  # fmt: skip


def _parts(before: _Window, after: _Window) -> list[dict[str, Any]]:
    sides = []
    for window in (before, after):
        counted = window.counted
        means = {part: Fraction(length, len(counted)) for part, length in total(wait.parts for wait in counted).items()}
        sides.append(whole_parts(means, _rounded(window.mean)))
    return [
        {
            "part": part,
            "before_seconds": _seconds(sides[0][part]),
            "after_seconds": _seconds(sides[1][part]),
            "change_seconds": _seconds(sides[1][part] - sides[0][part]),
            "tickets": _most(after.counted, partial(_length_of, part)),
        }
        for part in WaitPart
    ]


def _length_of(part: WaitPart, wait: Wait) -> int:
    return wait.parts[part]


def _dimension(dimension: Dimension, before: _Window, after: _Window, change: int) -> dict[str, Any]:
    sides = [_by_group(window.counted, dimension) for window in (before, after)]
    totals = [
        {group: GroupTotal(len(waits), sum(wait.length for wait in waits)) for group, waits in side.items()}
        for side in sides
    ]
    effects = {
        (group, kind): part
        for group, effect in mix_and_within(totals[0], totals[1]).items()
        for kind, part in zip(("mix", "within"), effect, strict=True)
    }
    whole = whole_parts(effects, change)
    groups = dict.fromkeys(group for group, _ in effects)
    largest = sorted(groups, key=lambda group: -abs(whole[group, "mix"]) - abs(whole[group, "within"]))
    shown, others = largest[:_GROUPS], largest[_GROUPS:]
    none = GroupTotal(0, 0)
    return {
        "dimension": dimension,
        "groups": [
            {
                "group": group,
                **_of_side("before", totals[0].get(group, none)),
                **_of_side("after", totals[1].get(group, none)),
                **{f"{kind}_seconds": _seconds(whole[group, kind]) for kind in ("mix", "within")},
                "tickets": _most(sides[1].get(group, ()), lambda wait: wait.length),
            }
            for group in shown
        ],
        **{
            f"others_{kind}_seconds": _seconds(sum(whole[group, kind] for group in others))
            for kind in ("mix", "within")
        },
    }


def _by_group(waits: Iterable[Wait], dimension: Dimension) -> dict[str | None, list[Wait]]:
    groups: dict[str | None, list[Wait]] = defaultdict(list)
    for wait in waits:
        groups[wait.groups[dimension]].append(wait)
    return groups


def _of_side(side: str, of: GroupTotal) -> dict[str, Any]:
    mean = _seconds(_rounded(Fraction(of.total, of.waits))) if of.waits else None
    return {f"waits_{side}": of.waits, f"mean_{side}_seconds": mean}


async def _causes(
    tx: Transaction, goal: Row, before: _Window, after: _Window, change: Fraction, now: datetime
) -> tuple[dict[str, Any] | None, str | None]:
    """None, and why, where they cannot be told."""
    if because := _not_replayable(after):
        return None, because
    usual = [window for window in [before, *await _earlier(tx, goal, before, now)] if not _not_replayable(window)]
    if not usual:
        return None, f"No window before can be replayed. {_not_replayable(before)}"
    length = after.end - after.start
    # Who was online just after a window answers what came in at its end.
    windows = [
        queue_window(window.waits, window.staff, window.start, window.end + length) for window in [after, *usual]
    ]
    means = [window.mean for window in usual]
    mean = sum((each for each in means if each is not None), Fraction(0)) / len(usual)
    explanation = await _in_turns(explained(windows[1:], windows[0], mean, change))
    return _causes_described(explanation, after, before, len(usual)), None


def _not_replayable(window: _Window) -> str | None:
    counted = window.counted
    if not counted:
        return "There is no wait to replay."
    if len(window.waits) > MOST_REPLAYED:
        return f"More than {MOST_REPLAYED} waits of a window are not replayed: narrow `from` and `to`."
    if not any(wait.handling for wait in counted):
        return "Nothing is known of how long tickets took to handle."
    end = window.end + (window.end - window.start)
    if not any(each.start < end and each.end > window.start and each.capacity for each in window.staff.online):
        return "No agent said that they were online."
    return None


async def _earlier(tx: Transaction, goal: Row, before: _Window, now: datetime) -> list[_Window]:
    """The windows before that one, as far as they are not too large."""
    length = before.end - before.start
    ends = [before.start - number * length for number in range(USUAL - 1, -1, -1)]
    try:
        waits, staff = await read_waits(tx, cohort_of(goal, ends[0], now, ends[-1]), USUAL * MOST_REPLAYED)
    except Invalid:
        return []
    return _split(waits, staff, ends)


async def _in_turns(steps: Any) -> Explanation:
    """The replays, with others having their turn between them."""

    def run() -> Iterable[Explanation | None]:
        result = yield from steps
        yield result

    found = None
    async for each in in_slices(run()):
        found = each
    assert found is not None
    return found


def _causes_described(found: Explanation, after: _Window, before: _Window, windows: int) -> dict[str, Any]:
    rest: Cause | None = None
    whole = whole_parts({**found.effects, rest: found.rest}, int(found.change))
    named = found.named
    verdict = Verdict.unknown if found.spread is None else Verdict.causes if named else Verdict.normal_variation
    shows = _shows(after, before)
    return {
        "verdict": verdict,
        "items": [
            {
                "cause": cause, "effect_seconds": _seconds(whole[cause]), "named": cause in named,
                "tickets": _most(after.waits, shows[cause]),
            }
            for cause in found.ranked
        ],
        "rest_seconds": _seconds(whole[rest]),
        "spread_seconds": None if found.spread is None else _seconds(_rounded(found.spread)),
        "windows": windows,
        "handling_scale": found.scale / 1000,
    }  # fmt: skip


def _shows(after: _Window, before: _Window) -> Mapping[Cause, Callable[[Wait], int]]:
    """How many microseconds of a wait, or of its handling, each cause is seen in."""
    kinds = [_share_of_kinds(window) for window in (before, after)]
    staffed = (WaitPart.nobody_online, WaitPart.all_busy)

    def of(*parts: WaitPart) -> Callable[[Wait], int]:
        return lambda wait: sum(wait.parts.get(part, 0) for part in parts)

    return {
        Cause.volume: of(WaitPart.all_busy),
        Cause.staffing: of(*staffed),
        Cause.handling: lambda wait: wait.handling,
        Cause.mix: lambda wait: wait.handling if kinds[1][wait.kind.name] > kinds[0].get(wait.kind.name, 0) else 0,
        Cause.bots: of(WaitPart.with_bot),
    }


def _share_of_kinds(window: _Window) -> dict[str, Fraction]:
    count: dict[str, int] = defaultdict(int)
    for wait in window.waits:
        count[wait.kind.name] += 1
    return {kind: Fraction(number, len(window.waits)) for kind, number in count.items()}


def _most(waits: Iterable[Wait], of: Callable[[Wait], int]) -> list[dict[str, Any]]:
    found = sorted(((of(wait), wait.ticket_id) for wait in waits), reverse=True)[:_TICKETS]
    return [{"ticket_id": ticket_id, "seconds": _seconds(length)} for length, ticket_id in found if length]


def _in_words(before: _Window, after: _Window, parts: Sequence[Mapping[str, Any]], found: Any) -> str:
    if not parts:
        return "There is nothing to compare: one of the two windows has no wait."
    was, is_ = (_seconds(_rounded(window.mean)) for window in (before, after))
    sign = 1 if is_ >= was else -1
    most = max(parts, key=lambda part: sign * part["change_seconds"])
    words = f"The mean wait went from {was:.1f} s to {is_:.1f} s; most of that is {_PART_WORDS[most['part']]}"
    words += f" ({most['change_seconds']:+.1f} s)."
    if found and found["verdict"] is Verdict.causes:
        named = [f"{each['cause'].value} ({each['effect_seconds']:+.1f} s)" for each in found["items"] if each["named"]]
        words += f" Caused by {', '.join(named)}."
    elif found and found["verdict"] is Verdict.normal_variation:
        words += " It is within normal variation."
    return words


_PART_WORDS = {
    WaitPart.outside_hours: "time outside business hours",
    WaitPart.with_bot: "time with a bot",
    WaitPart.nobody_online: "time in which nobody was online",
    WaitPart.all_busy: "time in which all who were online had their hands full",
    WaitPart.free_not_taken: "time in which somebody was free and did not take the ticket",
}


def _rounded(mean: Fraction | None) -> int:
    assert mean is not None
    return round(mean)


def _seconds(length: int) -> float:
    return length / 1_000_000
