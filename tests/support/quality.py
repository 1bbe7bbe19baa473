"""Asking for quality."""

from typing import Any

import httpx

from tests.support.sla import Sql
from tests.support.verification import Body, good

URL = "/v1/reports/quality"


async def quality(client: httpx.AsyncClient, **asked: Any) -> list[Body]:
    items: list[Body] = good(await client.get(URL, params=asked))["items"]
    return items


async def whole(client: httpx.AsyncClient, **asked: Any) -> Body:
    """The one item where nothing is grouped."""
    [item] = await quality(client, **asked)
    return item


async def by(client: httpx.AsyncClient, group: str, part: str, name: str, **asked: Any) -> dict[Any, Any]:
    """One figure by one group, where it is not zero."""
    items = await quality(client, group_by=group, **asked)
    return {item["group"][group]: item[part][name] for item in items if item[part][name]}


async def rate(client: httpx.AsyncClient, ticket: Body, score: int, **more: Any) -> Body:
    return good(await client.post(f"/v1/tickets/{ticket['id']}/satisfaction", json={"score": score, **more}))


async def move_back(sql: Sql, ticket: Body, days: float) -> None:
    """All that happened to a ticket happened so many days before."""
    shift = f"interval '{days} days'"
    id_ = ticket["id"]
    for statement in (
        f"UPDATE tickets SET created_at = created_at - {shift} WHERE id = '{id_}'",
        f"UPDATE sla_clocks SET started_at = started_at - {shift}, due_at = due_at - {shift},"
        f" stopped_at = stopped_at - {shift}, ended_at = ended_at - {shift} WHERE ticket_id = '{id_}'",
        f"UPDATE ticket_resolutions SET resolved_at = resolved_at - {shift} WHERE ticket_id = '{id_}'",
        f"UPDATE person_requests SET asked_at = asked_at - {shift}, ended_at = ended_at - {shift}"
        f" WHERE ticket_id = '{id_}'",
        f"UPDATE handlings SET handled_at = handled_at - {shift} WHERE ticket_id = '{id_}'",
        f"UPDATE promises SET due_at = due_at - {shift} WHERE ticket_id = '{id_}'",
    ):
        await sql.execute(statement)
