"""Agents say whether they are there; heartbeats keep it, silence or its own end ends it, and the log has all of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from app.availability import service
from app.db import Database
from tests.conftest import Person, settled
from tests.support.verification import Body, good, pointers, soon

Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def _say(http: httpx.AsyncClient, agent: Person, state: str, **more: Any) -> httpx.Response:
    return await http.put(f"/v1/agents/{agent.id}/availability", json={"state": state, **more})


async def _read(http: httpx.AsyncClient, agent: Person) -> Body:
    return good(await http.get(f"/v1/agents/{agent.id}/availability"))


async def _beat(http: httpx.AsyncClient, agent: Person) -> httpx.Response:
    return await http.post(f"/v1/agents/{agent.id}/availability/heartbeat")


async def _silent(sql: Sql, agent: Person, seconds: float) -> None:
    """As if nothing had been heard for so long, beyond what is borne."""
    await sql.execute(
        "UPDATE agent_availability SET expires_at = now() - make_interval(secs => $2) WHERE agent_id = $1",
        agent.id,
        seconds,
    )


async def _history(
    client: httpx.AsyncClient, database_url: str, *, by_time: bool = False
) -> list[tuple[str, str, str, str]]:
    """In the order of the log, which is that in which transactions began, or by the instants of the events."""
    await settled(database_url)
    items = good(await client.get("/v1/events?types=agent.availability_changed"))["items"]
    if by_time:
        items.sort(key=lambda event: str(event["time"]))
    return [(e["data"]["before"], e["data"]["after"], e["data"]["because"], e["actorkind"]) for e in items]


async def test_what_an_agent_says_is_kept_and_told(client: httpx.AsyncClient, person: Make, database_url: str) -> None:
    agent = await person("agent")
    assert (await _read(client, agent))["state"] == "offline"
    end = soon(3600)
    channels = [{"channel": "chat", "capacity": 2}, {"channel": "email", "capacity": 5}]
    said = good(await _say(agent.http, agent, "online", capacity=6, channels=channels, skills=["French"], until=end))
    assert (said["state"], said["capacity"], said["channels"], said["skills"]) == ("online", 6, channels, ["french"])
    assert said["expires_at"] < said["until"]
    assert await _read(client, agent) == said
    # Saying it again is a heartbeat, and no news.
    again = good(await _say(agent.http, agent, "online", capacity=6, channels=channels, skills=["French"], until=end))
    assert again["since"] == said["since"]
    assert again["expires_at"] > said["expires_at"]
    fewer = good(await _say(agent.http, agent, "online", capacity=1))
    assert (fewer["since"], fewer["channels"]) == (said["since"], None)
    away = good(await _say(agent.http, agent, "away"))
    assert away["since"] > said["since"]
    off = good(await _say(agent.http, agent, "offline", until=end))
    assert (off["until"], off["expires_at"]) == (None, None)
    assert await _history(client, database_url) == [
        ("offline", "online", "said", "agent"),
        ("online", "online", "said", "agent"),
        ("online", "away", "said", "agent"),
        ("away", "offline", "said", "agent"),
    ]


async def test_a_heartbeat_keeps_it_and_silence_ends_it_at_its_instant(
    client: httpx.AsyncClient, person: Make, sql: Sql, db: Database, database_url: str
) -> None:
    agent = await person("agent")
    said = good(await _say(agent.http, agent, "online"))
    kept = good(await _beat(agent.http, agent))
    assert kept["expires_at"] > said["expires_at"]
    await service.run_once(db)
    assert (await _read(client, agent))["state"] == "online"
    await _silent(sql, agent, 5)
    lapsed = await _read(client, agent)
    assert lapsed["state"] == "offline"
    # Before the worker has noticed it, and after.
    refused = await _beat(agent.http, agent)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_available")
    await asyncio.gather(*(service.run_once(db) for _ in range(4)))
    assert await _read(client, agent) == lapsed
    assert (await _beat(agent.http, agent)).status_code == 409
    assert (await _history(client, database_url))[1:] == [("online", "offline", "silence", "system")]
    assert good(await _say(agent.http, agent, "online"))["since"] > lapsed["since"]


async def test_who_comes_back_before_the_worker_noticed_was_away_in_between(
    client: httpx.AsyncClient, person: Make, sql: Sql, db: Database, database_url: str
) -> None:
    agent = await person("agent")
    before = good(await _say(agent.http, agent, "online"))
    await _silent(sql, agent, 5)
    back = good(await _say(agent.http, agent, "online"))
    assert back["since"] > before["since"]
    await service.run_once(db)
    assert await _history(client, database_url) == [
        ("offline", "online", "said", "agent"),
        ("online", "offline", "silence", "system"),
        ("offline", "online", "said", "agent"),
    ]


async def test_its_own_end_ends_it_whatever_is_heard(
    client: httpx.AsyncClient, person: Make, db: Database, database_url: str
) -> None:
    agent = await person("agent")
    good(await _say(agent.http, agent, "away", until=soon(0.6)))
    good(await _beat(agent.http, agent))
    await asyncio.sleep(0.7)
    assert (await _beat(agent.http, agent)).status_code == 409
    await service.run_once(db)
    assert (await _history(client, database_url))[1:] == [("away", "offline", "until", "system")]


async def test_the_list_says_who_is_there(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    here, away, silent, gone = [await person("agent") for _ in range(4)]
    for agent, state in ((here, "online"), (away, "away"), (silent, "online"), (gone, "online")):
        good(await _say(agent.http, agent, state))
    await _silent(sql, silent, 1)
    assert (await client.delete(f"/v1/agents/{gone.id}")).status_code == 204
    everybody = good(await client.get("/v1/availability"))["items"]
    assert {item["agent_id"]: item["state"] for item in everybody} == {
        str(here.id): "online", str(away.id): "away", str(silent.id): "offline",
    }  # fmt: skip
    some = good(await here.http.get("/v1/availability?state=online,away&limit=1"))
    assert [item["agent_id"] for item in some["items"]] == [str(here.id)]
    rest = good(await here.http.get(f"/v1/availability?state=online,away&cursor={some['next_cursor']}"))
    assert [item["agent_id"] for item in rest["items"]] == [str(away.id)]
    assert (await _read(client, gone))["state"] == "offline"


async def test_agents_speak_for_themselves_and_leads_for_anybody(client: httpx.AsyncClient, person: Make) -> None:
    agent, other, lead, customer = [await person(role) for role in ("agent", "agent", "lead", "customer")]
    assert (await _say(other.http, agent, "online")).status_code == 403
    assert (await _beat(other.http, agent)).status_code == 403
    assert good(await _say(lead.http, agent, "online"))["state"] == "online"
    assert (await _beat(customer.http, agent)).status_code == 403
    assert (await customer.http.get("/v1/availability")).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, "/until"),
        ({"capacity": -1}, "/capacity"),
        ({"channels": [{"channel": "chat", "capacity": 1}] * 2}, "/channels"),
        ({"channels": [{"channel": "mail", "capacity": 1}]}, "/channels/0/channel"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, person: Make, body: Body, pointer: str
) -> None:
    agent = await person("agent")
    refused = await _say(agent.http, agent, "online", **body)
    assert pointers(refused) == [pointer]
    assert (await _read(client, agent))["state"] == "offline"


async def test_who_has_left_cannot_be_online(client: httpx.AsyncClient, person: Make) -> None:
    agent = await person("agent")
    await client.delete(f"/v1/agents/{agent.id}")
    refused = await _say(client, agent, "online")
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_inactive")
    nobody = await client.put("/v1/agents/00000000-0000-7000-8000-000000000000/availability", json={"state": "away"})
    assert nobody.status_code == 404


async def test_many_words_at_once_leave_one_of_them_and_a_whole_history(
    client: httpx.AsyncClient, person: Make, database_url: str
) -> None:
    agent = await person("agent")
    words = ["online", "away"] * 10
    said = await asyncio.gather(*(_say(client, agent, word, capacity=n) for n, word in enumerate(words)))
    assert {answer.status_code for answer in said} == {200}
    history = await _history(client, database_url, by_time=True)
    assert len(history) == 20
    # Each goes on where the one before it ended.
    assert [before for before, *_ in history] == ["offline", *(after for _, after, *_ in history[:-1])]
    assert (await _read(client, agent))["state"] == history[-1][1]
