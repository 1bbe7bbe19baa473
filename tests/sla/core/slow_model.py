"""The judge of the engine: what a ticket's clocks are, told metric by metric from the whole timeline instead of entry
by entry, and time counted as membership of slices. Shares no code with the engine, the clock or the calendar."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import ClockState, EndedReason
from app.sla.core.enums import AuthorKind, Metric, Priority, Status
from app.sla.core.policy import AppliesTo, Effect, OnReopen, Policy, SlaException, Target
from app.sla.core.timeline import (
    ClocksEnded,
    Covered,
    Entry,
    Excepted,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
)
from tests.sla.core.brute_calendar import Judge, Spans, clipped, length

HORIZON = datetime(2026, 9, 1, tzinfo=UTC)
"""How far the walk over the calendars goes; nothing later is judged."""
_BEGIN = datetime(2026, 2, 1, tzinfo=UTC)
_DONE = (Status.resolved, Status.closed)


@cache
def _open_spans(calendar: BusinessCalendar) -> Spans:
    return Judge(calendar.timezone, calendar.weekly, frozenset(), calendar.dates).spans(_BEGIN, HORIZON)


@dataclass
class Moment:
    """An entry, and how the ticket stands after it."""

    entry: Entry
    status: Status
    was: Status
    policy: Policy | None
    priority: Priority
    exceptions: tuple[SlaException, ...]

    @property
    def at(self) -> datetime:
        return self.entry.at

    @property
    def done(self) -> bool:
        return self.status in _DONE

    @property
    def over(self) -> bool:
        """The ticket becomes done by this, or is opened so."""
        new = isinstance(self.entry, Opened) or self.was not in _DONE
        return self.done and new and isinstance(self.entry, Opened | StatusSet)

    @property
    def reopened(self) -> bool:
        return isinstance(self.entry, StatusSet) and self.was in _DONE and not self.done

    def target(self, metric: Metric) -> Target | None:
        if self.policy is None:
            return None
        for priority in (self.priority, None):
            for target in self.policy.targets:
                if target.metric is metric and target.priority is priority:
                    return target
        return None

    def pause_on(self, metric: Metric) -> frozenset[Status]:
        target = self.target(metric)
        if target is not None and target.pause_on is not None:
            return target.pause_on
        waits = metric in (Metric.periodic_update, Metric.resolution)
        return frozenset({Status.pending, Status.on_hold}) if waits else frozenset()

    def answers(self) -> bool:
        if not isinstance(self.entry, Said) or not self.entry.public:
            return False
        if self.entry.author is AuthorKind.bot:
            return self.policy is not None and self.policy.bot_counts
        return self.entry.author is AuthorKind.agent


def moments(entries: list[Entry]) -> list[Moment]:
    found: list[Moment] = []
    for n, entry in enumerate(entries):
        seen = entries[: n + 1]
        before = [e.status for e in entries[:n] if isinstance(e, Opened | StatusSet)]
        after = [e.status for e in seen if isinstance(e, Opened | StatusSet)]
        cover = [e for e in seen if isinstance(e, Covered)]
        excepted = [e.exceptions for e in seen if isinstance(e, Excepted)]
        found.append(
            Moment(
                entry,
                after[-1] if after else Status.new,
                before[-1] if before else Status.new,
                cover[-1].policy if cover else None,
                cover[-1].priority if cover else Priority.normal,
                excepted[-1] if excepted else (),
            )
        )
    return found


@dataclass
class Life:
    """One clock: between which entries it lived, twice or more where it was resumed."""

    metric: Metric
    cycle: int
    moments: list[Moment]
    born: list[int]
    died: list[int] = field(default_factory=list)
    stopped: bool = False
    reason: EndedReason | None = None
    promised_until: datetime | None = None

    @property
    def alive(self) -> bool:
        return len(self.died) < len(self.born)

    @property
    def started_at(self) -> datetime:
        return self.moments[self.born[0]].at

    @property
    def ended_at(self) -> datetime | None:
        return None if self.alive else self.moments[self.died[-1]].at

    @property
    def last(self) -> Moment:
        """The last moment that could change anything of it."""
        return self.moments[-1] if self.alive else self.moments[self.died[-1]]

    def die(self, n: int, reason: EndedReason | None) -> None:
        self.died.append(n)
        self.stopped, self.reason = reason is None, reason
        if reason is not None and self.excluded:
            self.reason = EndedReason.exception

    def exceptions(self) -> list[SlaException]:
        """What was granted when it was last looked at, and reaches it."""
        return self._granted(self._looked()[-1])

    def _looked(self) -> list[int]:
        excepted = [n for n in self._lived() if isinstance(self.moments[n].entry, Excepted)]
        return sorted({*self.born, *excepted})

    def _granted(self, n: int) -> list[SlaException]:
        moment = self.moments[n]
        return [
            each
            for each in moment.exceptions
            if not each.metrics or self.metric in each.metrics
            if each.expires_at is None or each.expires_at > self.started_at
            if each.applies_to is AppliesTo.running or each.starts_at <= self.started_at
            if each.starts_at <= moment.at or each.effect is Effect.freeze
        ]

    @property
    def excluded(self) -> bool:
        return _excludes(self.exceptions())

    def broken_at(self) -> datetime | None:
        """The deadline that had passed when it came to be excluded."""
        since, before = None, False
        for n in self._looked():
            excludes = _excludes(self._granted(n))
            since = n if excludes and (not before or n in self.born) else since
            before = excludes
        if since is None or since in self.born:
            return None
        born, died = ([n for n in each if n < since] for each in (self.born, self.died))
        due_at = replace(self, moments=self.moments[:since], born=born, died=died).due_at()
        return due_at if due_at and due_at < self.moments[since].at else None

    def need(self, *, relieved: bool = True) -> timedelta | None:
        target = self.last.target(self.metric)
        seconds = timedelta(seconds=target.seconds) if target else None
        if self.metric is Metric.promise:
            assert self.promised_until is not None
            seconds = self.promised_until - self.started_at
        more = timedelta(0)
        for each in self.exceptions() if relieved else ():
            if each.effect is Effect.retarget:
                seconds = timedelta(seconds=each.seconds or 0)
            if each.effect is Effect.extend:
                more += timedelta(seconds=each.seconds or 0)
        return None if seconds is None else seconds + more

    def elapsed(self, now: datetime) -> timedelta:
        now = self.ended_at or now
        return sum(
            (length(self._open(start, min(end, now))) for start, end in self._runs() if start < now), timedelta(0)
        )

    def paused_time(self, now: datetime) -> timedelta:
        now = self.ended_at or now
        paused = [(start, min(end, now)) for start, end, held in self._slices() if held and start < now]
        return sum((length(self._open(*span)) for span in paused), timedelta(0))

    @property
    def paused(self) -> bool:
        return self.alive and self._held(len(self.moments) - 1)

    def reach(self, need: timedelta, *, relieved: bool = True) -> datetime | None:
        """HORIZON for anything later."""
        for start, end in self._runs(relieved=relieved):
            if need == timedelta(0):
                return start
            for opens, closes in self._open(start, end):
                if need <= closes - opens and (opens + need < end or end == HORIZON):
                    return opens + need
                need -= closes - opens
        return None if self.paused else HORIZON

    def due_at(self, *, relieved: bool = True) -> datetime | None:
        need = self.need(relieved=relieved)
        if relieved and self.excluded:
            return self.broken_at()
        if need is None:
            return None
        return self.reach(need, relieved=relieved)

    def warnings(self) -> list[datetime | None]:
        target, need = self.last.target(self.metric), self.need()
        if target is None or need is None or self.excluded:
            return [None] * len(target.warn_at_percent if target else ())
        return [self.reach(need * percent // 100) for percent in target.warn_at_percent]

    def state(self, now: datetime) -> ClockState:
        due_at = self.due_at()
        if due_at is not None and (self.ended_at or now) > due_at:
            return ClockState.breached
        if self.alive:
            return ClockState.paused if self.paused else ClockState.running
        if not self.stopped:
            return ClockState.cancelled
        return ClockState.met if due_at else ClockState.stopped

    def _lived(self) -> Iterator[int]:
        for n, start in enumerate(self.born):
            yield from range(start, self.died[n] if n < len(self.died) else len(self.moments))

    def _held(self, n: int) -> bool:
        return self.moments[n].status in self.moments[n].pause_on(self.metric)

    def _slices(self) -> list[tuple[datetime, datetime, bool]]:
        """From, until, held up by a pause; what follows the end runs on, so that its deadline is known."""
        found = []
        for n in self._lived():
            until = self.moments[n + 1].at if n + 1 < len(self.moments) else HORIZON
            found.append((self.moments[n].at, until, self._held(n)))
        if self.ended_at:
            found.append((self.ended_at, HORIZON, False))
        return [span for span in found if span[0] < span[1]]

    def _runs(self, *, relieved: bool = True) -> Spans:
        frozen = [each for each in self.exceptions() if each.effect is Effect.freeze] if relieved else []
        edges = sorted({edge for each in frozen for edge in (each.starts_at, each.expires_at) if edge})
        runs: Spans = []
        for start, end, held in self._slices():
            cuts = [start, *(edge for edge in edges if start < edge < end), end]
            for low, high in pairwise(cuts):
                if held or any(each.expires_at and each.starts_at <= low < each.expires_at for each in frozen):
                    continue
                if runs and runs[-1][1] == low:
                    runs[-1] = (runs[-1][0], high)
                else:
                    runs.append((low, high))
        return runs

    def _open(self, start: datetime, end: datetime) -> Spans:
        target, policy = self.last.target(self.metric), self.last.policy
        if target is None or not target.business_hours or self.metric is Metric.promise:
            return clipped([(start, end)], start, end)
        assert policy is not None
        assert policy.calendar is not None
        return clipped(_open_spans(policy.calendar), start, end)


class Lives:
    """All clocks of a timeline."""

    def __init__(self, entries: list[Entry]) -> None:
        self.moments = moments(entries)
        self.all: list[Life] = []
        self._responses()
        self._updates()
        self._resolution()
        self._promises()

    def _bear(self, metric: Metric, n: int, until: datetime | None = None) -> Life:
        cycle = 1 + sum(life.metric is metric for life in self.all)
        self.all.append(Life(metric, cycle, self.moments, [n], promised_until=until))
        return self.all[-1]

    def _responses(self) -> None:
        waits: Life | None = None
        answered = False
        for n, moment in enumerate(self.moments):
            entry = moment.entry
            if waits and waits.alive and moment.answers():
                waits.die(n, None)
                answered = True
            if waits and waits.alive and isinstance(entry, ClocksEnded):
                waits.die(n, entry.reason)
            asks = isinstance(entry, Opened) and entry.by is AuthorKind.customer
            asks |= isinstance(entry, Said) and entry.public and entry.author is AuthorKind.customer and not moment.done
            asks |= isinstance(entry, StatusSet) and moment.reopened and entry.by is AuthorKind.customer
            if asks and not (waits and waits.alive):
                waits = self._bear(Metric.next_response if answered else Metric.first_response, n)
            if waits and waits.alive and moment.over:
                waits.die(n, _reason(entry))

    def _updates(self) -> None:
        life: Life | None = None
        opened, ended = False, None
        for n, moment in enumerate(self.moments):
            opened |= isinstance(moment.entry, Opened)
            ended = moment.entry.reason if isinstance(moment.entry, ClocksEnded) else ended
            if life and life.alive:
                if moment.answers():
                    life.die(n, None)
                elif ended or moment.over:
                    life.die(n, ended or _reason(moment.entry))
            # Whatever happened: who was promised updates and may yet get one waits for it.
            wanted = moment.target(Metric.periodic_update) is not None and not moment.done
            if opened and not ended and wanted and not (life and life.alive):
                life = self._bear(Metric.periodic_update, n)

    def _resolution(self) -> None:
        life: Life | None = None
        for n, moment in enumerate(self.moments):
            if isinstance(moment.entry, Opened):
                life = self._bear(Metric.resolution, n)
            if life and moment.reopened:
                if moment.policy and moment.policy.on_reopen is OnReopen.new_cycle:
                    life = self._bear(Metric.resolution, n)
                else:
                    life.born.append(n)
            if life and life.alive and (moment.over or isinstance(moment.entry, ClocksEnded)):
                life.die(n, moment.entry.reason if isinstance(moment.entry, ClocksEnded) else None)

    def _promises(self) -> None:
        made: list[Life] = []
        for n, moment in enumerate(self.moments):
            entry = moment.entry
            if isinstance(entry, Promised):
                made.append(self._bear(Metric.promise, n, entry.due_at))
            for life in made:
                if not life.alive:
                    continue
                if isinstance(entry, ClocksEnded):
                    life.die(n, entry.reason)
                if isinstance(entry, PromiseOver) and entry.cycle == life.cycle:
                    life.die(n, None if entry.kept else EndedReason.withdrawn)


def _excludes(some: list[SlaException]) -> bool:
    return any(each.effect is Effect.exclude for each in some)


def _reason(entry: Entry) -> EndedReason:
    given_up = isinstance(entry, StatusSet) and entry.by is AuthorKind.customer
    return EndedReason.closed_by_customer if given_up else EndedReason.resolved_without_response
