"""What is required, and whether it was reached."""

from dataclasses import dataclass
from typing import Literal

from app.sla.core.outlook import SAID
from bench.breaches import Killed
from bench.business import BUSINESS, EVERY_HOUR
from bench.claims import Claimed
from bench.feeding import BY_MONTHS, ONE_TABLE, Delivered
from bench.memory import Memory
from bench.next_answer import Result
from bench.outlook import WITH, WITHOUT, Scores, points_off
from bench.overload import Overload
from bench.rounds import Compared, Spread
from bench.searching import Searched
from bench.segments import Segmented
from bench.webhooks import HookFigures

SMALL, LARGE = "ninety", "ninety-large"

_AGAINST_CEILING = {"create": 0.45, "reply": 0.40, "get": 0.50, "list": 0.50}
_AGAINST_NAIVE = {"create": 2.3}
# Rates swing from round to round: a median is judged, and beside it stand the worst and the best round.
_SMALL_TO_LARGE = 1.3


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    measured: Spread
    bound: Literal["at least", "at most"]
    limit: float
    unit: str = ""

    @property
    def reached(self) -> bool:
        return self.measured.median >= self.limit if self.bound == "at least" else self.measured.median <= self.limit


def of_requests(compared: Compared) -> list[Verdict]:
    """Only what was measured is judged: a run without the real service has nothing to reach."""
    case, ran = compared.case, compared.sent.keys()
    verdicts = []
    if {SMALL, "ceiling"} <= ran:
        ratio = compared.ratio(SMALL, "ceiling")
        verdicts.append(Verdict(f"{case}, of the ceiling", ratio, "at least", _AGAINST_CEILING[case], "x"))
    if {SMALL, "naive"} <= ran and case in _AGAINST_NAIVE:
        ratio = compared.ratio(SMALL, "naive")
        verdicts.append(Verdict(f"{case}, times the naive", ratio, "at least", _AGAINST_NAIVE[case], "x"))
    if {SMALL, LARGE} <= ran:
        ratio = compared.ratio(SMALL, LARGE)
        verdicts.append(Verdict(f"{case}, slower at full size", ratio, "at most", _SMALL_TO_LARGE, "x"))
    return verdicts


def of_imports(rate: Spread) -> list[Verdict]:
    return [Verdict("import, tickets with 3 entries", rate, "at least", 2_000, "/s")]


def of_searches(searched: Searched) -> list[Verdict]:
    """p95 at full size, and against the same at 10,000 tickets."""
    limits = {"a selective word": 100, "the queue": 15}
    return [
        verdict
        for kind, spread in searched.large.items()
        for verdict in (
            Verdict(f"search, {kind}, p95", spread, "at most", limits.get(kind, 300), "ms"),
            Verdict(f"search, {kind}, slower at full size", searched.slower[kind], "at most", 1.5, "x"),
        )
    ]


def of_clock_lists(p95s: dict[str, Spread]) -> list[Verdict]:
    return [Verdict(f"clocks, {form}, p95", spread, "at most", 20, "ms") for form, spread in p95s.items()]


def of_breaches(lags: dict[str, Spread]) -> list[Verdict]:
    return [
        Verdict("breach noticed, p99", lags["p99"], "at most", 250, "ms"),
        Verdict("breach noticed, longest", lags["longest"], "at most", 1000, "ms"),
    ]


def of_kills(killed: Killed) -> list[Verdict]:
    """Each breach once, whoever is killed. The lag has room: a killed worker's batch waits for the next one."""
    lost, twice, kills = (_one(count) for count in (killed.lost, killed.twice, killed.kills))
    return [
        Verdict(f"breaches lost, of {killed.fell_due:,}", lost, "at most", 0),
        Verdict("breaches told twice", twice, "at most", 0),
        Verdict("workers killed meanwhile", kills, "at least", 10),
        Verdict("breach noticed among kills, p99", killed.lag_p99_ms, "at most", 1000, "ms"),
    ]


def of_webhooks(delivered: HookFigures) -> list[Verdict]:
    return [
        Verdict("webhooks delivered, one worker", delivered.rate, "at least", 500, "/s"),
        Verdict("event to receiver, p99", delivered.lag_p99_ms, "at most", 1000, "ms"),
        Verdict("the same beside a fifth that hangs and a poison", delivered.beside_bad_p99_ms, "at most", 2000, "ms"),
    ]


def of_hours(compared: dict[str, Compared]) -> list[Verdict]:
    return [
        Verdict(f"{case} in business hours, slower", one.ratio(EVERY_HOUR, BUSINESS), "at most", 1.15, "x")
        for case, one in compared.items()
    ]


