"""P14: one bad endpoint and one poisonous payload delay nobody else. The figures of the bench; here, who is served."""

import asyncio
from typing import Any

import httpx
import pytest

from app.db import Database
from app.settings import Settings
from app.webhooks import claiming
from app.webhooks.payloads import TooLarge
from app.webhooks.sending import Endpoint, Sender
from app.worker import run
from tests.support.openapi import Open
from tests.support.webhook_receiver import Received, Receiver, answer, receiver
from tests.webhooks.conftest import Hook, plan, until


async def test_those_that_hang_and_a_poison_hold_up_nobody(
    open_ticket: Open, db: Database, settings: Settings, hook: Hook, there: Receiver, sql: Any
) -> None:
    """A fifth of the endpoints never answer; one event makes a healthy one fail for good. The rest hear of everything
    while those still hang."""
    poison: list[str] = []
    stop = asyncio.Event()

    async def picky(got: Received) -> bytes:
        return answer(500 if got.event["ticketid"] in poison else 200)

    async def hanging(_: Received) -> bytes:
        await stop.wait()
        return answer()

    there.answer = picky
    async with receiver() as stuck:
        stuck.answer = hanging
        healthy = [await hook(f"{there.url}/{n}", types=["ticket.created"]) for n in range(8)]
        hung = [await hook(f"{stuck.url}/{n}", types=["ticket.created"]) for n in range(2)]
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(run(db, settings, stop))
            poison.append((await open_ticket())["id"])
            tickets = [(await open_ticket())["id"] for _ in range(15)]
            wanted = {(f"/hook/{n}", ticket) for n in range(len(healthy)) for ticket in tickets}
            await until(lambda: wanted <= {(got.path, got.event["ticketid"]) for got in there.received})
            assert not working.done()
            tried = "attempts > 0 AND state = 'pending' AND webhook_id = ANY($1)"
            ids = [each["id"] for each in hung]
            under_way = await sql.fetchval(f"SELECT count(*) FROM webhook_deliveries WHERE {tried}", ids)
            # Each of those that hang has a few slots, and no more.
            assert 0 < under_way <= claiming.FRESH * 2 * len(hung)
            stop.set()
        assert [got for got in there.received if got.event["ticketid"] == poison[0]]


async def test_a_payload_that_cannot_be_made_is_retried_alone(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = await hook(there.url, types=["ticket.created", "message.created"])

    def body(event: Any) -> bytes:
        if event["type"] == "message.created":
            raise TooLarge
        return b"{}"

    monkeypatch.setattr("app.webhooks.payloads.body", body)
    await open_ticket()
    await plan(db)
    await sending.run_once()
    await sending.settled()
    await sending.record()
    page = (await client.get(f"/v1/webhooks/{made['id']}/deliveries")).json()["items"]
    assert {each["type"]: (each["state"], each["failure"]) for each in page} == {
        "ticket.created": ("delivered", None),
        "message.created": ("pending", "payload"),
    }


def test_an_endpoint_gets_more_as_it_answers_and_next_to_nothing_while_it_does_not() -> None:
    endpoint, ids = Endpoint(), iter(range(10_000))

    def start(count: int, now: float) -> list[Any]:
        begun: list[Any] = [next(ids) for _ in range(count)]
        endpoint.under_way.update(dict.fromkeys(begun, now))
        return begun

    def end(begun: list[Any], now: float, *, well: bool) -> None:
        for each in begun:
            endpoint.ended(each, now, well=well)

    assert endpoint.room(0) == claiming.FRESH
    for _ in range(100):
        end(start(endpoint.room(0), 0), 0, well=True)
    assert endpoint.room(0) == claiming.MOST
    # One that hangs, a poison perhaps, takes one place; what comes in between is answered, and nothing is held up.
    [hangs] = start(1, 0)
    assert endpoint.room(1) == claiming.MOST - 1
    end(start(1, 2.5), 2.6, well=True)
    assert endpoint.room(3) == claiming.MOST - 1
    # Nothing has been answered for a while: one at a time, and with another one that hangs none.
    assert endpoint.room(10) == 1
    start(1, 10)
    assert endpoint.room(10) == 0
    assert endpoint.room(13) == 0
    end([hangs], 15, well=False)
    assert endpoint.room(15.1) == 1
    end(start(1, 15.1), 15.2, well=True)
    assert endpoint.room(15.3) == 2
