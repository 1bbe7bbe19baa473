"""Rounds in turns: a noisy machine disturbs all of a round, so services are compared within one, and ratios count."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

from bench.wrk import Sent


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most that was seen."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Compared:
    """One case: what each service did in each round. The n-th entries of all services belong to the same round."""

    case: str
    sent: dict[str, list[Sent]]

    def per_second(self, service: str) -> Spread:
        return Spread.of([sent.per_second for sent in self.sent[service]])

    def latency_ms(self, service: str) -> tuple[float, float]:
        """p50 and p99, medians of the rounds."""
        return median(s.p50_ms for s in self.sent[service]), median(s.p99_ms for s in self.sent[service])

    def ratio(self, service: str, against: str) -> Spread:
        pairs = zip(self.sent[service], self.sent[against], strict=True)
        return Spread.of([one.per_second / other.per_second for one, other in pairs])


async def alternate(
    case: str, names: list[str], rounds: int, measure: Callable[[str], Awaitable[Sent]], tell: Callable[[str], None]
) -> Compared:
    """Measure each service once a round, each round beginning with another one."""
    sent: dict[str, list[Sent]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            result = await measure(name)
            sent[name].append(result)
            tell(f"{case}, round {number + 1}: {name} {result.per_second:,.0f}/s, p99 {result.p99_ms:.1f} ms")
    return Compared(case, sent)
