"""`make interop`: clients that nobody of this project wrote, against the live service. Prints a table: client, version,
what was done, result. `--quick` leaves out those that take long to install."""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydantic import TypeAdapter

from app.events.catalogue import CATALOGUE, AuditEntry
from app.main import create_app
from app.settings import Settings
from tests.contract.live import live, stock
from tests.support.document import at
from tests.support.openapi import kind_of, operations

_HERE = Path(__file__).parent
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_RECIPE = re.compile(r"```python\n(.*?)```", re.DOTALL)
_ENOUGH = 20


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def _identity_provider() -> Iterator[str]:
    """Its issuer."""
    with subprocess.Popen(["node", _HERE / "provider.mjs"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            issuer = process.stdout.readline().strip()
            if not issuer:
                raise SystemExit("the identity provider did not start")
            yield issuer
        finally:
            process.terminate()


def _settings(issuer: str) -> dict[str, str]:
    provider = {
        "issuer": issuer, "jwks_url": f"{issuer}/jwks", "allow_http": True, "audience": "ninety",
        "role_claim": "groups", "role_map": "Support=agent,Support Leads=lead", "default_role": "service",
        "scope_prefix": "ninety/",
    }  # fmt: skip
    return {"NINETY_WEBHOOK_PRIVATE_TARGETS": "true", "NINETY_JWT_PROVIDERS": json.dumps([provider])}


def _receiver(received: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append({"headers": {name.lower(): value for name, value in self.headers.items()}, "body": body})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    return Receiver


def _flaky(url: str) -> type[BaseHTTPRequestHandler]:
    """The service behind something that is too busy for the first request of every client."""
    refused: set[str] = set()

    class Flaky(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            client = self.headers["User-Agent"]
            if client not in refused:
                refused.add(client)
                self._answer(503, b"", {"Retry-After": "1"})
            else:
                bearer = {"Authorization": self.headers["Authorization"]}
                found = httpx.get(f"{url}{self.path}", headers=bearer, timeout=30)
                self._answer(found.status_code, found.content, {"Content-Type": found.headers["content-type"]})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Flaky


def _feed(http: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": "200"}
    while True:
        page = http.get("/v1/events", params=query).raise_for_status().json()
        found += page["items"]
        query["after"] = page["next_position"]
        if not page["has_more"]:
            return found


def _every_type(feed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One event of each type of the catalogue: as the service told it, or else the envelope of one that it told, with a
    payload made from the schema of the type."""
    told = {event["type"]: event for event in feed}
    made = [
        {
            **feed[0],
            "type": type_.name,
            "dataversion": type_.version,
            "data": _filled(schema := type_.payload.model_json_schema(), schema),
        }
        for type_ in CATALOGUE.values()
        if type_.name not in told
    ]
    TypeAdapter(list[AuditEntry]).validate_python(made)
    print(f"{len(CATALOGUE)} types of events: {len(told)} as told, {len(made)} made from the schema\n")
    return [*told.values(), *made]


def _recipe() -> str:
    """That of the documentation, with pages so short that there are several."""
    [written] = _RECIPE.findall(Path("docs/pipelines.md").read_text())
    assert '"limit": 200' in written
    return str(written).replace('"limit": 200', '"limit": 20')


def _filled(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A value that fits, with every property and no null."""
    schema = at(document, schema)
    if "anyOf" in schema:
        return _filled(document, schema["anyOf"][0])
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match kind_of(schema):
        case "object":
            return {name: _filled(document, inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [_filled(document, schema["items"])]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return {"uuid": str(uuid4()), "date-time": "2026-02-03T04:05:06Z"}.get(schema.get("format", ""), "words")


def _instants(http: httpx.Client, ids: dict[str, Any]) -> list[dict[str, str]]:
    """Every one in whatever a GET answers."""
    found: list[dict[str, str]] = []
    app = create_app(Settings(database_url="postgresql://nowhere.test/n"))
    for operation in operations(app):
        if operation.method == "GET" and not operation.path.endswith("/stream"):
            answer = http.get(operation.url(ids))
            if answer.is_success and answer.headers.get("content-type") == "application/json":
                found += [{"value": value, "path": operation.path} for value in _texts(answer.json())]
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and _INSTANT.match(value):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def _said_by(*command: str | Path) -> list[dict[str, str]]:
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    said = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not said:
        raise SystemExit(f"{command[0]} ended with {run.returncode}\n{run.stdout}\n{run.stderr}")
    return said


def _print(rows: list[dict[str, str]]) -> None:
    names = ("client", "version", "did", "result")
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in ({name: name for name in names}, *rows):
        print("  ".join(row[name].ljust(widths[name]) for name in names).rstrip())


def main(quick: bool) -> int:
    received: list[dict[str, Any]] = []
    with (
        _identity_provider() as issuer,
        live(_settings(issuer)) as (url, keys),
        _served(_receiver(received)) as hooks,
        _served(_flaky(url)) as flaky,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {keys['admin']}"}, timeout=60) as http,
        tempfile.TemporaryDirectory() as directory,
    ):
        webhook = http.post("/v1/webhooks", json={"url": f"{hooks}/in", "types": ["*"]}).raise_for_status().json()
        http.post("/v1/agents", json={"name": "Ann", "external_id": "ann"}).raise_for_status()
        ids = {name: values[0] for name, values in asyncio.run(stock(url, 1)).items()}
        feed = _feed(http)
        _wait(lambda: len(received) >= _ENOUGH)
        recipe = "" if quick else _recipe()
        given = {
            "url": url, "key": keys["admin"], "feed": feed, "every_type": _every_type(feed),
            "deliveries": list(received), "secret": webhook["secret"], "instants": _instants(http, ids),
            "flaky": flaky, "recipe": recipe, "issuer": issuer,
        }  # fmt: skip
        file = Path(directory) / "given.json"
        file.write_text(json.dumps(given))
        rows = _said_by("node", _HERE / "clients.mjs", file)
        if not quick:
            rows += _said_by(_HERE / ".venv" / "bin" / "python", _HERE / "clients.py", file)
    _print(rows)
    return int(any(row["result"].startswith("FAILED") for row in rows))


def _wait(done: Any) -> None:
    waiting = threading.Event()
    for _ in range(1200):
        if done():
            return
        waiting.wait(0.1)
    raise SystemExit("the webhook was told too little")


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv))
