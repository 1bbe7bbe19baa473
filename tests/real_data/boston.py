"""Service requests to the City of Boston, July to December 2011, and the due times that the city gave them.

The city published each case's due time but no rule. Here the rule of each type of case is worked out from its cases: a
number of whole days, either of office hours or of every day. Our calendars then say when a case is due by that rule,
and the city's own due times are what they are judged by. Cases without a due time are left out: nothing to judge."""

import csv
import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypedDict
from zoneinfo import ZoneInfo

from app.sla.core.calendar import BusinessCalendar

FOLDER = "boston311_2011"
ZONE = ZoneInfo("America/New_York")
OPENING, CLOSING = time(8, 30), time(17)
TOLERANCE = timedelta(seconds=120)
"""The city's clocks drift by some seconds between the opening of a case and its due time."""

DAY_SECONDS = {True: 17 * 1800, False: 22 * 3600}
"""What a business day and a calendar day count: the open time of `OFFICE` and of `DAYS` on one date."""
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Definition(TypedDict):
    """A business calendar as it is sent to the service, but for its name."""

    timezone: str
    hours: dict[str, list[list[str]]]


OFFICE: Definition = {"timezone": ZONE.key, "hours": {day: [["08:30", "17:00"]] for day in WEEK[:5]}}
DAYS: Definition = {"timezone": ZONE.key, "hours": {day: [["00:00", "01:00"], ["03:00", "24:00"]] for day in WEEK}}
"""The city's calendar days end at the wall-clock time at which they began, also across a change of the clocks, where
24 hours of elapsed time are an hour off. Without the two hours in which clocks change, every day has the same 22."""


@dataclass(frozen=True)
class Case:
    case_id: str
    type: str
    opened_at: datetime
    target_at: datetime
    closed_at: datetime | None
    on_time: bool


@dataclass(frozen=True)
class Rule:
    """Due after so many open seconds: of `OFFICE` for business days, of `DAYS` for calendar days."""

    business: bool
    days: int

    @property
    def definition(self) -> Definition:
        return OFFICE if self.business else DAYS

    @property
    def seconds(self) -> int:
        return self.days * DAY_SECONDS[self.business]


def read_cases(path: Path) -> list[Case]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [_case(row) for row in csv.DictReader(file) if row["target_at"]]


def _case(row: dict[str, str]) -> Case:
    return Case(
        row["case_id"],
        row["type"],
        datetime.fromisoformat(row["opened_at"]),
        datetime.fromisoformat(row["target_at"]),
        datetime.fromisoformat(row["closed_at"]) if row["closed_at"] else None,
        row["sla_outcome"] == "on_time",
    )


def calendar(definition: Definition) -> BusinessCalendar:
    weekly = [tuple((_minutes(a), _minutes(b)) for a, b in definition["hours"].get(day, [])) for day in WEEK]
    return BusinessCalendar(definition["timezone"], weekly, {})


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


CALENDARS = {True: calendar(OFFICE), False: calendar(DAYS)}


def rules(cases: Iterable[Case]) -> dict[str, Rule]:
    """Of each type, the number of whole business or calendar days that most of its cases were given; where two explain
    as many, the one that explains more cases of all types. A type of which no case was given whole days has no rule."""
    found: defaultdict[str, Counter[Rule]] = defaultdict(Counter)
    for case in cases:
        for business in (True, False):
            given = CALENDARS[business].elapsed(case.opened_at, case.target_at)
            rule = Rule(business, round(given.total_seconds() / DAY_SECONDS[business]))
            if rule.days > 0 and abs(given - timedelta(seconds=rule.seconds)) <= TOLERANCE:
                found[case.type][rule] += 1
    overall = sum(found.values(), Counter[Rule]())
    return {kind: max(counts, key=lambda rule: (counts[rule], overall[rule])) for kind, counts in found.items()}


def due_at(case: Case, rule: Rule) -> datetime:
    """When the case is due by our arithmetic."""
    return CALENDARS[rule.business].after(case.opened_at, timedelta(seconds=rule.seconds))


def hits(due: datetime, case: Case) -> bool:
    return abs(due - case.target_at) <= TOLERANCE


def is_met(due: datetime, case: Case) -> bool:
    return case.closed_at is not None and case.closed_at <= due


def opened_in_office_hours(case: Case) -> bool:
    local = case.opened_at.astimezone(ZONE)
    return local.weekday() < 5 and OPENING <= local.time() < CLOSING


def whole_days_due(case: Case, rule: Rule) -> datetime:
    """When the case is due by the arithmetic of the city, which moves the opening and then counts dates: a weekend's
    opening to the same time on Monday, one at 17:00 or later to 08:30 of the next business day. One before 08:30 stays,
    so that a case can be due at night. Ours counts open time, which puts such cases at 17:00 of the last day."""
    local = case.opened_at.astimezone(ZONE)  # adding days to it keeps the wall-clock time
    if not rule.business:
        return (local + timedelta(days=rule.days)).astimezone(UTC)
    if local.weekday() >= 5:
        local = _next_business_day(local)
    if local.time() >= CLOSING:
        local = datetime.combine(_next_business_day(local), OPENING, ZONE)
    for _ in range(rule.days):
        local = _next_business_day(local)
    return local.astimezone(UTC)


def _next_business_day(local: datetime) -> datetime:
    return local + timedelta(days={4: 3, 5: 2}.get(local.weekday(), 1))


def main(path: Path) -> None:
    cases = read_cases(path)
    known = rules(cases)
    groups: defaultdict[str, list[tuple[Case, Rule]]] = defaultdict(list)
    for case in cases:
        if rule := known.get(case.type):
            opened = "opened in office hours" if opened_in_office_hours(case) else "opened after hours"
            groups[f"business days, {opened}" if rule.business else "calendar days"].append((case, rule))
    print(f"{len(cases)} cases, {sum(map(len, groups.values()))} of them of {len(known)} types with a rule")
    print(f"{'':38} cases   hits  share  misses  by whole_days_due  other verdict")
    for title, group in sorted(groups.items()):
        right = [(case, rule) for case, rule in group if hits(due_at(case, rule), case)]
        missed = [(case, rule) for case, rule in group if not hits(due_at(case, rule), case)]
        explained = sum(hits(whole_days_due(case, rule), case) for case, rule in missed)
        other = [case.case_id for case, rule in right if is_met(due_at(case, rule), case) != case.on_time]
        print(f"{title:38}{len(group):6} {len(right):6} {len(right) / len(group):6.2%}", end=" ")
        print(f"{len(missed):7} {explained:18} {len(other):14}", *other)
    for rule in sorted(set(known.values()), key=lambda rule: (not rule.business, rule.days)):
        types = [kind for kind in known if known[kind] == rule]
        count = sum(case.type in types for case in cases)
        print(f"{rule.days:4} {'business' if rule.business else 'calendar'} days: {len(types):3} types {count:6} cases")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
