import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.auth.keys import make_key
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.world import World

PersonMaker = Callable[..., Awaitable[Person]]
UNKNOWN = str(UUID(int=7))
JSON = {"Content-Type": "application/json"}


async def _make(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/api-keys", json={"name": "k", "role": "admin", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _let_pass(app: FastAPI, seconds: float) -> None:
    """Ages what the process remembers of keys."""
    known = app.state.credentials._known
    for digest, (until, actor) in list(known.items()):
        known[digest] = (until - seconds, actor)


def _secret(made: dict[str, Any]) -> str:
    """It may hold the very sign that stands before it."""
    return str(made["key"]).removeprefix(f"nty_{UUID(made['id']).hex}_")


async def _status(app: FastAPI, key: str) -> int:
    async with client_for(app, key) as http:
        return (await http.get("/v1/tickets")).status_code


async def test_a_key_works_and_is_shown_this_once(client: httpx.AsyncClient, app: FastAPI) -> None:
    made = await _make(client)
    assert await _status(app, made["key"]) == 200
    listed = (await client.get("/v1/api-keys")).text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert _secret(made) not in listed
    assert "secret" not in listed


async def test_the_database_holds_no_secret(client: httpx.AsyncClient, sql: Any) -> None:
    made = await _make(client)
    secret = _secret(made)
    assert len(secret) == 43
    tables = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for [table] in tables:
        found = await sql.fetchval(f'SELECT count(*) FROM "{table}" t WHERE strpos(t::text, $1) > 0', secret)
        assert found == 0, table


async def test_nobody_grants_more_than_they_have(client: httpx.AsyncClient, app: FastAPI, person: PersonMaker) -> None:
    agent = (await client.post("/v1/agents", json={"name": "A"})).json()["id"]
    maker = await person("service", scopes=["keys:write", "tickets:read"])
    narrow = await person("admin", scopes=["keys:write", "tickets:read"])
    for who in (maker, narrow):
        for beyond in (
            {"role": "admin"},
            {"role": "service", "scopes": ["tickets:read", "tickets:write"]},
            {"role": "lead", "agent_id": agent},
            {"role": "admin", "scopes": ["agents:read"]},
        ):
            answer = await who.http.post("/v1/api-keys", json={"name": "k", **beyond})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), beyond
        for within in (
            {"role": "service", "scopes": ["keys:write"]},
            {"role": "agent", "agent_id": agent, "scopes": ["tickets:read"]},
        ):
            made = await _make(who.http, **within)
            assert made["scopes"] == within["scopes"]


async def test_a_revoked_key_is_dead_within_five_seconds(client: httpx.AsyncClient, app: FastAPI) -> None:
    made = await _make(client)
    assert await _status(app, made["key"]) == 200
    assert (await client.delete(f"/v1/api-keys/{made['id']}")).status_code == 204
    _let_pass(app, 5)
    assert await _status(app, made["key"]) == 401
    listed = (await client.get("/v1/api-keys")).json()["items"]
    assert [key["revoked_at"] is not None for key in listed if key["id"] == made["id"]] == [True]


async def test_no_process_remembers_a_key_for_five_seconds(client: httpx.AsyncClient, app: FastAPI) -> None:
    made = await _make(client)
    assert await _status(app, made["key"]) == 200
    assert all(until - time.monotonic() < 5 for until, _ in app.state.credentials._known.values())


async def test_what_a_process_remembers_of_keys_is_not_the_keys(client: httpx.AsyncClient, app: FastAPI) -> None:
    made = await _make(client)
    await _status(app, made["key"])
    assert made["key"].encode() not in b"".join(app.state.credentials._known)
    assert made["key"] not in repr(app.state.credentials._known)


async def test_refused_keys_are_not_remembered(client: httpx.AsyncClient, app: FastAPI) -> None:
    before = len(app.state.credentials._known)
    for _ in range(3):
        assert await _status(app, make_key()[1]) == 401
    assert len(app.state.credentials._known) == before


async def test_revoking_twice_is_revoking_once(client: httpx.AsyncClient, sql: Any) -> None:
    made = await _make(client)
    for _ in range(2):
        assert (await client.delete(f"/v1/api-keys/{made['id']}")).status_code == 204
    types = await sql.fetch("SELECT type FROM events WHERE subject_id = $1 ORDER BY id", UUID(made["id"]))
    assert [type_ for [type_] in types] == ["api_key.created", "api_key.revoked"]


async def test_a_key_that_is_not_there_cannot_be_revoked(client: httpx.AsyncClient) -> None:
    assert (await client.delete(f"/v1/api-keys/{UNKNOWN}")).status_code == 404


