"""Ticket lists as CSV: all of a list, a row a ticket, and nothing in it that a spreadsheet would run."""

import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.ticket_lists import pages
from app.tickets.schemas import TicketOut
from tests.conftest import Person
from tests.support.verification import good, pointers

Body = dict[str, Any]
Open = Callable[..., Awaitable[Body]]
People = Callable[..., Awaitable[Person]]
CSV = {"Accept": "text/csv"}


def _rows(answer: httpx.Response) -> list[Body]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


async def test_every_ticket_of_the_list_is_a_row_whatever_the_page(
    client: httpx.AsyncClient, open_ticket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_PAGE", 2)
    product = "listed"
    numbers = [(await open_ticket(product=product, subject=f"No. {n}"))["number"] for n in range(5)]
    asked = {"product": product, "sort": "created_at", "limit": "1"}
    rows = _rows(await client.get("/v1/tickets", params=asked, headers=CSV))
    assert [int(row["number"]) for row in rows] == numbers
    assert list(rows[0]) == list(TicketOut.model_fields)
    view = {"name": "V", "filter": {"product": [product]}, "sort": "-created_at"}
    view_id = good(await client.post("/v1/views", json=view))["id"]
    rows = _rows(await client.get(f"/v1/views/{view_id}/tickets", headers=CSV))
    assert [int(row["number"]) for row in rows] == numbers[::-1]


async def test_a_row_says_what_the_list_says(client: httpx.AsyncClient, open_ticket: Open, person: People) -> None:
    agent = await person("agent")
    ticket = await open_ticket(
        tags=["late", "vip"], subject='Say "no", twice', assignee_id=str(agent.id),
        customer={"external_id": "csv-1", "name": "Ada"},
    )  # fmt: skip
    asked = {"ids": ticket["id"], "include": "customer,assignee,team"}
    [listed] = good(await client.get("/v1/tickets", params=asked))["items"]
    [row] = _rows(await client.get("/v1/tickets", params=asked, headers=CSV))
    for name in ("id", "subject", "status", "created_at", "due_at"):
        assert row[name] == listed[name]
    assert (row["tags"], row["resolved_at"], row["custom_fields"]) == ("late, vip", "", "{}")
    assert (row["customer_name"], row["assignee_name"], row["team_name"]) == ("Ada", "A agent", "")


@pytest.mark.parametrize("subject", ["=1+1", "+1", "-1", "@x"])
async def test_cells_that_a_spreadsheet_would_run_are_text(
    client: httpx.AsyncClient, open_ticket: Open, subject: str
) -> None:
    ticket = await open_ticket(subject=subject, tags=["=cmd()"])
    [row] = _rows(await client.get("/v1/tickets", params={"ids": ticket["id"]}, headers=CSV))
    assert (row["subject"], row["tags"]) == (f"'{subject}", "'=cmd()")


async def test_excel_gets_its_mark_and_a_list_of_nothing_its_header(client: httpx.AsyncClient) -> None:
    asked = {"product": "nothing has it", "excel": "true"}
    answer = await client.get("/v1/tickets", params=asked, headers=CSV)
    assert answer.content.decode() == "\ufeff" + ",".join(TicketOut.model_fields) + "\r\n"


async def test_what_is_refused_is_refused_as_ever(client: httpx.AsyncClient, person: People) -> None:
    refused = await client.get("/v1/tickets", params={"cursor": "nonsense"}, headers=CSV)
    assert (refused.status_code, pointers(refused)) == (422, ["/query/cursor"])
    customer = await person("customer")
    assert (await customer.http.get("/v1/tickets", params={"sla": "breached"}, headers=CSV)).status_code == 403


async def test_customers_get_their_own_tickets_without_what_is_the_staffs(
    client: httpx.AsyncClient, open_ticket: Open, person: People
) -> None:
    customer = await person("customer")
    await open_ticket()
    mine = await open_ticket(customer={"id": str(customer.id)})
    [row] = _rows(await customer.http.get("/v1/tickets", headers=CSV))
    assert (row["id"], row["due_at"]) == (mine["id"], "")
