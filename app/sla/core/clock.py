"""One clock: how long somebody waited, against what was promised.

Measuring is separate from judging. A clock has a start and an end whether or not a policy covers it; the target only
lays a deadline over it. Whether it is running, met or breached is never stored as a decision: it is computed from the
instants and `now`, so that no reader sees a passed deadline as running. Nor is time added up: what counts is worked
out from the start, the pauses and the calendar, so that a change of terms leaves no rounding and no history behind."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from app.sla.core.enums import Metric, Status
from app.sla.core.policy import NO_RELIEF, Relief, Terms


class ClockState(StrEnum):
    running = "running"
    paused = "paused"
    met = "met"
    breached = "breached"
    cancelled = "cancelled"
    stopped = "stopped"


class EndedReason(StrEnum):
    """Why a clock ended without its stop."""

    resolved_without_response = "resolved_without_response"
    closed_by_customer = "closed_by_customer"
    merged = "merged"
    spam = "spam"
    withdrawn = "withdrawn"
    exception = "exception"


Spans = tuple[datetime, ...]
"""from, until, from, until …: of odd length while the last one lasts."""

_ZERO = timedelta(0)


class Clock(NamedTuple):
    """A named tuple rather than a dataclass: an import makes millions, each from the one before."""

    metric: Metric
    cycle: int
    started_at: datetime
    terms: Terms = Terms()
    # A promise brings its own deadline; everything else has that of its terms.
    promised_until: datetime | None = None
    pauses: Spans = ()
    # Left out like a pause, but nobody paused it: a `resolution` that was stopped and runs on.
    resolved: Spans = ()
    relief: Relief = NO_RELIEF
    original_due_at: datetime | None = None
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    # Whoever stopped it: the author of the message, or the agent who resolved the ticket or kept the promise.
    responder_id: UUID | None = None
    # Of an excluded clock that had broken before: its deadline. What has happened stays.
    broken_at: datetime | None = None

    @classmethod
    def started(
        cls,
        metric: Metric,
        cycle: int,
        at: datetime,
        terms: Terms,
        promised_until: datetime | None,
        pauses: Spans,
        relief: Relief,
    ) -> "Clock":
        return cls(metric, cycle, at, terms, promised_until, pauses, (), relief)._with_first_deadline()

    @property
    def answered(self) -> bool:
        return self.stopped_at is not None

    @property
    def paused(self) -> bool:
        return self.ended_at is None and len(self.pauses) % 2 == 1

    @property
    def target_seconds(self) -> int | None:
        target = self._target(self.relief)
        return None if target is None else -(-target // timedelta(seconds=1))

    @property
    def due_at(self) -> datetime | None:
        """None without a target, and while a pause holds up what has not been reached. An excluded clock has none, but
        for one that had broken before."""
        return self.broken_at if self.relief.excluded else self._due(self.relief)

    @property
    def unrelieved_due_at(self) -> datetime | None:
        """The deadline, had no exception been granted."""
        return self._due(NO_RELIEF)

    def elapsed(self, now: datetime) -> timedelta:
        """In the clock's own time, up to the end or `now`; nothing yet where `now` is a machine's that was put back."""
        now = self.ended_at or now
        if not (self.pauses or self.resolved or self.relief.frozen or self.terms.calendar):
            return max(now - self.started_at, _ZERO)
        total = _ZERO
        for start, until in self.runs():
            if start < now:
                total += self.span(start, min(until or now, now))
        return total

    def later(self, now: datetime, seconds: float) -> datetime:
        """When so much more of its own time has passed, if it does not pause."""
        need, calendar = timedelta(seconds=seconds), self.terms.calendar
        return calendar.after(now, need) if calendar else now + need

    def paused_time(self, now: datetime) -> timedelta:
        """In the clock's own time, a running pause included."""
        now = self.ended_at or now
        spans = ((start, min(until or now, now)) for start, until in _pairs(self.pauses) if start < now)
        return sum((self.span(start, until) for start, until in spans), _ZERO)

    def remaining(self, now: datetime) -> timedelta | None:
        """Of the clock's own time: negative past the deadline, None without one or once ended."""
        target = self._target(self.relief)
        if target is None or self.ended_at or self.relief.excluded:
            return None
        return target - self.elapsed(now)

    def breached(self, now: datetime) -> bool:
        """Stopped at the deadline exactly is met; one microsecond later is not."""
        due_at = self.due_at
        return due_at is not None and (self.ended_at or now) > due_at

    def state(self, now: datetime) -> ClockState:
        due_at = self.due_at
        if due_at is not None and (self.ended_at or now) > due_at:
            return ClockState.breached
        if self.ended_at is None:
            return ClockState.paused if self.paused else ClockState.running
        if self.ended_reason is not None:
            return ClockState.cancelled
        return ClockState.stopped if due_at is None else ClockState.met

    def warnings(self) -> tuple[datetime | None, ...]:
        """The instants that `warn_at_percent` names, in its order; None for what never comes or a pause holds up."""
        target = self._target(self.relief)
        if target is None or self.relief.excluded:
            return (None,) * len(self.terms.warn_at_percent)
        # Whole microseconds: a percent of a whole second is one.
        return tuple(self.reaches(target * percent // 100) for percent in self.terms.warn_at_percent)

    def next_at(self, after: datetime | None = None) -> datetime | None:
        """The next instant at which anything happens to the clock by itself: a warning or the breach.
        Without `after`, the first one there is, even where it has passed."""
        end = self.ended_at
        waiting = [
            at
            for at in (*self.warnings(), self.due_at)
            if at and (after is None or at >= after) and (end is None or at < end)
        ]
        return min(waiting, default=None)

    def span(self, start: datetime, end: datetime) -> timedelta:
        """What counts of a span, pauses aside."""
        return self.terms.calendar.elapsed(start, end) if self.terms.calendar else end - start

    def runs(self, frozen: Spans | None = None) -> Iterator[tuple[datetime, datetime | None]]:
        """The spans in which the clock ran or will run, in order; the last one open (None) unless a pause lasts. Once
        the clock has ended, a pause that lasted then counts as over."""
        at = self.started_at
        for start, until in self._gaps(self.relief.frozen if frozen is None else frozen):
            if start > at:
                yield at, start
            if until is None:
                return
            at = max(at, until)
        yield at, None

    def covered(self, terms: Terms, status: Status, at: datetime) -> "Clock":
        """The clock under another promise: the start and the pauses stay, the deadline is worked out anew."""
        if terms == self.terms:
            return self
        return self._changed(terms=terms, pauses=_paused(self.pauses, status in terms.pause_on, at))

    def relieved(self, relief: Relief, at: datetime) -> "Clock":
        if relief == self.relief:
            return self
        broken_at = self.due_at if relief.excluded and self.breached(at) else None
        return self._changed(relief=relief, broken_at=broken_at)

    @property
    def unexcepted(self) -> "Clock":
        """As if no exception had been granted."""
        return self._replace(relief=NO_RELIEF, broken_at=None)

    def in_status(self, status: Status, at: datetime) -> "Clock":
        """Pause or run on, as the terms say of the status."""
        pause = status in self.terms.pause_on
        return self if pause == self.paused else self._changed(pauses=_paused(self.pauses, pause, at))

    def stop(self, at: datetime, responder_id: UUID | None = None) -> "Clock":
        return self._replace(stopped_at=at, ended_at=at, responder_id=responder_id)._with_first_deadline()

    def end(self, at: datetime, reason: EndedReason) -> "Clock":
        reason = EndedReason.exception if self.relief.excluded else reason
        return self._replace(ended_at=at, ended_reason=reason)._with_first_deadline()

    def revived(self) -> "Clock":
        """It has not ended: what ended it was undone."""
        return self._changed(ended_at=None, ended_reason=None)

    def resumed(self, terms: Terms, relief: Relief, status: Status, at: datetime) -> "Clock":
        """A stopped clock runs on; the time since its stop is left out."""
        assert self.stopped_at is not None
        return self._changed(
            terms=terms,
            relief=relief,
            pauses=_paused(_paused(self.pauses, False, self.stopped_at), status in terms.pause_on, at),
            resolved=(*self.resolved, self.stopped_at, at),
            stopped_at=None,
            ended_at=None,
            responder_id=None,
            broken_at=None,
        )

    def _changed(self, **values: Any) -> "Clock":
        return self._replace(**values)._with_first_deadline()

    def _with_first_deadline(self) -> "Clock":
        """The first deadline it ever had stays known."""
        if self.original_due_at is not None or (due_at := self.due_at) is None:
            return self
        return self._replace(original_due_at=due_at)

    def _target(self, relief: Relief) -> timedelta | None:
        if relief.seconds is not None:
            target = timedelta(seconds=relief.seconds)
        elif self.promised_until is not None:
            target = self.promised_until - self.started_at
        elif self.terms.seconds is not None:
            target = timedelta(seconds=self.terms.seconds)
        else:
            return None
        return target + timedelta(seconds=relief.extra_seconds) if relief.extra_seconds else target

    def _due(self, relief: Relief) -> datetime | None:
        target = self._target(relief)
        return None if target is None or relief.excluded else self.reaches(target, relief.frozen)

    def reaches(self, need: timedelta, frozen: Spans | None = None) -> datetime | None:
        """When `need` of the clock's own time has passed; None while a pause holds it up. What is used up at the very
        instant of a pause is reached when the clock runs on."""
        calendar = self.terms.calendar
        if not (self.pauses or self.resolved or frozen or self.relief.frozen):
            return calendar.after(self.started_at, need) if calendar else self.started_at + need
        for start, until in self.runs(frozen):
            at = calendar.after(start, need) if calendar else start + need
            if until is None or at < until:
                return at
            need -= self.span(start, until)
        return None

    def _gaps(self, frozen: Spans) -> list[tuple[datetime, datetime | None]]:
        if not (self.pauses or self.resolved or frozen):
            return []
        spans = (*_pairs(self.pauses), *_pairs(self.resolved), *_pairs(frozen))
        return sorted(((start, until or self.ended_at) for start, until in spans), key=itemgetter(0))


def _paused(pauses: Spans, pause: bool, at: datetime) -> Spans:
    return (*pauses, at) if pause != (len(pauses) % 2 == 1) else pauses


def _pairs(spans: Spans) -> list[tuple[datetime, datetime | None]]:
    return [(spans[n], spans[n + 1] if n + 1 < len(spans) else None) for n in range(0, len(spans), 2)]
