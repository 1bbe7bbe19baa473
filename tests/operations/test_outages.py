"""While the database is away the worker's loops wait longer and longer, and say so once."""

import asyncio

import pytest
from structlog.testing import capture_logs

from app import failures, worker
from app.db import Database
from app.settings import Settings
from app.web import metrics


def _rounds() -> float:
    [family] = metrics.LOOP_FAILURES.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


async def test_a_worker_without_a_database_says_so_once_and_asks_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "_said", {})
    settings, stop, before = Settings(database_url="postgresql://me@127.0.0.1:1/n"), asyncio.Event(), _rounds()
    async with Database.open(settings) as db:
        with capture_logs() as logs:
            working = asyncio.create_task(worker.run(db, settings, stop))
            await asyncio.sleep(1.5)
            stop.set()
            await working
    assert len([entry for entry in logs if entry["event"] == "round_failed"]) == 1
    # Some fifteen loops, four or five times each: at their own pace it would be three hundred.
    assert 10 < _rounds() - before < 110


def test_what_is_wrong_with_one_loop_is_said_beside_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_said", {})
    sweep, search = failures.Rounds("sweep"), failures.Rounds("search")
    with capture_logs() as logs:
        for _ in range(3):
            sweep.failed(ConnectionRefusedError())
            search.failed(ConnectionRefusedError())
            search.failed(KeyError("x"))
    assert [(entry["loop"], entry["error"]) for entry in logs] == [
        ("sweep", "ConnectionRefusedError()"), ("search", "KeyError('x')"),
    ]  # fmt: skip


def test_pauses_grow_to_a_second_and_begin_anew_after_a_round_that_went_well() -> None:
    rounds = failures.Rounds("sweep")
    pauses = [rounds.failed(ConnectionRefusedError()) for _ in range(20)]
    assert pauses[0] <= 0.2
    assert 0.5 <= max(pauses[5:]) <= 1
    rounds.done()
    assert rounds.failed(ConnectionRefusedError()) <= 0.2
