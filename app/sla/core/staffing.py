"""How many agents a queue needs, by the formulas of Erlang: B and C, where nobody gives up, and A, where whoever waits
does so after an exponential patience (Palm 1957; Garnett, Mandelbaum and Reiman 2002). Pure; seconds, and rates per
second. Arrivals are Poisson, handling times exponential, an agent handles one ticket at a time. Relative errors are
below 1e-9 for 1 to 10,000 agents."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, expm1, inf, log

MOST_AGENTS = 10_000
# Sums are scaled down where they pass this.
_LARGE, _LOG_LARGE = 1e200, log(1e200)
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of a number of agents: a mean wait of so many seconds at most, or, where a `share` is given, that
    so many of those who come are answered within them; and that no larger share gives up."""

    seconds: float
    share: float | None = None
    most_gone: float = 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """In the long run, with so many agents. Shares are of all who come, `wait` is until they are answered or give up;
    the `answered_…` ones are of those who are answered."""

    waiting: float
    gone: float
    wait: float
    answered_wait: float
    within: float
    answered_within: float
    occupancy: float


def blocking(agents: int, offered: float) -> float:
    """The share that finds all agents busy, of a queue without places (Erlang B). `offered` is in erlangs."""
    return Demand(offered, 1.0, None).blocking(agents)


