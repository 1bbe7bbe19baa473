"""P25: the release before the newest migration, taken from this project's own history, starts on the new schema and
serves it."""

import asyncio
import io
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.migrate import schema_head
from tests.auth.asking import operations
from tests.faults import harness

pytestmark = pytest.mark.fault
_ROOT = Path(__file__).resolve().parents[2]
_NUMBER = re.compile(r"migrations/versions/(\d{4})_")


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def _commits_before_migrations() -> Iterator[str]:
    """The newest first."""
    for commit in _git("log", "--format=%H", "--", "migrations/versions").decode().split():
        yield f"{commit}^"


def _newest_migration_of(commit: str) -> str:
    """Empty where two have one number: no release was made of that, for it does not start."""
    numbers = _NUMBER.findall(_git("ls-tree", "-r", "--name-only", commit, "migrations/versions").decode())
    return max(numbers, default="") if len(numbers) == len(set(numbers)) else ""


def _previous_release(place: Path) -> str:
    """Its newest migration; its code lies in `place`."""
    for commit in _commits_before_migrations():
        newest = _newest_migration_of(commit)
        if "" < newest < schema_head():
            with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as code:
                code.extractall(place, filter="data")
            return newest
    pytest.skip("there is no history of this project here, or it does not reach to the release before")


async def _smoke(base: str) -> list[str]:
    """Everything that it lists, and a ticket's way; what went wrong."""
    async with harness.client(base) as http:
        ready = await http.get("/readyz")
        document = (await http.get("/openapi.json")).json()
        paths = [each.path for each in operations(document) if each.method == "GET" and not each.path_parameters]
        answers = [await http.get(path) for path in paths if not path.endswith(("/stream", "/readyz"))]
        opened = await http.post("/v1/tickets", json={"subject": "s", "customer": {"external_id": "c"}})
        path = f"/v1/tickets/{opened.json()['id']}"
        answers += [
            opened,
            await http.post(f"{path}/messages", json={"body": "Yes."}),
            await http.patch(path, json={"status": "resolved", "priority": "high"}),
            *[await http.get(f"{path}{part}") for part in ("", "/messages", "/clocks", "/events", "/explain")],
        ]
    wrong = [answer for answer in answers if answer.status_code >= 500 or answer.status_code == 404]
    wrong += _not_ready(ready)
    return [f"{answer.request.method} {answer.request.url.path}: {answer.text}" for answer in wrong]


def _not_ready(answer: httpx.Response) -> list[httpx.Response]:
    # No worker may have been seen yet; all else must be in order.
    return [] if answer.status_code == 200 or "schema" not in answer.text else [answer]


async def test_the_release_before_the_newest_migration_serves_the_new_schema(
    database_url: str, shows: Callable[[str, str], None]
) -> None:
    with harness.directory() as place:
        code = place / "previous"
        code.mkdir()
        before = await asyncio.to_thread(_previous_release, code)
        with harness.service(place / "data", database_url, code=code) as (base, _):
            assert await _smoke(base) == []
        assert (place / "service.log").read_text().count("newer_schema") >= 1
    shows("P25", f"the release of schema {before} serves schema {schema_head()}: 0 answers of 404, 500 or more")