async def test_a_key_cannot_revoke_itself(client: httpx.AsyncClient, app: FastAPI) -> None:
    made = await _make(client)
    async with client_for(app, made["key"]) as http:
        answer = await http.delete(f"/v1/api-keys/{made['id']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "cannot_revoke_yourself")
        _let_pass(app, 5)
        assert (await http.get("/v1/api-keys")).status_code == 200


async def test_an_expired_key_is_dead(client: httpx.AsyncClient, app: FastAPI, sql: Any) -> None:
    made = await _make(client, expires_at="2099-01-01T00:00:00Z")
    assert await _status(app, made["key"]) == 200
    await sql.execute("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = $1", UUID(made["id"]))
    _let_pass(app, 5)
    assert await _status(app, made["key"]) == 401


async def test_no_key_is_made_that_has_expired_already(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/api-keys", json={"name": "k", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/expires_at")


async def test_unknown_forged_revoked_and_expired_keys_get_the_same_answer(
    client: httpx.AsyncClient, app: FastAPI, sql: Any
) -> None:
    forged, revoked, expired = [await _make(client) for _ in range(3)]
    await client.delete(f"/v1/api-keys/{revoked['id']}")
    await sql.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", UUID(expired["id"]))
    other_secret = make_key()[1].partition("_")[2].partition("_")[2]
    keys = [make_key()[1], f"nty_{UUID(forged['id']).hex}_{other_secret}", revoked["key"], expired["key"]]
    answers = set()
    for key in keys:
        async with client_for(app, key) as http:
            answer = await http.get("/v1/tickets")
            assert answer.status_code == 401
            answers.add(answer.content)
    assert len(answers) == 1


_BAD_HEADERS = {
    "nothing": [],
    "empty": [b""],
    "scheme alone": [b"Bearer"],
    "scheme and blank": [b"Bearer "],
    "key alone": [ADMIN_KEY.encode()],
    "basic": [b"Basic " + ADMIN_KEY.encode()],
    "digest": [b"Digest username=admin"],
    "not a key": [b"Bearer nonsense"],
    "truncated": [b"Bearer " + ADMIN_KEY[:-1].encode()],
    "too long": [b"Bearer " + ADMIN_KEY.encode() + b"A"],
    "two keys in one": [b"Bearer " + ADMIN_KEY.encode() + b", Bearer " + ADMIN_KEY.encode()],
    "the right one twice": [b"Bearer " + ADMIN_KEY.encode()] * 2,
    "the right one and another": [b"Bearer " + ADMIN_KEY.encode(), b"Basic YTpi"],
    "not ASCII": [b"Bearer " + "nty_é".encode()],
    "not UTF-8": [b"Bearer \xff\xfe"],
    "unsigned token": [b"Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."],
    "enormous": [b"Bearer " + b"A" * 60_000],
}


@pytest.mark.parametrize("headers", _BAD_HEADERS.values(), ids=_BAD_HEADERS)
async def test_anything_but_one_bearer_key_is_a_401_that_says_how(world: World, headers: list[bytes]) -> None:
    async with client_for(world.app, None) as http:
        answer = await http.get("/v1/tickets", headers=[(b"Authorization", value) for value in headers])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="ninety"'
    assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_whatever_its_case(world: World, scheme: str) -> None:
    async with client_for(world.app, None) as http:
        answer = await http.get("/v1/tickets", headers={"Authorization": f"{scheme} {ADMIN_KEY}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("place", [{"params": {"key": ADMIN_KEY}}, {"cookies": {"key": ADMIN_KEY}}])
async def test_a_key_anywhere_else_counts_for_nothing(world: World, place: dict[str, Any]) -> None:
    async with client_for(world.app, None) as http:
        http.cookies.update(place.get("cookies"))
        assert (await http.get("/v1/tickets", params=place.get("params"))).status_code == 401


_WRONG_KEYS = {
    "service without scopes": ({"role": "service"}, "/scopes"),
    "service with no scope": ({"role": "service", "scopes": []}, "/scopes"),
    "unknown scope": ({"role": "admin", "scopes": ["tickets:fly"]}, "/scopes"),
    "agent without agent": ({"role": "agent"}, "/agent_id"),
    "lead without agent": ({"role": "lead"}, "/agent_id"),
    "agent nobody knows": ({"role": "agent", "agent_id": UNKNOWN}, "/agent_id"),
    "customer without customer": ({"role": "customer"}, "/customer_id"),
    "customer nobody knows": ({"role": "customer", "customer_id": UNKNOWN}, "/customer_id"),
    "admin for a customer": ({"role": "admin", "customer_id": UNKNOWN}, "/customer_id"),
    "unknown role": ({"role": "root"}, "/role"),
    "no role": ({}, "/role"),
}


@pytest.mark.parametrize(("body", "pointer"), _WRONG_KEYS.values(), ids=_WRONG_KEYS)
async def test_a_key_that_could_not_work_is_refused_where_it_is_made(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    answer = await world.admin.post("/v1/api-keys", json={"name": "k", **body})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_scopes_narrow_what_a_role_may(person: PersonMaker) -> None:
    reader = await person("agent", scopes=["tickets:read"])
    assert (await reader.http.get("/v1/tickets")).status_code == 200
    refused = await reader.http.post("/v1/tickets", json={"subject": "x", "customer": {"name": "y"}})
    assert refused.status_code == 403
    assert "tickets:write" in refused.json()["detail"]
    assert (await reader.http.get("/v1/customers")).status_code == 403


async def test_scopes_never_widen_what_a_role_may(client: httpx.AsyncClient, person: PersonMaker, sql: Any) -> None:
    agent = await person("agent")
    body = {"name": "greedy", "role": "agent", "agent_id": str(agent.id), "scopes": ["tickets:read", "keys:write"]}
    refused = await client.post("/v1/api-keys", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "beyond_role"
    # A row that says more than the role has, however it came there, gives no more.
    await sql.execute("UPDATE api_keys SET scopes = '{keys:read,tickets:read}' WHERE role = 'agent'")
    assert (await agent.http.get("/v1/tickets")).status_code == 200
    assert (await agent.http.get("/v1/api-keys")).status_code == 403


@pytest.mark.parametrize("goes", ["is deleted", "is made inactive"])
async def test_an_agent_who_goes_loses_every_key(
    client: httpx.AsyncClient, app: FastAPI, person: PersonMaker, sql: Any, goes: str
) -> None:
    agent, stays = await person("agent"), await person("agent")
    lead = await person("lead", agent_id=str(agent.id))
    path = f"/v1/agents/{agent.id}"
    gone = await (client.delete(path) if goes == "is deleted" else client.patch(path, json={"active": False}))
    assert gone.is_success
    _let_pass(app, 5)
    assert [await _status(app, who.key) for who in (agent, lead, stays)] == [401, 401, 200]
    revoked = await sql.fetch("SELECT subject_id FROM events WHERE type = 'api_key.revoked'")
    assert len({subject_id for [subject_id] in revoked}) == 2
    # Coming back brings no key back.
    await client.patch(path, json={"active": True})
    assert await _status(app, agent.key) == 401


async def test_no_key_is_made_for_an_agent_who_is_inactive(client: httpx.AsyncClient) -> None:
    agent = (await client.post("/v1/agents", json={"name": "Ann", "active": False})).json()
    answer = await client.post("/v1/api-keys", json={"name": "k", "role": "agent", "agent_id": agent["id"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/agent_id")


async def test_who_made_and_who_revoked_a_key_is_on_record(client: httpx.AsyncClient, sql: Any) -> None:
    made = await _make(client, name="for the shop")
    await client.delete(f"/v1/api-keys/{made['id']}")
    rows = await sql.fetch("SELECT * FROM events WHERE subject_id = $1 ORDER BY id", UUID(made["id"]))
    assert [row["type"] for row in rows] == ["api_key.created", "api_key.revoked"]
    admin = UUID(ADMIN_KEY.split("_")[1])
    assert all((row["actor_kind"], row["actor_id"], row["internal"]) == ("agent", admin, True) for row in rows)
    assert "for the shop" in rows[0]["data"]


async def test_no_secret_is_said_back_listed_or_logged(client: httpx.AsyncClient, app: FastAPI) -> None:
    with capture_logs() as lines:
        made = await _make(client)
        key, bad = made["key"], made["key"][:-1]
        answers = [await client.get("/v1/api-keys")]
        for header in (key, bad, f"{key} {key}"):
            async with client_for(app, header) as http:
                answers.append(await http.get("/v1/api-keys", params={"cursor": key, "limit": key, "key": key}))
                answers.append(await http.get(f"/v1/tickets/{key}"))
                answers.append(await http.post("/v1/api-keys", json={"name": 1, "role": key, "scopes": [key]}))
                answers.append(await http.post("/v1/api-keys", json={"name": "k", "role": "admin", "agent_id": key}))
                answers.append(await http.post("/v1/tickets", content=f'{{"subject": {key}', headers=JSON))
    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 422}
    secret = bad.rpartition(UUID(made["id"]).hex)[2]
    for answer in answers:
        # The path is the caller's own word, said back as `instance`.
        assert secret not in answer.text.replace(answer.request.url.path, "") + str(answer.headers)
    assert lines
    assert [line for line in lines if secret in repr(line) or ADMIN_KEY in repr(line)] == []
