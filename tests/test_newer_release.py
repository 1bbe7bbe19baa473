"""Beside a newer release for a while: what that has written, and this one has no word for, stops nobody. Lists leave it
out, what is it alone is answered by those who know it (503), and tickets are opened and workers go on meanwhile."""

import importlib
import json
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Text

import app
from app.goals import watching
from app.memberships import jobs as segment_jobs
from app.metadata import metadata
from app.sla_exceptions import service as exception_jobs
from app.tickets import rematch_jobs, search_index
from app.webhooks import planning
from tests.auth.asking import operations
from tests.auth.matrix import Whose
from tests.conftest import ADMIN_KEY, Databases, openapi
from tests.support.world import World, a_world, everywhere, exception, unique

_THEIRS = "_of_the_future"
_MINE = UUID(ADMIN_KEY.split("_")[1])
# What answers a list of things.
_LISTS = {
    operation.path for operation in operations(openapi()) if operation.method == "GET" and not operation.path_parameters
}
_NO_LISTS = {"/v1/events/stream", "/livez", "/readyz", "/metrics"}


def _words() -> set[str]:
    """Every word of every kind that this release knows."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {str(word) for kind in StrEnum.__subclasses__() for word in kind}


@pytest.fixture
async def world(databases: Databases, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(databases, tmp_path) as made:
        yield made


async def _parts(world: World) -> dict[str, str]:
    """One of everything that a path may name, all of them related as far as they can be."""
    parts = {
        "ticket_id": world.ticket,
        "customer_id": world.customer,
        "agent_id": world.agent,
        "code": "conflict",
        "key": "none",
    }
    for make in (world._add_message, world._add_attachment, world.add_promise):
        await make(world.ticket)
    await world._add_link(world.strangers_ticket)
    for body in (exception(world.ticket), everywhere()):
        parts["exception_id"] = str(await world._id_of("/v1/sla-exceptions", body))
    names = {name for operation in operations(openapi()) for name in operation.path_parameters}
    for name in sorted(names - parts.keys() - world.on_ticket.keys() - {"override_id"}):
        parts[name] = await world.path_part(name, Whose.own)
    parts["override_id"] = await world.add_override(parts["segment_id"])
    parts["delivery_id"] = await world._add_delivery(parts["webhook_id"])
    for name, listed in (("message_id", "messages"), ("attachment_id", "attachments"), ("link_id", "links")):
        items = (await world.admin.get(f"/v1/tickets/{world.ticket}/{listed}")).json()["items"]
        parts[name] = items[0]["id"]
    return parts


async def _columns_of_words(world: World) -> list[tuple[str, str]]:
    """Where rows of this world hold words of a kind."""
    words, found = _words(), []
    for table in metadata.sorted_tables:
        for column in (column for column in table.columns if isinstance(column.type, Text)):
            rows = await world.sql.fetch(
                f'SELECT DISTINCT "{column.name}" FROM "{table.name}" WHERE "{column.name}" IS NOT NULL'
            )
            if rows and {row[0] for row in rows} <= words:
                found.append((table.name, column.name))
    return found


def _paths(parts: dict[str, str]) -> Iterator[str]:
    for operation in operations(openapi()):
        if operation.method == "GET" and operation.path not in _NO_LISTS:
            yield re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], operation.path)


async def _wrong_reads(http: httpx.AsyncClient, parts: dict[str, str]) -> list[str]:
    wrong = []
    for path in _paths(parts):
        answer = await http.get(path)
        newer = answer.status_code == 503 and answer.json()["code"] == "newer_release" and path not in _LISTS
        if answer.status_code >= 500 and not newer:
            wrong.append(f"GET {path}: {answer.text}")
    return wrong


async def _wrong_work(world: World) -> list[str]:
    opened = await world.admin.post("/v1/tickets", json={"subject": "s", "customer": {"external_id": unique()}})
    wrong = [] if opened.status_code == 201 else [f"opening: {opened.text}"]
    for turn in (
        rematch_jobs.run_once, segment_jobs.run_job_once, segment_jobs.run_once, exception_jobs.run_once,
        watching.run_once, planning.run_once,
        search_index.run_once,
    ):  # fmt: skip
        try:
            await turn(world.app.state.db)
        except Exception as failed:
            wrong.append(f"{turn.__module__}.{turn.__name__}: {failed!r}")
    return wrong


async def _forget_what_is_known(world: World) -> None:
    for table in ("sla_policy_revision", "segment_revision", "custom_field_revision"):
        await world.sql.execute(f"UPDATE {table} SET revision = revision + 1")


# What holds words otherwise than in a column of text.
_SHAPES = {
    "sla_policy_versions": 'conditions = \'{"all": [{"field": "moon", "op": "eq", "value": 1}], "any": []}\'',
    "segments": 'rule = \'{"field": "customer.name", "op": "resembles", "value": 1}\'',
    "service_goals": 'filter = filter || \'{"moon": "full"}\'',
    "views": 'filter = filter || \'{"moon": "full"}\'',
    "sla_exceptions": "metrics = '{mood}'",
    "custom_fields": "ticket_types = '{mood}'",
    "webhooks": "types = '{mood.changed}'",
}
_BUT_THE_STOCK = {
    "sla_policy_versions": "policy_id <> (SELECT id FROM sla_policies WHERE key = 'first-answer')",
    "service_goals": "key <> 'ninety'",
}
_TARGET: dict[str, object] = {
    "metric": "mood",
    "priority": None,
    "seconds": 5,
    "warn_at_percent": [],
    "hours": "calendar",
    "pause_on": [],
}


def _passes(columns: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """One column of each table at a time; tickets and what decides on them by themselves, or they would hide others."""
    apart = ("tickets", "sla_clocks", "sla_policy_versions")
    by_table: dict[str, list[tuple[str, str]]] = {}
    for table, column in columns:
        by_table.setdefault(table, []).append((table, column))
    beside = [some for table, some in by_table.items() if table not in apart]
    for at_once in zip_longest(*beside):
        yield [each for each in at_once if each]
    for table in apart:
        yield from ([each] for each in by_table[table])


async def test_no_word_of_a_newer_release_stops_a_list_an_opening_or_a_worker(world: World) -> None:
    parts = await _parts(world)
    await _drop_checks(world)
    columns = await _columns_of_words(world)
    assert len(columns) > 30
    wrong = await _wrong_reads(world.admin, parts)
    for together in _passes(columns):
        for table, column in together:
            which = f"id <> '{_MINE}'" if table == "api_keys" else "true"
            await world.sql.execute(f'UPDATE "{table}" SET "{column}" = "{column}" || \'{_THEIRS}\' WHERE {which}')
        await _forget_what_is_known(world)
        found = [*await _wrong_reads(world.admin, parts), *await _wrong_work(world)]
        wrong += [f"{together}: {each}" for each in found]
        for table, column in together:
            ours = f'left("{column}", -{len(_THEIRS)})'
            await world.sql.execute(f'UPDATE "{table}" SET "{column}" = {ours} WHERE "{column}" LIKE \'%{_THEIRS}\'')
    assert wrong == []


async def test_no_shape_of_a_newer_release_stops_a_list_an_opening_or_a_worker(world: World) -> None:
    parts = await _parts(world)
    await _drop_checks(world)
    for table, change in _SHAPES.items():
        await world.sql.execute(f"UPDATE {table} SET {change} WHERE {_BUT_THE_STOCK.get(table, 'true')}")
    # The stock policy promises something more.
    await world.sql.execute("UPDATE sla_policy_versions SET targets = targets || $1::jsonb", json.dumps([_TARGET]))
    await _forget_what_is_known(world)
    assert [*await _wrong_reads(world.admin, parts), *await _wrong_work(world)] == []
    opened = (await world.admin.get("/v1/tickets?limit=1&sort=-created_at")).json()["items"][0]
    clocks = (await world.admin.get(f"/v1/tickets/{opened['id']}/clocks")).json()["items"]
    # What this release knows of the promise is kept.
    assert ("first_response", 90) in {(clock["metric"], clock["target_seconds"]) for clock in clocks}
    goals = (await world.admin.get("/v1/service-goals")).json()["items"]
    assert [goal["key"] for goal in goals] == ["ninety"]


async def _drop_checks(world: World) -> None:
    for table, name in await world.sql.fetch(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND coninhcount = 0"
    ):
        await world.sql.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
