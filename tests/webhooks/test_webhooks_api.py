"""Webhooks as a resource, and where their secrets are not."""

import base64
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from app.db import Database
from app.settings import Settings, SettingsError, load_settings
from app.webhooks.sending import Sender, sender
from tests.support.openapi import Open
from tests.support.personal_data import places_of
from tests.support.webhook_receiver import Received, Receiver, answer
from tests.webhooks.conftest import Hook, deliver, hurry, plan

GOOD = {"url": "https://hooks.example.com/in", "types": ["ticket.created"]}


async def test_made_read_changed_listed_and_removed(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/webhooks", json=GOOD)
    path = made.headers["location"]
    shown = {name: value for name, value in made.json().items() if name != "secret"}
    read = await client.get(path)
    assert (read.json(), read.headers["etag"]) == (shown, made.headers["etag"])
    assert (await client.get("/v1/webhooks")).json()["items"] == [shown]
    stale = await client.patch(path, json={"active": False}, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    changed = await client.patch(path, json={"types": ["*", "*"]}, headers={"If-Match": read.headers["etag"]})
    assert (changed.json()["types"], changed.json()["version"]) == (["*"], 2)
    assert (await client.patch(path, json={"types": ["*"]})).json()["version"] == 2
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.get(f"{path}/deliveries")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"url": "http://hooks.example.com/"}, "/url"),
        ({"url": ""}, "/url"),
        ({"types": []}, "/types"),
        ({"types": ["ticket.exploded"]}, "/types/0"),
        ({"secret": "whsec_short"}, "/secret"),
        ({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "/secret"),
        ({"secret": "whsec_" + "%" * 44}, "/secret"),
        ({"active": "yes"}, "/active"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings, wrong: dict[str, Any], pointer: str
) -> None:
    strict = settings.model_copy(update={"webhook_private_targets": False})
    app.state.settings = strict
    refused = await client.post("/v1/webhooks", json={**GOOD, **wrong})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert "whsec_short" not in refused.text


async def test_nobody_is_told_through_a_webhook_what_they_may_not_read(
    client: httpx.AsyncClient, person: Any, hook: Hook, there: Receiver
) -> None:
    deaf = (await person("service", scopes=["webhooks:write"])).http
    refused = await deaf.post("/v1/webhooks", json=GOOD)
    assert (refused.status_code, "events:read" in refused.text) == (403, True)
    keyless = (await person("service", scopes=["webhooks:write", "events:read"])).http
    refused = await keyless.post("/v1/webhooks", json={**GOOD, "types": ["api_key.created"]})
    assert (refused.status_code, "keys:read" in refused.text) == (403, True)
    made = await keyless.post("/v1/webhooks", json={**GOOD, "types": ["*"]})
    changed = await keyless.patch(made.headers["location"], json={"types": ["webhook.created"]})
    assert changed.status_code == 403


async def test_a_webhook_goes_elsewhere_only_by_who_may_read_what_it_is_told(
    client: httpx.AsyncClient, person: Any
) -> None:
    """Another URL, another secret, or turned on: whatever it tells is told to somebody else."""
    keyless = (await person("service", scopes=["webhooks:write", "events:read"])).http
    path = (await client.post("/v1/webhooks", json={**GOOD, "types": ["api_key.created"]})).headers["location"]
    for change in ({"url": "https://mine.example.com/in"}, {"active": True}, {"types": ["*", "api_key.revoked"]}):
        assert (await keyless.patch(path, json=change)).status_code == 403
    assert (await keyless.post(f"{path}/rotate-secret", json={})).status_code == 403
    assert (await client.get(path)).json()["version"] == 1
    # To be told less, or nothing, is no secret.
    assert (await keyless.patch(path, json={"active": False})).is_success
    assert (await keyless.patch(path, json={"types": ["ticket.created"]})).is_success
    assert (await keyless.patch(path, json={"url": "https://mine.example.com/in"})).is_success


async def test_a_secret_is_shown_once_and_lies_nowhere_but_where_it_signs(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, there: Receiver, sql: Any
) -> None:
    key = "a canary among the secrets."
    mine = "whsec_" + base64.b64encode(key.encode()).decode()
    with capture_logs() as logs:
        body = {**GOOD, "url": there.url, "types": ["*"], "secret": mine}
        made = await client.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "k"})
        again = await client.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "k"})
        path = made.headers["location"]
        rotated = await client.post(f"{path}/rotate-secret", headers={"Idempotency-Key": "r"})
        twice = await client.post(f"{path}/rotate-secret", headers={"Idempotency-Key": "r"})
        await open_ticket()
        await deliver(db, sending)
        read = [await client.get(path), await client.get("/v1/webhooks"), await client.get(f"{path}/deliveries")]
        read.append(await client.patch(path, json={"active": False}))
    assert (made.json()["secret"], made.status_code) == (mine, 201)
    assert {(each.status_code, each.json()["code"]) for each in (again, twice)} == {(409, "shown_once")}
    secrets = [mine, rotated.json()["secret"]]
    for secret in secrets:
        bare = secret.removeprefix("whsec_")
        assert not [each for each in (*read, again, twice) if bare in each.text]
        assert bare not in str(logs)
        assert not [got for got in there.received if bare.encode() in got.body or bare in str(got.headers)]
        assert (await places_of(sql, bare))[bare] == []
    assert (await places_of(sql, key))[key] == ["webhook_secrets"]
    keys = "SELECT count(*) FROM webhook_secrets WHERE NOT sealed AND octet_length(secret) >= 24"
    assert await sql.fetchval(keys) == 2