def with_shrinkage(agents: int, permille: int) -> int:
    """How many are to be scheduled, so that so many are at work when so many thousandths of them are not."""
    return -(-agents * 1000 // (1000 - permille))


class Demand:
    """What comes in: `rate` a second, each handled in `handling` seconds on average; `patience` is how long somebody
    waits on average before they give up, None where nobody does."""

    def __init__(self, rate: float, handling: float, patience: float | None) -> None:
        self.rate, self.handling, self.patience = rate, handling, patience
        self.offered = rate * handling
        # Kept between the numbers of agents that are looked at: each value comes from the one before.
        self._blocking = [1.0]

    def blocking(self, agents: int) -> float:
        known = self._blocking
        for number in range(len(known), agents + 1):
            busy = self.offered * known[-1]
            known.append(busy / (number + busy))
        return known[agents]

    def figures(self, agents: int, within: float) -> Figures:
        """With one agent at least; `within` is in seconds."""
        if self.patience is None:
            return self._of_patient(agents, within)
        queue = _Queue(self, agents, self.patience)
        if not queue.waiting:
            return Figures(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, self.offered / agents)
        served = 1 - queue.gone
        late = queue.tail(1, within)
        return Figures(
            queue.waiting, queue.gone, queue.wait, queue.answered_wait / served, served - late, 1 - late / served,
            self.offered * served / agents,
        )  # fmt: skip

    def _of_patient(self, agents: int, within: float) -> Figures:
        if self.offered >= agents:
            return Figures(1.0, 0.0, inf, inf, 0.0, 0.0, 1.0)
        blocked, occupancy = self.blocking(agents), self.offered / agents
        waiting = blocked / (1 - occupancy * (1 - blocked))
        spare = (agents - self.offered) / self.handling
        prompt = 1 - waiting * exp(-spare * within)
        return Figures(waiting, 0.0, waiting / spare, waiting / spare, prompt, prompt, occupancy)

    def mean_wait(self, agents: int) -> float:
        """Of all who come; infinite where nobody gives up and more comes in than is handled."""
        if self.patience is None:
            return self._of_patient(agents, 0).wait
        return _Queue(self, agents, self.patience).wait

    def longer(self, agents: int, seconds: float) -> float:
        """The share that would wait longer than this with endless patience, among others with theirs."""
        if self.patience is None:
            return 1 - self.figures(agents, seconds).within
        return _Queue(self, agents, self.patience).tail(0, seconds)

    def least(self, target: Target) -> int | None:
        """The fewest agents that meet it; None for more than `MOST_AGENTS`."""
        if not self.rate:
            return 0

        def enough(agents: int) -> bool:
            if target.share is None and self.patience is not None:
                queue = _Queue(self, agents, self.patience)
                return queue.wait <= target.seconds and queue.gone <= target.most_gone
            figures = self.figures(agents, target.seconds)
            good = figures.wait <= target.seconds if target.share is None else figures.within >= target.share
            return good and figures.gone <= target.most_gone

        return _least(enough, max(1, int(self.offered)))


class _Queue:
    """Erlang A with a number of agents. States count from the one in which all are busy and nobody waits, of weight
    one; who comes in one of them waits."""

    def __init__(self, demand: Demand, agents: int, patience: float) -> None:
        self.leaving, self.served = 1 / patience, agents / demand.handling
        self.rate = demand.rate
        blocked = demand.blocking(agents)
        if not blocked or 1 / blocked == inf:
            self.waiting = self.gone = self.wait = self.answered_wait = 0.0
            self._log_all_busy = -inf
            return
        self._add_up(1 / blocked - 1)

    def _add_up(self, fewer: float) -> None:
        """`fewer`: the weight of the states in which somebody is free."""
        rate, served, leaving = self.rate, self.served, self.leaving
        weight = sum_ = scale = 1.0
        scalings = ahead = 0
        queue = 0.0
        # Of somebody with so many ahead: how long until they are served, if they do not give up, which is as likely.
        turn = 1 / (served + leaving)
        answered_wait = served * turn * turn
        while True:
            ahead += 1
            ratio = rate / (served + ahead * leaving)
            weight *= ratio
            step = 1 / (served + (ahead + 1) * leaving)
            turn += step
            sum_ += weight
            queue += ahead * weight
            answered_wait += weight * served * step * turn
            if weight > _LARGE:
                weight, sum_, queue, answered_wait, scale = (
                    value / _LARGE for value in (weight, sum_, queue, answered_wait, scale)
                )
                scalings += 1
            if ratio < 1 and weight * (ahead + 1) * ratio / (1 - ratio) ** 2 < _NEGLIGIBLE * (sum_ + queue):
                break
        total = fewer * scale + sum_
        self.waiting = sum_ / total
        self.wait = queue / total / rate
        self.gone = leaving * self.wait
        self.answered_wait = answered_wait / total
        self._log_all_busy = -scalings * _LOG_LARGE - log(total)

    def tail(self, own: int, seconds: float) -> float:
        """The share whose turn comes later than this: with endless patience (`own` 0), or with that of the others, and
        who is still there then (`own` 1). An incomplete gamma function, by its series."""
        if self._log_all_busy == -inf:
            return 0.0
        shape = self.served / self.leaving + own
        many = self.rate / self.leaving
        left = many * exp(-self.leaving * seconds)
        return exp(
            log(self.served / (shape * self.leaving))
            + self._log_all_busy
            - many * expm1(-self.leaving * seconds)
            - shape * self.leaving * seconds
            + _log_series(shape, left)
        )


def _log_series(shape: float, x: float) -> float:
    """The logarithm of the sum over k of x^k / ((shape + 1) … (shape + k))."""
    term = sum_ = 1.0
    number = scalings = 0
    while True:
        number += 1
        ratio = x / (shape + number)
        term *= ratio
        sum_ += term
        if term > _LARGE:
            term, sum_, scalings = term / _LARGE, sum_ / _LARGE, scalings + 1
        if ratio < 1 and term * ratio / (1 - ratio) < _NEGLIGIBLE * sum_:
            return log(sum_) + scalings * _LOG_LARGE


def _least(enough: Callable[[int], bool], guess: int) -> int | None:
    """The first number from one on that is enough: from it on all are."""
    low, high, step = 0, min(guess, MOST_AGENTS), 1
    if enough(high):
        while high - step > 0 and enough(high - step):
            high -= step
            step *= 2
        low = max(high - step, 0)
    else:
        while True:
            if high == MOST_AGENTS:
                return None
            low, high, step = high, min(high + step, MOST_AGENTS), step * 2
            if enough(high):
                break
    return bisect_left(range(high), True, low + 1, key=enough)
