"""`verify` on merges: what live requests leave is what the log says, and what is changed behind the log is found."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.db import Database
from tests.support.sla import Sql
from tests.support.verification import Body, good, merge_differences

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _post(client: httpx.AsyncClient, path: str, **body: Any) -> Body:
    return good(await client.post(f"/v1{path}", json=body))


@pytest.fixture
async def tickets(client: httpx.AsyncClient, open_ticket: Open) -> list[str]:
    """The first went into the second, which went into the third; the fourth went there and came back."""
    ids = [(await open_ticket(customer={"external_id": "c"}))["id"] for _ in range(4)]
    for source, target in ((0, 1), (1, 2), (3, 2)):
        await _post(client, f"/tickets/{ids[source]}/merge", into=ids[target])
    await _post(client, f"/tickets/{ids[3]}/unmerge")
    return ids


@pytest.fixture
async def customers(client: httpx.AsyncClient, open_ticket: Open) -> list[str]:
    """As the tickets are."""
    ids = [(await open_ticket(customer={"external_id": f"c-{number}"}))["customer_id"] for number in range(4)]
    for source, target in ((0, 1), (1, 2), (3, 2)):
        await _post(client, f"/customers/{ids[source]}/merge", into=ids[target])
    await _post(client, f"/customers/{ids[3]}/unmerge")
    return ids


async def test_merges_and_what_was_undone_are_what_the_log_says(
    client: httpx.AsyncClient, db: Database, tickets: list[str], customers: list[str]
) -> None:
    assert await merge_differences(db) == []
    await _post(client, f"/customers/{customers[2]}/erase")
    assert await merge_differences(db) == []


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        ("merged_into = NULL", 0, {("merged_into", 0), ("merge", 0), ("merged_from", 1), ("merged_from", 2)}),
        ("merged_into = $2", 0, {("merged_into", 0), ("merge", 0), ("merged_from", 1)}),
        ("merged_into = $2", 3, {("merged_into", 3), ("merged_from", 2)}),
        ("merged_from = '{}'", 2, {("merged_from", 2)}),
        ("merged_from = ARRAY[$2::uuid]", 3, {("merged_from", 3)}),
    ],
)
async def test_a_merge_of_tickets_changed_behind_the_log_is_found(
    db: Database, sql: Sql, tickets: list[str], change: str, where: int, found: set[tuple[str, int]]
) -> None:
    ids = [UUID(id_) for id_ in (tickets[where], tickets[2])]
    await sql.execute(f"UPDATE tickets SET {change} WHERE id = $1", *ids[: 1 + ("$2" in change)])
    assert {(each.field, tickets.index(str(each.id))) for each in await merge_differences(db)} == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE customers SET merged_into = NULL WHERE id = $1", {"merged_into", "merge"}),
        ("UPDATE customers SET merged_into = $2 WHERE id = $1", {"merged_into"}),
        ("UPDATE tickets SET customer_id = $1 WHERE customer_id = $2", {"tickets"}),
    ],
)
async def test_a_merge_of_customers_changed_behind_the_log_is_found(
    db: Database, sql: Sql, customers: list[str], statement: str, found: set[str]
) -> None:
    other = customers[3] if "merged_into" in statement else customers[2]
    ids = [UUID(id_) for id_ in (customers[0], other)]
    await sql.execute(statement, *ids[: 1 + ("$2" in statement)])
    differences = await merge_differences(db)
    assert {each.field for each in differences} == found
    assert {str(each.id) for each in differences} == {customers[0]}
