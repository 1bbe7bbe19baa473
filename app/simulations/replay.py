"""A ticket's past under other policies: its log is told once more, and wherever it came under a policy it comes under
the drafted one that matches what it was then. Pure; the clocks are the engine's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Values
from app.sla.core.clock import Clock
from app.sla.core.engine import replay
from app.sla.core.enums import Priority
from app.sla.core.policy import Policy, SlaException
from app.sla.core.timeline import Covered, Entry, Excepted
from app.sla.coverage import MATCHED
from app.verification.clocks import Cover, entries_of

Match = Callable[[Mapping[str, Any]], Policy | None]
_MATCHED = frozenset(MATCHED)
_COVERING = ("ticket.created", "sla.policy_applied")


@dataclass(slots=True)
class Replay:
    """One ticket. `after` is told entry by entry beside `before`; where both say the same, one is replayed."""

    match: Match
    drafted: tuple[SlaException, ...] = ()
    before: list[Entry] = field(default_factory=list)
    after: list[Entry] = field(default_factory=list)
    differs: bool = False
    # As it is on the way.
    _now: dict[str, Any] = field(default_factory=dict)
    _cover: tuple[Policy | None, Priority] | None = None
    _changed_at: datetime | None = None
    _logged: tuple[SlaException, ...] = ()
    _to_begin: list[datetime] = field(default_factory=list)

    def tell(self, log: Sequence[Values], ticket: Values, covers: Mapping[Cover, Policy], until: datetime) -> None:
        """All that the log says of the ticket up to now."""
        self._now = _at_first(ticket, log)
        for row in log:
            at: datetime = row["occurred_at"]
            self._begin(at)
            if row["type"] == "ticket.updated":
                self._change(row["data"]["changes"], at)
                continue
            entries = entries_of(row, covers)
            self.before += entries
            if row["type"] in _COVERING:
                covered = entries[0]
                assert isinstance(covered, Covered)
                self._come_under(covered, opened=row["type"] == "ticket.created")
                self.after += entries[1:]
                continue
            self._match_again()
            for entry in entries:
                self.after.append(self._excepted(entry) if isinstance(entry, Excepted) else entry)
        self._match_again()
        self._begin(until)

    def clocks(self) -> tuple[tuple[Clock, ...], tuple[Clock, ...]]:
        before = replay(self.before).clocks
        return before, replay(self.after).clocks if self.differs else before

    def _change(self, changes: Mapping[str, Any], at: datetime) -> None:
        if not _MATCHED.isdisjoint(changes):
            self._now |= {name: _read(name, change["after"]) for name, change in changes.items() if name in _MATCHED}
            # What was matched then is told next: only where nothing came of it is nothing told.
            self._changed_at = at

    def _come_under(self, covered: Covered, *, opened: bool) -> None:
        policy = self.match(self._now)
        self.differs = self.differs or not same_promise(covered.policy, policy)
        self._changed_at = None
        if opened:
            self._to_begin = [each.starts_at for each in self.drafted if not each.begun(covered.at)]
            self._to_begin.sort()
            self.drafted = tuple(each for each in self.drafted if not each.over(covered.at))
            if self.drafted:
                self.after.append(self._excepted(Excepted(covered.at, self._logged)))
        if opened or self._is_new(policy, covered.priority):
            self._cover = policy, covered.priority
            self.after.append(Covered(covered.at, policy, covered.priority))

    def _match_again(self) -> None:
        if self._changed_at is None:
            return
        policy, priority = self.match(self._now), Priority(self._now["priority"])
        if self._is_new(policy, priority):
            self._cover, self.differs = (policy, priority), True
            self.after.append(Covered(self._changed_at, policy, priority))
        self._changed_at = None

    def _is_new(self, policy: Policy | None, priority: Priority) -> bool:
        return self._cover is None or policy is not self._cover[0] or priority is not self._cover[1]

    def _begin(self, until: datetime) -> None:
        """Drafted exceptions begin on the way."""
        while self._to_begin and self._to_begin[0] <= until:
            self.after.append(self._excepted(Excepted(self._to_begin.pop(0), self._logged)))

    def _excepted(self, entry: Excepted) -> Excepted:
        self._logged = entry.exceptions
        begun = tuple(each for each in self.drafted if each.begun(entry.at))
        self.differs = self.differs or bool(begun)
        return Excepted(entry.at, (*entry.exceptions, *begun)) if begun else entry


def _at_first(ticket: Values, log: Iterable[Values]) -> dict[str, Any]:
    """What conditions read of the ticket, as it was opened: what changed later was something else before."""
    first = {name: ticket[name] for name in MATCHED}
    seen: set[str] = set()
    for row in log:
        if row["type"] == "ticket.updated":
            for name, change in row["data"]["changes"].items():
                if name in _MATCHED and name not in seen:
                    seen.add(name)
                    first[name] = _read(name, change["before"])
    return first


def _read(name: str, value: Any) -> Any:
    return UUID(value) if name == "team_id" and value else value


def same_promise(one: Policy | None, other: Policy | None) -> bool:
    """Whether they come to the same clocks, whatever they are called and whom they match."""
    if one is None or other is None:
        return one is other
    return one is other or (
        (frozenset(one.targets), one.bot_counts, one.on_reopen)
        == (frozenset(other.targets), other.bot_counts, other.on_reopen)
        and one.calendar == other.calendar
    )


def started_in(clocks: Iterable[Clock], start: datetime, end: datetime) -> list[Clock]:
    return [clock for clock in clocks if start <= clock.started_at < end]
