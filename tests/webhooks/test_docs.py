"""`docs/webhooks.md`, tried as written."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.webhooks import http_client, payloads, retries, targets
from app.webhooks.signing import key_of, make_secret, sign

_PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"type":"ticket.created","subject":"é"}'


def _block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)
    return str(found)


def _cases() -> list[tuple[dict[str, Any], bool]]:
    """What is to be verified, and whether it is good."""
    secret, other = make_secret(), make_secret()
    now = int(time.time())

    def case(keys: list[str], at: int = now, **changed: str) -> dict[str, Any]:
        signature = sign([key_of(key) for key in keys], "id", at, BODY.encode())
        headers = {"webhook-id": "id", "webhook-timestamp": str(at), "webhook-signature": signature}
        return {"secret": secret, "headers": headers, "body": BODY, **changed}

    moved = case([secret])
    moved["headers"] = {**moved["headers"], "webhook-id": "another"}
    timeless = case([secret])
    timeless["headers"] = {**timeless["headers"], "webhook-timestamp": "soon"}
    later = case([secret])
    later["headers"] = {**later["headers"], "webhook-signature": "v2,AAAA v1 " + later["headers"]["webhook-signature"]}
    return [
        (case([secret]), True),
        (case([other, secret]), True),
        (case([secret, other]), True),
        (later, True),
        (case([other]), False),
        (case([]), False),
        (case([secret], body=BODY + " "), False),
        (case([secret], at=now - 301), False),
        (case([secret], at=now + 310), False),
        (moved, False),
        (timeless, False),
    ]


def test_the_python_of_the_page_verifies() -> None:
    page: dict[str, Any] = {}
    exec(_block("python"), page)  # the page's own words
    for case, good in _cases():
        try:
            page["verify"](case["secret"], case["headers"], case["body"].encode())
        except ValueError:
            assert not good, case
        else:
            assert good, case


def test_the_typescript_of_the_page_verifies(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the TypeScript of docs/webhooks.md was NOT tried")
    # What is TypeScript in it are the annotations; taken away, it is what a compiler makes of it.
    script = re.sub(r": (Record<string, string>|string|void)(?=[,) {])", "", _block("typescript"))
    trial = """
const seen = [];
for (const { secret, headers, body } of JSON.parse(process.argv[2])) {
  try { verify(secret, headers, body); seen.push(true); } catch { seen.push(false); }
}
console.log(JSON.stringify(seen));
"""
    file = tmp_path / "page.mjs"
    file.write_text(script + trial)
    cases = _cases()
    given = orjson.dumps([case for case, _ in cases]).decode()
    ran = subprocess.run([node, str(file), given], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert orjson.loads(ran.stdout) == [good for _, good in cases]


def test_what_the_page_says_of_times_and_sizes_is_so() -> None:
    assert f"within {http_client.SECONDS_IN_ALL:.0f} seconds" in _PAGE
    assert "under 20 kB" in _PAGE
    assert payloads.MOST_BYTES == 20_000
    assert retries.KEPT_TRYING.days == 3
    assert (retries.OPEN_SECONDS, retries.OPEN_SECONDS_AT_MOST, retries.FAILURES_TO_OPEN) == (15, 300, 5)
    assert targets.parse("https://a.example:1024/", private=False).port == 1024