async def test_with_a_key_in_the_settings_secrets_lie_encrypted_and_sign_all_the_same(
    app: FastAPI, client: httpx.AsyncClient, db: Database, settings: Settings, there: Receiver, sql: Any
) -> None:
    older, newer = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    app.state.settings = settings.model_copy(update={"webhook_secret_keys": older})
    made = (await client.post("/v1/webhooks", json={**GOOD, "url": there.url})).json()
    stored = await sql.fetchrow("SELECT secret, sealed FROM webhook_secrets")
    assert stored["sealed"]
    assert made["secret"].encode() not in stored["secret"]
    for keys, failure in ((f"{newer},{older}", None), (newer, "secret"), ("", "secret")):
        await client.post(f"/v1/webhooks/{made['id']}/test")
        async with sender(db, settings.model_copy(update={"webhook_secret_keys": keys})) as sending:
            await deliver(db, sending)
        newest = (await client.get(f"/v1/webhooks/{made['id']}/deliveries?limit=1")).json()["items"][0]
        assert newest["failure"] == failure
    [got] = there.received
    Webhook(made["secret"]).verify(got.body, got.headers)


def test_a_key_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(webhook_secret_keys="my-secret-key")
    assert "my-secret-key" not in str(refused.value)


async def test_erasing_a_customer_reaches_what_is_sent_and_what_was_answered(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    async def echo(_: Received) -> bytes:
        return answer(500, b"Thanks, canary-name!")

    there.answer = echo
    await hook(there.url)
    customer = {"external_id": "canary-id", "name": "canary-name", "email": "canary-name@example.org"}
    ticket = await open_ticket(customer=customer, subject="canary-name")
    await client.patch(f"/v1/customers/{ticket['customer_id']}", json={"name": "canary-name II"})
    await deliver(db, sending)
    assert (await places_of(sql, "canary-name"))["canary-name"]
    await client.post(f"/v1/customers/{ticket['customer_id']}/erase")
    assert (await places_of(sql, "canary-name"))["canary-name"] == []
    there.answer = Receiver().answer
    before = len(there.received)
    await sql.execute("UPDATE webhook_deliveries SET next_at = now() WHERE state = 'pending'")
    await sql.execute("UPDATE webhooks SET open_until = NULL, failures = 0")
    await deliver(db, sending)
    assert len(there.received) > before
    assert not [got for got in there.received if b"canary" in got.body]


async def test_an_answer_that_comes_after_its_customer_was_erased_is_kept_nowhere(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    async def echo(_: Received) -> bytes:
        return answer(200, b"Thanks, canary-name!")

    there.answer = echo
    await hook(there.url, types=["ticket.created"])
    ticket = await open_ticket(customer={"external_id": "canary-id", "name": "canary-name"}, subject="canary-name")
    await plan(db)
    assert await sending.run_once()
    await sending.settled()
    await client.post(f"/v1/customers/{ticket['customer_id']}/erase")
    await sending.record()
    assert (await places_of(sql, "canary-name"))["canary-name"] == []
    assert await sql.fetchval("SELECT state FROM webhook_deliveries") == "pending"
    there.answer = Receiver().answer
    await hurry(sql)
    await deliver(db, sending)
    assert await sql.fetchval("SELECT state FROM webhook_deliveries") == "delivered"
    assert len({got.id for got in there.received}) == 1


async def test_deliveries_of_all_webhooks_are_listed_newest_first(client: httpx.AsyncClient, sql: Any) -> None:
    hooks = [(await client.post("/v1/webhooks", json=GOOD)).json()["id"] for _ in range(2)]
    made = [(await client.post(f"/v1/webhooks/{id_}/test")).json()["id"] for id_ in (*hooks, hooks[0])]
    await sql.execute("UPDATE webhook_deliveries SET state = 'dead' WHERE id = $1", made[1])

    async def listed(**asked: Any) -> list[str]:
        answer = await client.get("/v1/webhooks/deliveries", params=asked)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert await listed() == made[::-1]
    assert await listed(state="dead") == [made[1]]
    assert await listed(webhook_id=hooks[0], state="pending") == [made[2], made[0]]
    first = (await client.get("/v1/webhooks/deliveries", params={"limit": 1})).json()
    assert await listed(limit=2, cursor=first["next_cursor"]) == made[1::-1]
