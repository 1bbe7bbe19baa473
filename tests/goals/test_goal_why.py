"""Why a goal's mean is what it is: each layer adds up to the change exactly, and what was planted is found."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import Person
from tests.support.expect import problem
from tests.support.imports import item, send
from tests.support.sla import Sql
from tests.support.verification import Body, good

Make = Callable[..., Awaitable[Person]]
URL = "/v1/service-goals"
DAY = datetime(2026, 3, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def _at(minutes: float) -> datetime:
    """Minutes after ten in the morning."""
    return DAY + timedelta(hours=10, minutes=minutes)


async def _goal(client: httpx.AsyncClient, **more: Any) -> Body:
    body = {"key": "g", "name": "G", "target_seconds": 60, "window": {"rolling_seconds": 3600}, **more}
    return good(await client.post(URL, json=body))


async def _why(client: httpx.AsyncClient, goal: Body, start: datetime, end: datetime) -> Body:
    params = {"from": start.isoformat(), "to": end.isoformat()}
    return good(await client.get(f"{URL}/{goal['id']}/why", params=params))


async def said_online(sql: Sql, agent: Person, start: datetime, end: datetime, capacity: int = 1, **told: Any) -> None:
    """As the log has it of an agent who said so then."""
    for at, before, after in ((start, "offline", "online"), (end, "online", "offline")):
        data = {"before": before, "after": after, "because": "said", "capacity": capacity, "channels": None,
                "skills": [], "until": None, **told}  # fmt: skip
        await sql.execute(
            "INSERT INTO events (type, occurred_at, recorded_at, actor_kind, subject_id, internal, data)"
            " VALUES ('agent.availability_changed', $1, $1, 'agent', $2, true, $3)",
            at, agent.id, json.dumps(data),
        )  # fmt: skip


async def _answered(
    client: httpx.AsyncClient, sql: Sql, agent: Person, waits: Sequence[tuple[datetime, float, float]], **more: Any
) -> list[str]:
    """Tickets opened then, answered so many seconds later by this agent, of which they handled them the last ones."""
    answer = {"kind": "message", "author": "agent", "body": "Yes."}
    items = [
        item(f"w-{at.timestamp()}-{number}", {**answer, "at": (at + timedelta(seconds=wait)).isoformat()},
             created_at=at.isoformat(), **more)
        for number, (at, wait, _) in enumerate(waits)
    ]  # fmt: skip
    made = await send(client, *items)
    assert made["created"] == len(waits)
    ids = [each["ticket_id"] for each in made["items"]]
    for id_, (_, _, handling) in zip(ids, waits, strict=True):
        await sql.execute(
            "UPDATE messages SET handling_seconds = $2, author_id = $3 WHERE ticket_id = $1 AND author_kind = 'agent'",
            UUID(id_), handling, agent.id,
        )  # fmt: skip
        await sql.execute("UPDATE tickets SET handling_seconds = $2 WHERE id = $1", UUID(id_), handling)
    return ids


def _adds_up(found: Body) -> None:
    change = round(found["change_seconds"] * 1_000_000)
    means = [found[side]["mean_seconds"] for side in ("before", "after")]
    assert round((means[1] - means[0]) * 1_000_000) == change

    def micros(values: list[float]) -> int:
        return sum(round(value * 1_000_000) for value in values)

    assert micros([part["change_seconds"] for part in found["parts"]]) == change
    for side, mean in zip(("before", "after"), means, strict=True):
        assert micros([part[f"{side}_seconds"] for part in found["parts"]]) == micros([mean])
    for dimension in found["dimensions"]:
        effects = [group[name] for group in dimension["groups"] for name in ("mix_seconds", "within_seconds")]
        others = [dimension["others_mix_seconds"], dimension["others_within_seconds"]]
        assert micros([*effects, *others]) == change, dimension["dimension"]
    if found["causes"]:
        causes = found["causes"]
        assert micros([each["effect_seconds"] for each in causes["items"]] + [causes["rest_seconds"]]) == change


async def test_each_second_of_the_waits_is_where_it_went(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    goal, agent = await _goal(client), await person("agent")
    # Before: one wait of 30 s while they were free. From 11:00 they are away for ten minutes, then handle one by one.
    [_] = await _answered(client, sql, agent, [(_at(0), 30, 10)])
    first, second = await _answered(client, sql, agent, [(_at(65), 340, 40), (_at(70), 90, 50)])
    await said_online(sql, agent, _at(-60), _at(60))
    await said_online(sql, agent, _at(70), _at(180))
    found = await _why(client, goal, _at(60), _at(120))
    _adds_up(found)
    assert (found["before"]["waits"], found["after"]["waits"]) == (1, 2)
    assert (found["before"]["mean_seconds"], found["after"]["mean_seconds"]) == (30, 215)
    parts = {part["part"]: part for part in found["parts"]}
    # The first waits 300 s for anybody to come, then 40 s while it is handled; the second 40 s while the first is
    # handled, and of its last 50 s all.
    assert {name: part["after_seconds"] for name, part in parts.items()} == {
        "outside_hours": 0, "with_bot": 0, "nobody_online": 150, "all_busy": 65, "free_not_taken": 0,
    }  # fmt: skip
    assert (parts["free_not_taken"]["before_seconds"], parts["all_busy"]["before_seconds"]) == (20, 10)
    assert parts["nobody_online"]["tickets"] == [{"ticket_id": first, "seconds": 300}]
    assert [each["ticket_id"] for each in parts["all_busy"]["tickets"]] == [second, first]
    assert "nobody was online (+150.0 s)" in found["in_words"]


async def test_capacity_and_channels_say_who_is_free(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    goal, agent, other = await _goal(client), await person("agent"), await person("agent")
    await _answered(client, sql, agent, [(_at(0), 30, 30)], channel="email")
    await _answered(client, sql, agent, [(_at(60), 60, 60), (_at(60), 60, 60)], channel="email")
    # One takes mail, two at once; the other takes chats only.
    await said_online(sql, agent, _at(-60), _at(180), 5, channels=[{"channel": "email", "capacity": 2}])
    await said_online(sql, other, _at(-60), _at(180), 5, channels=[{"channel": "chat", "capacity": 2}])
    found = await _why(client, goal, _at(60), _at(120))
    sides = {part["part"]: (part["before_seconds"], part["after_seconds"]) for part in found["parts"]}
    assert (sides["free_not_taken"], sides["all_busy"], sides["nobody_online"]) == ((30, 0), (0, 60), (0, 0))
    [chat] = await _answered(client, sql, agent, [(_at(61), 30, 0)], channel="chat")
    parts = {part["part"]: part for part in (await _why(client, goal, _at(60), _at(120)))["parts"]}
    assert [each["ticket_id"] for each in parts["free_not_taken"]["tickets"]] == [chat]


async def test_business_hours_and_bots_have_their_part(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    hours = {"mon": [["09:00", "11:00"]], "wed": [["09:00", "10:01"], ["10:02", "24:00"]]}
    calendar = good(await client.post("/v1/business-calendars", json={"name": "C", "timezone": "UTC", "hours": hours}))
    policy = {"key": "p", "name": "P", "position": 1, "calendar_id": calendar["id"],
              "targets": [{"metric": "first_response", "seconds": 60, "hours": "calendar"}]}  # fmt: skip
    good(await client.post("/v1/sla-policies", json=policy))
    goal, agent = await _goal(client), await person("agent")
    await _answered(client, sql, agent, [(_at(-60), 10, 0)])
    [ticket] = await _answered(client, sql, agent, [(_at(0), 180, 0)])
    await sql.execute(
        "INSERT INTO messages (id, ticket_id, author_kind, visibility, body, created_at)"
        " VALUES (gen_random_uuid(), $1, 'bot', 'public', 'Hm.', $2)", UUID(ticket), _at(0.5),
    )  # fmt: skip
    await sql.execute(
        "INSERT INTO events (type, occurred_at, recorded_at, actor_kind, subject_id, ticket_id, data)"
        " VALUES ('ticket.handed_off', $1, $1, 'bot', $2, $2, '{}')", _at(2.5), UUID(ticket),
    )  # fmt: skip
    found = await _why(client, goal, _at(0), _at(60))
    _adds_up(found)
    # Closed for the second minute; with the bot from 30 s to 150 s, but for that one.
    after = {part["part"]: part["after_seconds"] for part in found["parts"]}
    assert (after["outside_hours"], after["with_bot"], after["nobody_online"]) == (60, 60, 60)


async def test_a_planted_cause_is_named_and_all_layers_add_up(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    goal, agents = await _goal(client), [await person("agent") for _ in range(2)]
    for agent in agents:
        await said_online(sql, agent, _at(-360), _at(240))
    # Five usual hours: a ticket each minute and a half, 100 s of work each, a little apart. Then a second flood.
    for hour in range(-5, 0):
        usual = [(_at(60 * hour + 1.5 * n), 15 + n % 7 + hour, 100 + 3 * hour) for n in range(36)]
        await _answered(client, sql, agents[0], usual, channel="chat")
    flood = [(_at(0.75 * n), 20 + 3 * n + n / 7, 100) for n in range(72)]
    await _answered(client, sql, agents[1], flood, channel="chat")
    found = await _why(client, goal, _at(0), _at(60))
    _adds_up(found)
    causes = found["causes"]
    assert (causes["verdict"], causes["windows"]) == ("causes", 5)
    first = causes["items"][0]
    assert (first["cause"], first["named"]) == ("volume", True)
    assert "volume" in found["in_words"]
    assert first["effect_seconds"] > causes["spread_seconds"] > 0
    usual_hour = await _why(client, goal, _at(-60), _at(0))
    _adds_up(usual_hour)
    assert usual_hour["causes"]["verdict"] == "normal_variation"
    assert "within normal variation" in usual_hour["in_words"]


async def test_without_figures_no_cause_is_made_up(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    goal, agent = await _goal(client), await person("agent")
    found = await _why(client, goal, _at(60), _at(120))
    assert (found["parts"], found["causes"], found["after"]["mean_seconds"]) == ([], None, None)
    await _answered(client, sql, agent, [(_at(0), 30, 0)])
    await _answered(client, sql, agent, [(_at(60), 70, 0)], channel="chat", priority="high")
    found = await _why(client, goal, _at(60), _at(120))
    _adds_up(found)
    assert (found["causes"], found["because"]) == (None, "Nothing is known of how long tickets took to handle.")
    priorities = next(each for each in found["dimensions"] if each["dimension"] == "priority")
    # A group of one side only is all mix.
    assert {group["group"]: group["within_seconds"] for group in priorities["groups"]} == {"high": 0, "normal": 0}
    await sql.execute("UPDATE messages SET handling_seconds = 5 WHERE author_kind = 'agent'")
    await sql.execute("UPDATE tickets SET handling_seconds = 5")
    found = await _why(client, goal, _at(60), _at(120))
    assert (found["causes"], found["because"]) == (None, "No agent said that they were online.")


async def test_the_last_miss_is_explained_where_no_span_is_given(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    goal, agent = await _goal(client), await person("agent")
    present = good(await client.get(f"{URL}/{goal['id']}/why"))["after"]
    assert datetime.fromisoformat(present["end"]) - datetime.fromisoformat(present["start"]) == HOUR
    assert datetime.fromisoformat(present["end"]) > DAY
    await _answered(client, sql, agent, [(_at(0), 30, 0), (_at(60), 70, 0)])
    await sql.execute("INSERT INTO service_goal_misses (goal_id, missed_at) VALUES ($1, $2)", UUID(goal["id"]), _at(90))
    found = good(await client.get(f"{URL}/{goal['id']}/why"))
    assert [datetime.fromisoformat(found["after"][name]) for name in ("start", "end")] == [_at(30), _at(90)]
    assert found["change_seconds"] == 40


@pytest.mark.parametrize(
    ("span", "pointer"),
    [
        ({"to": "2026-03-04"}, "/query/from"),
        ({"from": "2026-03-04", "to": "2026-03-04"}, "/query/to"),
        ({"from": "2026-03-05", "to": "2026-03-04"}, "/query/to"),
        ({"from": "2026-03-04", "to": "2026-05-04"}, "/query/to"),
        ({"from": "2099-03-04"}, "/query/to"),
    ],
)
async def test_a_span_that_cannot_be_explained_is_refused(
    client: httpx.AsyncClient, span: dict[str, str], pointer: str
) -> None:
    goal = await _goal(client)
    refused = await client.get(f"{URL}/{goal['id']}/why", params=span)
    assert [error["pointer"] for error in problem(refused, 422)["errors"]] == [pointer]