def of_overload(seen: Overload) -> list[Verdict]:
    """What was refused is said in the name of the row: statuses, where 0 found no free connection."""
    refused = ", ".join(f"{n:,} × {status}" for status, n in seen.statuses.items() if status >= 300 or status == 0)
    creates, lists = (seen.mixed.share(kind) for kind in ("create", "list"))
    return [
        Verdict("overload, peak of tickets opened", seen.peak, "at least", 1, "/s"),
        Verdict(f"overload, at three times that ({refused})", seen.goodput, "at least", 1, "/s"),
        Verdict("overload, of the peak", seen.kept, "at least", 0.8, "x"),
        Verdict("overload, wait of who is let in, p99", seen.p99_ms, "at most", 1000, "ms"),
        Verdict("overload, refused without Retry-After", _one(seen.unadvised), "at most", 0),
        Verdict("overload with lists, tickets let in", Spread(creates, creates, creates), "at least", lists, "x"),
    ]


def of_segments(segmented: Segmented) -> list[Verdict]:
    return [
        Verdict("a customer's update with 50 segments, slower", segmented.update, "at most", 1.3, "x"),
        Verdict("create by segment, slower", segmented.create, "at most", 1.1, "x"),
        *(Verdict(f"preview, {name}", took, "at most", 1, "s") for name, took in segmented.previews.items()),
        Verdict("a rule's change, customers", segmented.job, "at least", 50_000, "/s"),
    ]


def of_replays(rates: dict[str, Spread]) -> list[Verdict]:
    required = {"24/7": 20_000, "business hours": 8_000}
    return [Verdict(f"replay, {name}", rate, "at least", required[name], "/s") for name, rate in rates.items()]


def of_simulations(rates: dict[str, Spread]) -> list[Verdict]:
    return [Verdict(f"simulation under {name}", rate, "at least", 10_000, "/s") for name, rate in rates.items()]


def of_answers(compared: list[list[Result]]) -> list[Verdict]:
    """Of each load, the next best answer against oldest-first."""
    verdicts = []
    for oldest, _, best in compared:
        ratio, longest = best.attainment / oldest.attainment, best.longest_ratio
        what = f"next answer at load {best.load:.1f}"
        verdicts += [
            Verdict(f"{what}, within target, of oldest-first", Spread(ratio, ratio, ratio), "at least", 1, "x"),
            Verdict(f"{what}, longest wait, of oldest-first", Spread(longest, longest, longest), "at most", 1.2, "x"),
        ]
    return verdicts


def of_claims(claimed: Claimed) -> list[Verdict]:
    return [
        Verdict(f"claim, p99 with {claimed.waiting:,} waiting, {at_once} at once", p99, "at most", 20, "ms")
        for at_once, p99 in claimed.p99_ms.items()
    ]


def of_feed(exported: Spread, delivered: Delivered, logs: Compared) -> list[Verdict]:
    p99 = Spread(delivered.p99_ms, delivered.p99_ms, delivered.longest_ms)
    return [
        Verdict("export, events", exported, "at least", 20_000, "/s"),
        Verdict("stream, an event at a listener, p99", p99, "at most", 500, "ms"),
        Verdict(f"stream, lost of {delivered.of:,}", _one(delivered.lost), "at most", 0),
        Verdict("create, slower with the log by months", logs.ratio(ONE_TABLE, BY_MONTHS), "at most", 1.05, "x"),
    ]


def of_outlooks(scores: Scores, opening: Compared) -> list[Verdict]:
    loss = scores.loss_seconds
    verdicts = [Verdict(f"outlook, pinball loss of {scores.foretold:,} calls", _one(loss), "at most", 14.6, "s")]
    for said, share in zip(SAID, scores.came, strict=True):
        name = f"outlook, said {said:.0%}, came {share:.1%}, off by"
        verdicts.append(Verdict(name, points_off(share, said), "at most", 3, "%"))
    name = f"outlook, promised by auto, kept {scores.kept:.1%}, off 95 by"
    verdicts.append(Verdict(name, points_off(scores.kept, 0.95), "at most", 3, "%"))
    if scores.reproduced is not None:
        verdicts.append(Verdict("outlook, of the 35 predictions", _one(scores.reproduced), "at least", 35))
    slower = opening.ratio(WITHOUT, WITH)
    return [*verdicts, Verdict("create with its outlook, slower", slower, "at most", 1.1, "x")]


def _one(count: float) -> Spread:
    return Spread(count, count, count)


def of_memory(memory: Memory) -> list[Verdict]:
    """The highest sample is judged, and what it still grew once it was warm: a leak shows in seconds at this rate."""
    peak, growth = memory.resident_mb.high, memory.growth_percent
    return [
        Verdict("resident memory, peak", Spread(peak, memory.resident_mb.low, peak), "at most", 150, "MB"),
        Verdict("resident memory, growth", Spread(growth, growth, growth), "at most", 5, "%"),
    ]
