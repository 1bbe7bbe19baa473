"""The figures of one item of a report, added up from parts: of clocks that were read one by one, and sums of facts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.cubes.dimensions import BREACHED, CANCELLED, MET, Outcome
from app.db import Row
from app.sla.core.buckets import bucket, bucket_of_rank, rank, representative
from app.sla.core.clock import EndedReason

PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
_VERDICTS = {MET: "met", BREACHED: "breached", CANCELLED: "cancelled"}
REASONS = [reason for reason in EndedReason if reason is not EndedReason.spam]
COUNTS = (
    "answered", "met", "breached", "cancelled", "breached_running", "running", "excluded", "given_up", "waits",
    *(reason.value for reason in EndedReason),
)  # fmt: skip
SUMS = ("answered_us", "given_up_us", "waited_us", "wall_us")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Figures:
    """Counts, sums of microseconds, and how many answered waits lie in each bucket."""

    totals: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)

    def add_clocks(self, row: Mapping[str, Any]) -> None:
        """Of clocks: counts and sums under their names, and the `answered_waits` themselves."""
        for name in (*COUNTS, *SUMS):
            self.totals[name] += int(row[name])
        self.waits.update(map(bucket, row["answered_waits"] or ()))

    def add_facts(self, outcome: Outcome, row: Row, *, with_: bool) -> None:
        """Of clocks that ended so: how many (`n`), sums, and `waits` as cubes have them; `with_` exceptions or without
        them."""
        totals, n = self.totals, row["n"]
        if outcome.spam:
            totals["spam"] += n
            return
        if outcome.answered:
            totals["waits"] += n
            totals["wall_us"] += int(row["wall_us"])
            totals["waited_us"] += int(row["waited_us"])
        if with_ and outcome.excluded:
            totals["excluded"] += n
            return
        if name := _VERDICTS.get(outcome.verdict if with_ else outcome.unrelieved_verdict):
            totals[name] += n
        self._add_ended(outcome, row)

    def _add_ended(self, outcome: Outcome, row: Row) -> None:
        totals, n = self.totals, row["n"]
        if outcome.answered:
            totals["answered"] += n
            totals["answered_us"] += int(row["elapsed_us"])
            for each in row["waits"] or ():
                self.waits[each & 2047] += each >> 11
            return
        totals["given_up"] += n
        totals["given_up_us"] += int(row["elapsed_us"])
        if reason := outcome.ended_reason:
            totals[reason.value] += n

    def totals_by_name(self) -> dict[str, int]:
        return {name: self.totals[name] for name in (*COUNTS, *SUMS)}

    def is_empty(self) -> bool:
        return not (self.totals["waits"] or self.totals["given_up"] or self.totals["excluded"] or self.totals["spam"])

    def percentiles(self) -> dict[str, float | None]:
        answered = self.totals["answered"]
        if not answered:
            return dict.fromkeys(PERCENTILES)
        ranks = {name: bucket_of_rank(self.waits, rank(percent, answered))[0] for name, percent in PERCENTILES.items()}
        return {name: representative(number) / 1_000_000 for name, number in ranks.items()}


def item_of(row: Mapping[str, Any], buckets: Sequence[float] = ()) -> dict[str, Any]:
    """An item's figures, of counts, sums and percentiles under their names."""
    judged = row["met"] + row["breached"]
    return {
        **{name: row[name] for name in (*COUNTS, *PERCENTILES)},
        "mean_answered": _mean(row["answered_us"], row["answered"]),
        "mean_floor": int(row["waited_us"]) / 1_000_000 / row["waits"] if row["waits"] else None,
        "mean_wall": _mean(row["wall_us"], row["waits"]),
        "attainment": 100 * row["met"] / judged if judged else None,
        "unanswered": {reason.value: row[reason.value] for reason in EndedReason},
        "unanswered_wait_mean": _mean(row["given_up_us"], row["given_up"]),
        "histogram": _histogram(row, buckets) if buckets else None,
    }


def _mean(us: int, count: int) -> float | None:
    """To the microsecond."""
    return (int(us) * _MICROSECOND / count).total_seconds() if count else None


def _histogram(row: Mapping[str, Any], buckets: Sequence[float]) -> list[dict[str, Any]]:
    within = [0, *(row[f"within_{n}"] for n in range(len(buckets))), row["answered"]]
    ends = [*buckets, None]
    return [{"up_to_seconds": end, "count": within[n + 1] - within[n]} for n, end in enumerate(ends)]
