"""What a receiver gets, what its answers lead to, and what is known of it afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.db import Database
from app.webhooks import planning
from app.webhooks.sending import Sender
from tests.auth.staging import NOTE, STAFF, THEIRS, Stage
from tests.conftest import Person
from tests.support.openapi import Open
from tests.support.webhook_receiver import Received, Receiver, answer
from tests.webhooks.conftest import Hook, deliver, hurry, plan


async def deliveries(client: httpx.AsyncClient, hook: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    page = await client.get(f"/v1/webhooks/{hook['id']}/deliveries", params=query)
    assert page.status_code == 200, page.text
    items: list[dict[str, Any]] = page.json()["items"]
    return items


async def test_an_event_arrives_signed_thin_and_is_known_to_have_arrived(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver
) -> None:
    made = await hook(there.url, types=["ticket.created", "message.created"])
    ticket = await open_ticket(subject="canary-subject", description="canary-text")
    note = {"body": "canary-note", "visibility": "internal"}
    await client.post(f"/v1/tickets/{ticket['id']}/messages", json=note)
    await deliver(db, sending)
    events = [Webhook(made["secret"]).verify(got.body, got.headers) for got in there.received]
    assert sorted(event["type"] for event in events) == ["message.created", "message.created", "ticket.created"]
    assert {event["ticketid"] for event in events} == {ticket["id"]}
    assert [event["type"] for event in events if "ticketversion" not in event] == ["message.created"]
    assert all(b"canary" not in got.body and len(got.body) < 20_000 for got in there.received)
    assert {got.path for got in there.received} == {"/hook"}
    assert {got.headers["content-type"] for got in there.received} == {"application/cloudevents+json"}
    known = await deliveries(client, made)
    assert {each["id"] for each in known} == {got.id for got in there.received}
    for each in known:
        assert (each["state"], each["attempts"], each["status"], each["failure"]) == ("delivered", 1, 200, None)
        assert each["next_attempt_at"] is None
    await deliver(db, sending)
    assert len(there.received) == 3


async def test_no_payload_holds_a_text_a_name_or_an_address(
    client: httpx.AsyncClient, sql: Any, person: Callable[..., Awaitable[Person]], db: Database, sending: Sender,
    hook: Hook, there: Receiver,
) -> None:  # fmt: skip
    """Of tickets with notes, of customers and agents with names and addresses, of all that is set up around them."""
    await hook(there.url)
    stage = Stage(client, sql)
    await stage.build(person)
    await client.patch(f"/v1/customers/{stage.theirs['customer_id']}", json={"name": f"{THEIRS} Other"})
    await client.patch(f"/v1/agents/{stage.agent.id}", json={"email": f"{STAFF}.other@example.org"})
    await deliver(db, sending)
    notes = set(await stage.ids("SELECT id FROM messages WHERE visibility = 'internal'"))
    assert notes <= {got.event["subject"] for got in there.received}
    told = {got.event["type"] for got in there.received}
    assert told >= {"ticket.created", "message.created", "attachment.added", "customer.updated", "agent.updated"}
    words = (NOTE, THEIRS, STAFF, "@example.org")
    assert [got.body for got in there.received for word in words if word.encode() in got.body] == []


async def test_only_the_types_that_were_asked_for_and_nothing_imported_or_past_is_told(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver
) -> None:
    await open_ticket()
    await hook(there.url, types=["ticket.created"])
    await hook(there.url, types=["*"], active=False)
    everything = await hook(there.url, types=["*"])
    old = {"external_id": "i", "subject": "Old", "created_at": "2020-01-01T00:00:00Z", "timeline": []}
    await client.post("/v1/imports/tickets", json={"tickets": [{**old, "customer": {"external_id": "o"}}]})
    await client.post("/v1/api-keys", json={"name": "k", "role": "admin"})
    await open_ticket()
    await deliver(db, sending)
    types = [got.event["type"] for got in there.received]
    assert types.count("ticket.created") == 2
    assert "message.created" in types
    # Keys and webhooks are for those who may read them.
    assert not [type_ for type_ in types if type_.startswith(("api_key", "webhook"))]
    assert not [got for got in there.received if got.event["imported"]]
    assert len(await deliveries(client, everything)) == len(types) - 1


async def test_both_secrets_sign_until_the_overlap_ends(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    first = await hook(there.url)
    path = f"/v1/webhooks/{first['id']}"
    rotated = [await client.post(f"{path}/rotate-secret", json={"overlap_seconds": 60}) for _ in range(2)]
    secrets = [first["secret"], *(each.json()["secret"] for each in rotated)]

    async def valid() -> list[bool]:
        await client.post(f"{path}/test")
        await deliver(db, sending)
        return [_verifies(secret, there.received[-1]) for secret in secrets]

    assert await valid() == [False, True, True]
    assert there.received[-1].headers["webhook-signature"].count("v1,") == 2
    await sql.execute("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert await valid() == [False, False, True]
    mine = "whsec_" + "QUJD" * 8
    answered = await client.post(f"{path}/rotate-secret", json={"secret": mine, "overlap_seconds": 0})
    assert answered.json()["secret"] == mine
    secrets.append(mine)
    assert await valid() == [False, False, False, True]


def _verifies(secret: str, got: Received) -> bool:
    try:
        Webhook(secret).verify(got.body, got.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_what_failed_is_tried_again_under_the_same_id_and_told_as_it_is_then(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    made = await hook(there.url)
    told = iter([answer(500, b"caf\xc3\xa9 \xff\0" + b"x" * 5000), answer(302, b"", "Location: /else"), answer(204)])

    async def differ(_: Received) -> bytes:
        return next(told)

    there.answer = differ
    await client.post(f"/v1/webhooks/{made['id']}/test")
    await deliver(db, sending)
    [known] = await deliveries(client, made, state="pending")
    assert (known["status"], known["failure"], known["attempts"]) == (500, "answer", 1)
    assert known["answer"] == "café \ufffd\ufffd" + "x" * (1024 - 8)
    wait = datetime.fromisoformat(known["next_attempt_at"]) - datetime.fromisoformat(known["attempted_at"])
    assert timedelta(seconds=4.9) < wait < timedelta(seconds=6.5)
    await deliver(db, sending)
    assert len(there.received) == 1
    await hurry(sql)
    await deliver(db, sending)
    [known] = await deliveries(client, made)
    assert (known["status"], known["failure"], known["attempts"]) == (302, "redirect", 2)
    await hurry(sql)
    await deliver(db, sending)
    [known] = await deliveries(client, made)
    assert (known["state"], known["attempts"], known["failure"]) == ("delivered", 3, None)
    assert {got.id for got in there.received} == {known["id"]}
    assert {got.path for got in there.received} == {"/hook"}


async def test_a_receiver_that_is_down_for_three_days_leaves_dead_letters_that_can_be_sent_again(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    made = await hook(there.url, types=["ticket.created"])
    path = f"/v1/webhooks/{made['id']}"

    async def down(_: Received) -> bytes:
        return answer(503)

    there.answer = down
    for _ in range(3):
        await open_ticket()
    for _ in range(4):
        await deliver(db, sending)
        await hurry(sql)
    assert not await deliveries(client, made, state="dead")
    await sql.execute("UPDATE webhook_deliveries SET give_up_at = now()")
    await deliver(db, sending)
    dead = await deliveries(client, made, state="dead")
    assert len(dead) == 3
    count = len(there.received)
    await hurry(sql)
    await deliver(db, sending)
    assert len(there.received) == count

    there.answer = Receiver().answer
    one = await client.post(f"{path}/deliveries/{dead[0]['id']}/redeliver")
    assert (one.status_code, one.json()["state"], one.json()["attempts"]) == (200, "pending", 0)
    twice = await client.post(f"{path}/deliveries/{dead[0]['id']}/redeliver")
    assert (twice.status_code, twice.json()["code"]) == (409, "delivery_pending")
    await hurry(sql)
    await deliver(db, sending)
    rest = await client.post(f"{path}/redeliver", json={})
    assert rest.json() == {"count": 2, "more": False}
    await deliver(db, sending)
    assert [got.id for got in there.received[count:]] == [each["id"] for each in (dead[0], *reversed(dead[1:]))]
    assert len(await deliveries(client, made, state="delivered")) == 3
    told = await sql.fetch("SELECT data FROM events WHERE type = 'webhook.redelivered' ORDER BY id")
    assert [orjson.loads(row["data"]) for row in told] == [
        {"count": 1, "delivery_id": dead[0]["id"]}, {"count": 2, "failed_only": True},
    ]  # fmt: skip


async def test_a_range_is_that_between_positions_or_times(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver
) -> None:
    made = await hook(there.url, types=["ticket.created"])
    for _ in range(4):
        await open_ticket()
        await deliver(db, sending)
    positions = [got.event["position"] for got in there.received]
    times = [each["created_at"] for each in reversed(await deliveries(client, made))]
    path = f"/v1/webhooks/{made['id']}/redeliver"
    for body, expected in [
        ({}, []),
        ({"failed_only": False}, [0, 1, 2, 3]),
        ({"failed_only": False, "from_position": positions[1]}, [2, 3]),
        ({"failed_only": False, "from_position": positions[0], "to_position": positions[2]}, [1, 2]),
        ({"failed_only": False, "from_time": times[1], "to_time": times[3]}, [1, 2]),
    ]:
        there.received.clear()
        answered = await client.post(path, json=body)
        assert answered.json() == {"count": len(expected), "more": False}, answered.text
        await deliver(db, sending)
        assert sorted(got.event["position"] for got in there.received) == sorted(positions[n] for n in expected)
    refused = await client.post(path, json={"from_position": "nowhere"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/from_position")


async def test_gone_turns_the_webhook_off_and_turning_it_on_delivers_what_waited(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    made = await hook(there.url, types=["ticket.created"])
    path = f"/v1/webhooks/{made['id']}"

    async def gone(_: Received) -> bytes:
        return answer(410)

    there.answer = gone
    await open_ticket()
    await deliver(db, sending)
    off = (await client.get(path)).json()
    assert (off["active"], off["disabled_reason"], off["version"]) == (False, "gone", made["version"] + 1)
    assert [each["failure"] for each in await deliveries(client, made, state="dead")] == ["gone"]
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type = 'webhook.updated'") == 1
    for act in ("test", "redeliver"):
        refused = await client.post(f"{path}/{act}", json={} if act == "redeliver" else None)
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_inactive")
    await open_ticket()
    await deliver(db, sending)
    assert len(there.received) == 1
    there.answer = Receiver().answer
    on = (await client.patch(path, json={"active": True})).json()
    assert (on["active"], on["disabled_reason"]) == (True, None)
    await open_ticket()
    await deliver(db, sending)
    # Nobody is told of what happened while it was off.
    assert len(there.received) == 2


async def test_a_busy_receiver_is_left_alone_as_long_as_it_asks(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver
) -> None:
    made = await hook(there.url)

    async def busy(_: Received) -> bytes:
        return answer(429, b"", "Retry-After: 600")

    there.answer = busy
    await client.post(f"/v1/webhooks/{made['id']}/test")
    await deliver(db, sending)
    [known] = await deliveries(client, made)
    wait = datetime.fromisoformat(known["next_attempt_at"]) - datetime.now(UTC)
    assert timedelta(seconds=590) < wait <= timedelta(seconds=600)


async def test_an_endpoint_that_keeps_failing_is_paused_and_probed_by_one(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    made = await hook(there.url)

    async def broken(_: Received) -> bytes:
        return answer(500)

    async def tests(count: int) -> int:
        """How many of them arrive."""
        before = len(there.received)
        for _ in range(count):
            await client.post(f"/v1/webhooks/{made['id']}/test")
        await deliver(db, sending)
        return len(there.received) - before

    there.answer = broken
    assert await tests(4) == 4
    # What fails again and again says nothing new of its endpoint: it may be the payload.
    await hurry(sql)
    await deliver(db, sending)
    assert await sql.fetchval("SELECT open_until FROM webhooks") is None
    assert await tests(1) == 1
    assert await tests(3) == 0
    [paused] = await sql.fetch("SELECT open_until - now() AS wait, failures FROM webhooks")
    assert paused["failures"] == 5
    assert timedelta(seconds=10) < paused["wait"] < timedelta(seconds=17)
    waiting = await deliveries(client, made, state="pending")
    assert all(datetime.fromisoformat(each["next_attempt_at"]) > datetime.now(UTC) for each in waiting)
    await hurry(sql)
    assert await tests(0) == 1
    assert await sql.fetchval("SELECT open_until - now() FROM webhooks") > timedelta(seconds=20)
    there.answer = Receiver().answer
    await hurry(sql)
    await deliver(db, sending)
    await deliver(db, sending)
    assert await sql.fetchval("SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'") == 0
    assert tuple(await sql.fetchrow("SELECT failures, open_until FROM webhooks")) == (0, None)


@pytest.mark.parametrize("after_removal", [False, True])
async def test_a_late_worker_changes_nothing_that_another_one_has_settled(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any, after_removal: bool
) -> None:
    made = await hook(there.url)
    await client.post(f"/v1/webhooks/{made['id']}/test")
    while not await sending.run_once():
        continue
    await sending.settled()
    if after_removal:
        assert (await client.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
    else:
        await sql.execute("UPDATE webhook_deliveries SET state = 'dead', next_at = now()")
    await sending.record()
    states = [row["state"] for row in await sql.fetch("SELECT state FROM webhook_deliveries")]
    assert states == (["delivered"] if after_removal else ["dead"])


async def test_a_log_that_is_read_again_plans_nothing_twice(
    open_ticket: Open, db: Database, hook: Hook, there: Receiver, sql: Any
) -> None:
    await hook(there.url)
    for _ in range(3):
        await open_ticket()
    await plan(db)
    before = await sql.fetchval("SELECT count(*) FROM webhook_deliveries")
    await sql.execute("UPDATE event_readers SET xid = '0', event_id = 0 WHERE name = 'webhooks'")
    await plan(db)
    assert before > 3
    assert await sql.fetchval("SELECT count(*) FROM webhook_deliveries") == before


async def test_what_is_never_sent_is_given_up_and_what_is_old_is_removed(
    client: httpx.AsyncClient, db: Database, hook: Hook, there: Receiver, sql: Any
) -> None:
    made = await hook(there.url)
    for _ in range(3):
        await client.post(f"/v1/webhooks/{made['id']}/test")
    ids = [row["id"] for row in await sql.fetch("SELECT id FROM webhook_deliveries ORDER BY id")]
    await sql.execute(
        "UPDATE webhook_deliveries SET give_up_at = now() - interval '2 minutes', next_at = now() - interval '1 second'"
        " WHERE id = $1", ids[0]
    )  # fmt: skip
    await sql.execute("UPDATE webhook_deliveries SET created_at = now() - interval '31 days' WHERE id = $1", ids[1])
    await planning.clean(db)
    left = {(row["id"], row["state"], row["failure"]) for row in await sql.fetch("SELECT * FROM webhook_deliveries")}
    assert left == {(ids[0], "dead", "expired"), (ids[2], "pending", None)}


async def test_no_more_is_read_or_waited_for_than_a_receiver_may_ask(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, monkeypatch: Any
) -> None:
    made = await hook(there.url)

    async def endless(_: Received) -> bytes:
        return answer(200, b"y" * 10_000_000)

    async def never(_: Received) -> bytes:
        await asyncio.sleep(60)
        raise AssertionError

    there.answer = endless
    await client.post(f"/v1/webhooks/{made['id']}/test")
    await deliver(db, sending)
    assert [each["state"] for each in await deliveries(client, made)] == ["delivered"]
    there.answer = never
    monkeypatch.setattr(sending._courier, "_seconds", 0.3)
    await client.post(f"/v1/webhooks/{made['id']}/test")
    await deliver(db, sending)
    assert [each["failure"] for each in await deliveries(client, made)] == ["timeout", None]
