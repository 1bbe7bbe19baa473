"""What the log says, to people and to programs."""

import json
import os
import pty
import subprocess
import sys
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from tests.conftest import client_for
from tests.support.openapi import NOBODY, Open

_SAY = """
import structlog
from app.web import logs
logs.configure("info", {})
structlog.get_logger().info("request", path="/x")
"""


def _written(format: str | None, terminal: bool) -> str:
    """What a process writes to stderr, where that is a terminal or is none."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        subprocess.run([sys.executable, "-c", _SAY.format(repr(format))], check=True, stderr=theirs)
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("format", "terminal"), [("json", True), ("json", False), (None, False)])
def test_programs_are_told_in_json(format: str | None, terminal: bool) -> None:
    line = json.loads(_written(format, terminal))
    assert (line["event"], line["path"], line["level"]) == ("request", "/x", "info")


@pytest.mark.parametrize(("format", "terminal"), [("console", True), ("console", False), (None, True)])
def test_people_are_told_in_words(format: str | None, terminal: bool) -> None:
    line = _written(format, terminal)
    assert "request" in line
    assert "{" not in line
    assert ("\x1b[" in line) is terminal


async def test_a_request_says_its_path_its_caller_and_what_was_refused(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    with capture_logs() as lines:
        await client.get(f"/v1/tickets/{ticket['id']}")
        await client.get(f"/v1/tickets/{NOBODY}")
        await client.get(f"/v1/tickets/by-number/{ticket['number']}")
        await client.get("/v1/customers/by-external-id/ann@example.test")
    read, missed, by_number, by_name = [line for line in lines if line["event"] == "request"]
    assert (read["method"], read["path"], read["status"]) == ("GET", f"/v1/tickets/{ticket['id']}", 200)
    assert read["caller"] == by_name["caller"]
    assert UUID(read["caller"])
    assert "code" not in read
    assert (missed["status"], missed["code"]) == (404, "not_found")
    assert by_number["path"] == f"/v1/tickets/by-number/{ticket['number']}"
    assert by_name["path"] == "/v1/customers/by-external-id/{external_id}"


async def test_who_is_unknown_is_no_caller(app: FastAPI) -> None:
    async with client_for(app, None) as nobody:
        with capture_logs() as lines:
            await nobody.get("/v1/tickets")
    [line] = [line for line in lines if line["event"] == "request"]
    assert (line["status"], line["code"]) == (401, "unauthenticated")
    assert "caller" not in line
