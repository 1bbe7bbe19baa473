"""The calls to a bank, one after the other as they came, and what was said to each of how long it would wait.

What a caller met is worked out from the calls: who was ahead, who was there to answer, and who of them was in a call.
Nothing is looked at before its instant. The calls lie beside the project or in TICKET_DATA; where they do not, there is
nothing to measure."""

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from app.sla.core.enums import Priority
from app.sla.core.outlook import Curve, Outlook, Table, Wait, ahead_class, idle_class

PLACE = Path(os.environ.get("TICKET_DATA") or Path(__file__).parents[2] / "shared" / "data")
CALLS = PLACE / "callcenter_feb1999" / "cases.csv.gz"
REFERENCE = PLACE.parent / "reference" / "c_promise_dev.json"

WARM_UP_SECONDS = 3 * 86_400
_PRIORITIES = {"regular": Priority.normal, "high": Priority.high}
# In this call centre high priority is worth so many seconds of waiting, and a call is in the queue once its caller has
# been through the menu.
_CREDIT_SECONDS, _MENU_SECONDS = 90, 10
# Whoever answered, or whose call ended, within so long is there.
_THERE_SECONDS = 1_200


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    opened: float
    ended: float
    answered: bool
    priority: Priority
    agent: str
    service: float

    @property
    def wait(self) -> Wait:
        return Wait(self.ended - self.opened, self.answered)

    @property
    def place(self) -> float:
        """In the queue: the least comes first."""
        return self.opened - (_CREDIT_SECONDS if self.priority is Priority.high else 0)


class Met(NamedTuple):
    """What a caller met."""

    ahead: int
    online: int
    busy: int

    @property
    def classes(self) -> tuple[int, int]:
        return ahead_class(self.ahead), idle_class(self.online, self.online - self.busy)


class Foretold(NamedTuple):
    """A call, and what was said: None where too little was known. `curve` is the method's own, `outlook` what a caller
    is told, which is never less for a longer queue."""

    call: Call
    met: Met
    curve: Curve | None
    outlook: Outlook | None


def calls() -> list[Call]:
    """In the order they came. Left out are those with an anomaly, and those answered nobody knows when."""
    with gzip.open(CALLS, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["anomaly"] and row["outcome"] != "answered_time_unknown"]
    return sorted(map(_call, rows), key=lambda call: (call.opened, call.id))


def foretold(some: list[Call]) -> Iterator[Foretold]:
    """Each call after the warm-up with what was said of it, learnt from those that were over by then."""
    table, hall, over = Table(), _Hall(), list[tuple[float, int, Call, tuple[int, int]]]()
    for number, call in enumerate(some):
        while over and over[0][0] <= call.opened:
            _, _, done, classes = heappop(over)
            table.learn(done.priority, *classes, done.wait)
        met = hall.enter(call)
        if call.opened >= some[0].opened + WARM_UP_SECONDS:
            asked = call.priority, *met.classes
            yield Foretold(call, met, table.curve(*asked), table.outlook(*asked))
        heappush(over, (call.ended, number, call, met.classes))


@dataclass(slots=True)
class _Hall:
    """Who waits and who answers, as far as is known at an instant: what ended at that second is known."""

    waiting: dict[str, Call] = field(default_factory=dict)
    talking: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    ahead_of_us: list[tuple[float, bool, str, Call]] = field(default_factory=list)

    def enter(self, call: Call) -> Met:
        while self.ahead_of_us and self.ahead_of_us[0][0] <= call.opened:
            at, hung_up, _, earlier = heappop(self.ahead_of_us)
            self._hang_up(at, earlier) if hung_up else self._end_wait(at, earlier)
        there = sum(seen >= call.opened - _THERE_SECONDS for seen in self.seen.values())
        busy = sum(until > call.opened for until in self.talking.values())
        ahead = sum(
            call.opened - other.opened >= _MENU_SECONDS and other.place <= call.place for other in self.waiting.values()
        )
        self.waiting[call.id] = call
        heappush(self.ahead_of_us, (call.ended, False, call.id, call))
        return Met(ahead, there, busy)

    def _end_wait(self, at: float, call: Call) -> None:
        del self.waiting[call.id]
        if call.answered and call.agent:
            until = at + call.service
            self.talking[call.agent] = self.seen[call.agent] = until
            heappush(self.ahead_of_us, (until, True, call.id, call))

    def _hang_up(self, at: float, call: Call) -> None:
        if self.talking.get(call.agent, 0) <= at:
            self.talking.pop(call.agent, None)


def _call(row: dict[str, str]) -> Call:
    answered = row["outcome"] == "answered"
    ended = row["answered_at"] if answered else row["abandoned_at"]
    return Call(
        row["case_id"], _seconds(row["opened_at"]), _seconds(ended), answered, _PRIORITIES[row["priority"]],
        row["agent"], float(row["service_seconds"] or 0),
    )  # fmt: skip


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
