"""P21: what one caller asks costs bounded memory, whatever was stored and however slowly it is read."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.faults.harness import ADMIN_KEY, client
from tests.faults.weight import REPORT, There, a_past, an_import

pytestmark = pytest.mark.fault
MEGABYTE = 2**20
UNREAD = 12


async def _write_much(there: There) -> str:
    """A ticket with 400 messages of 90,000 bytes, straight into the tables: the ticket's path."""
    sql = await asyncpg.connect(there.url)
    ticket = await sql.fetchval("SELECT id FROM tickets ORDER BY created_at LIMIT 1")
    await sql.execute(
        "INSERT INTO messages (id, ticket_id, author_kind, author_id, visibility, body, created_at)"
        " SELECT gen_random_uuid(), $1, 'customer', $2, 'public', repeat(md5(n::text), 2800), now()"
        " FROM generate_series(1, 400) AS n",
        ticket,
        UUID(there.customer),
    )
    await sql.close()
    return f"/v1/tickets/{ticket}"


async def _ask_and_read_nothing(there: There, path: str) -> asyncio.StreamWriter:
    at = urlsplit(there.base)
    _, writer = await asyncio.open_connection(at.hostname, at.port, limit=2**12)
    lines = (f"GET {path} HTTP/1.1", f"Host: {at.netloc}", f"Authorization: Bearer {ADMIN_KEY}", "", "")
    writer.write("\r\n".join(lines).encode())
    return writer


async def _read(http: httpx.AsyncClient, path: str, **more: Any) -> None:
    async with http.stream("GET", path, timeout=120, **more) as answer:
        size = sum([len(piece) async for piece in answer.aiter_raw()])
    assert answer.status_code == 200, path
    assert size > 10_000


async def _leave_unread(there: There, path: str) -> None:
    writers = [await _ask_and_read_nothing(there, path) for _ in range(UNREAD)]
    await asyncio.sleep(5)
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _send(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await http.post("/v1/imports/tickets", content=an_import(), headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] == 1_000


async def _peak_of(there: There, work: Coroutine[Any, Any, None]) -> int:
    task, most = asyncio.create_task(work), there.memory
    while not task.done():
        most = max(most, there.memory)
        await asyncio.sleep(0.01)
    await task
    return max(most, there.memory)


async def test_pages_exports_reports_imports_and_answers_that_nobody_reads_cost_bounded_memory(
    shows: Callable[[str, str], None],
) -> None:
    async with a_past() as there, client(there.base) as http:
        ticket = await _write_much(there)
        for _ in range(50):
            assert (await http.get("/v1/tickets?limit=1")).status_code == 200
        idle = there.memory
        peaks: dict[str, int] = {}
        export = f"/v1/customers/{there.customer}/export?limit=50"
        page = f"{ticket}/messages?limit=200"
        for name, work in (
            ("pages", _read(http, page)),
            ("12 pages unread", _leave_unread(there, page)),
            ("export", _read(http, export)),
            ("12 exports unread", _leave_unread(there, export)),
            ("feed", _read(http, "/v1/events?limit=5000")),
            ("report", _read(http, REPORT)),
            ("12 reports unread", _leave_unread(there, REPORT)),
            ("report as CSV", _read(http, REPORT, headers={"Accept": "text/csv"})),
            ("import", _send(http)),
        ):
            peaks[name] = await _peak_of(there, work)
    bound = 1.5 * idle + 64 * MEGABYTE
    told = ", ".join(f"{name} {peak / MEGABYTE:.0f}" for name, peak in peaks.items())
    shows("P21", f"idle {idle / MEGABYTE:.0f} MB, bound {bound / MEGABYTE:.0f} MB; at most: {told}")
    assert max(peaks.values()) < bound
