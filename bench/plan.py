"""How much is measured: the sizes and times of a run, all of them bounded."""

from dataclasses import dataclass, replace
from pathlib import Path

CASES = (
    "get", "list", "search", "reply", "breach", "kills", "webhooks", "create", "business", "segments", "import",
    "replay", "feed", "overload", "memory", "clocks", "outlook", "claims",
)  # fmt: skip
SERVICES = ("ceiling", "naive", "ninety")


@dataclass(frozen=True, slots=True)
class Plan:
    """The order of CASES is the order they run in.

    Reads first, while the tables have the size they are said to have; what opens tickets with the stock 90 seconds
    after the breaches, whose lag those deadlines would disturb. Many short rounds, because on a busy machine only
    neighbours in time are comparable: the same program twice came within a tenth of itself, and not with long ones.
    """

    cases: tuple[str, ...] = CASES
    services: tuple[str, ...] = SERVICES
    rounds: int = 15
    seconds: int = 1
    connections: int = 16
    threads: int = 1
    pool_size: int = 16
    small: int = 10_000
    large: int = 1_000_000
    open_clocks: int = 1_000_000
    burst: int = 2_000
    bursts: int = 3
    import_batches: int = 10
    search_requests: int = 200
    customers: int = 1_000_000
    customer_requests: int = 100
    rule_changes: int = 2
    memory_seconds: int = 30
    webhook_rounds: int = 3
    claimable: int = 100_000
    claims: int = 500
    exported: int = 100_000
    listeners: int = 1_000
    listening_seconds: int = 10
    output: Path = Path("bench/out")

    def quickened(self) -> "Plan":
        """A run of about two minutes that shows whether everything works; its figures are rough."""
        few = replace(self, rounds=3, seconds=1, small=2_000, large=50_000)
        return replace(
            few, open_clocks=5_000, burst=200, bursts=2, import_batches=2, search_requests=40, memory_seconds=6,
            exported=20_000, listeners=200, listening_seconds=3, webhook_rounds=1, customers=20_000,
            claimable=5_000, claims=100, customer_requests=30, rule_changes=1,
        )  # fmt: skip
