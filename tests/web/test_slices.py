"""What takes long leaves the loop its turns. Measured in processor time of the loop's thread, which others on the same
machine do not lengthen."""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import httpx

from app.reports.schemas import Backlog, BacklogReport
from app.web.slices import in_slices, items_as_json

T = TypeVar("T")
MOST_SECONDS = 0.1


async def longest_turn(work: Awaitable[T]) -> tuple[float, T]:
    """The most that one round of the loop took while this was done."""
    # As the service does: what is loaded by now is left out of every garbage collection.
    gc.collect()
    gc.freeze()
    turns, working = [0.0], asyncio.ensure_future(work)
    before = time.thread_time()
    while not working.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        turns.append(now - before)
        before = now
    gc.unfreeze()
    return max(turns), working.result()


async def test_slices_hold_up_what_is_done_with_the_items() -> None:
    async def work() -> int:
        done = 0
        async for number in in_slices(range(1_000)):
            until = time.thread_time() + 0.0005
            while time.thread_time() < until:
                pass
            done += number
        return done

    longest, done = await longest_turn(work())
    assert done == sum(range(1_000))
    assert longest < 0.05


def _ticket(number: int) -> dict[str, Any]:
    entries = [
        {"at": f"2026-10-01T00:{n:02d}:00Z", "kind": "message", "author": "customer", "body": "x" * 300}
        for n in range(30)
    ]
    customer = {"external_id": f"c{number % 20}"}
    return {
        "external_id": f"t{number}", "subject": "s", "customer": customer, "created_at": "2026-09-30T00:00:00Z",
        "timeline": entries,
    }  # fmt: skip


async def test_an_import_leaves_the_loop_its_turns(client: httpx.AsyncClient) -> None:
    body = json.dumps({"tickets": [_ticket(number) for number in range(200)]}).encode()
    headers = {"Content-Type": "application/json"}
    longest, answer = await longest_turn(client.post("/v1/imports/tickets", content=body, headers=headers))
    assert answer.json()["created"] == 200
    assert longest < MOST_SECONDS


async def test_a_large_report_is_made_in_slices_and_reads_like_any_other() -> None:
    group = dict.fromkeys(Backlog.model_fields["group"].annotation.model_fields)  # type: ignore[union-attr]
    figures = {name: 1 for name in Backlog.model_fields if name != "group"} | {"oldest_ticket_id": None}
    items = [{**figures, "group": group} for _ in range(10_000)]
    longest, answer = await longest_turn(items_as_json(Backlog, items))
    assert longest < MOST_SECONDS
    assert bytes(answer.body) == BacklogReport.model_validate({"items": items}).model_dump_json().encode()


async def test_an_empty_report_has_no_items() -> None:
    assert bytes((await items_as_json(Backlog, [], a="b")).body) == b'{"items":[],"a":"b"}'
