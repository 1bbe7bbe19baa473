"""What the two most frequent requests pass through, so that it grows by decision and not unnoticed
(docs/decisions/0118-what-a-request-passes.md)."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from fastapi import FastAPI

import app as package
from tests.conftest import ADMIN_KEY
from tests.support.personal_data import statements_to
from tests.web import raw

Open = Callable[..., Any]
_APP = str(Path(package.__file__).parent)
_WITHIN = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")


@contextmanager
def _passed() -> Iterator[set[CodeType]]:
    """The project's own functions that are called until the block ends, other than parts of an expression."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_APP) and code.co_name not in _WITHIN:
            found.add(code)

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    ("request_", "files", "functions"), [("open", 46, 178), ("reply", 46, 196)], ids=["opening", "replying"]
)
async def test_a_request_passes_no_more_files_and_functions_than_was_decided(
    app: FastAPI, open_ticket: Open, request_: str, files: int, functions: int
) -> None:
    async def send() -> None:
        ticket = await open_ticket()
        if request_ == "open":
            path, body = "/v1/tickets", {"subject": "s", "customer": {"id": ticket["customer_id"]}}
        else:
            path, body = f"/v1/tickets/{ticket['id']}/messages", {"body": "We are on it."}
        with statements_to(app.state.db) as sent, _passed() as passed:
            chunks = (json.dumps(body).encode(),)
            headers = ((b"content-type", b"application/json"),)
            answer = await raw.send(app, "POST", path, key=ADMIN_KEY, headers=headers, chunks=chunks)
        assert answer.status_code == 201
        found[:] = [len({code.co_filename for code in passed}), len(passed), len(sent)]

    found: list[int] = []
    for _ in range(3):
        # Warm: what is remembered of policies and segments is read by the first one.
        await send()
    assert found[0] <= files
    assert found[1] <= functions
    assert found[2] == 2
