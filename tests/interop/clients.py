"""What clients of PyPI make of the service: `python clients.py INPUT`, a line of JSON for each."""

import asyncio
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import httpx
import requests
from cachecontrol import CacheControl
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from hishel import CacheOptions, SqliteStorage
from hishel.httpx import CacheClient
from httpx_sse import connect_sse
from prometheus_client.parser import text_string_to_metric_families
from requests.adapters import HTTPAdapter
from standardwebhooks import Webhook, WebhookVerificationError
from urllib3 import Retry

GIVEN: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
URL, FLAKY = GIVEN["url"], GIVEN["flaky"]
HEADERS = {"Authorization": f"Bearer {GIVEN['key']}"}
STREAM = f"{URL}/v1/events/stream?types=ticket.created"


def tried(name: str, did: str, attempt: Callable[[], str]) -> None:
    try:
        result = attempt()
    except Exception as failed:  # whatever a client may raise is what it says of the service
        result = f"FAILED: {type(failed).__name__}: {failed}"[:300]
    print(json.dumps({"client": f"{name} (PyPI)", "version": version(name), "did": did, "result": result}), flush=True)


def open_ticket() -> str:
    body: dict[str, Any] = {"subject": "Heard", "customer": {"external_id": "listener"}}
    return str(requests.post(f"{URL}/v1/tickets", json=body, headers=HEADERS, timeout=30).json()["id"])


def with_httpx_sse() -> str:
    opened = ""
    with httpx.Client(headers=HEADERS, timeout=60) as http, connect_sse(http, "GET", STREAM) as source:
        for event in source.iter_sse():
            if event.event == "hello":
                opened = open_ticket()
            elif event.event == "message" and event.json()["ticketid"] == opened:
                return f"heard, id {len(event.id)} long"
    raise AssertionError("the stream ended")


def with_sseclient() -> str:
    from sseclient import SSEClient

    opened = ""
    for event in SSEClient(STREAM, headers=HEADERS, timeout=60):
        if event.event == "hello":
            opened = open_ticket()
        elif event.event == "message" and event.data and json.loads(event.data)["ticketid"] == opened:
            return f"heard, id {len(event.id)} long"
    raise AssertionError("the stream ended")


def with_aiohttp() -> str:
    from aiohttp_sse_client import client

    async def listen() -> str:
        opened = ""
        async with client.EventSource(STREAM, headers=HEADERS) as source:
            async for event in source:
                if event.type == "hello":
                    opened = await asyncio.to_thread(open_ticket)
                elif event.type is None and json.loads(event.data)["ticketid"] == opened:
                    return f"heard, id {len(event.last_event_id)} long"
        raise AssertionError("the stream ended")

    return asyncio.run(asyncio.wait_for(listen(), 60))


def events(given: list[dict[str, Any]]) -> str:
    parsed = [JSONFormat().read(None, json.dumps(event)) for event in given]
    return f"{len(parsed)} events of {len({event.get_type() for event in parsed})} types"


def events_of_webhooks() -> str:
    events = [from_http_event(HTTPMessage(each["headers"], each["body"].encode())) for each in GIVEN["deliveries"]]
    assert events
    return f"{len(events)} events of {len({event.get_type() for event in events})} types"


def signatures() -> str:
    verifier = Webhook(GIVEN["secret"])
    for each in GIVEN["deliveries"]:
        verifier.verify(each["body"], each["headers"])
        try:
            verifier.verify(each["body"] + " ", each["headers"])
        except WebhookVerificationError:
            continue
        raise AssertionError("took a body that was changed")
    return f"{len(GIVEN['deliveries'])} verified"


def cached(get: Callable[[], Any], change: Callable[[], Any], was_cached: Callable[[Any], bool]) -> str:
    first, second = get(), get()
    assert not was_cached(first), "nothing was there before"
    assert was_cached(second), "it was sent twice"
    assert second.json() == first.json()
    change()
    third = get()
    assert third.json() != first.json(), "what changed was not asked for"
    return "kept, asked for again, 304; a change was seen"


def with_cachecontrol() -> str:
    http = CacheControl(requests.Session())
    path, change = a_team("cachecontrol")
    return cached(lambda: http.get(path, headers=HEADERS), change, lambda answer: bool(answer.from_cache))


def with_hishel() -> str:
    path, change = a_team("hishel")
    with tempfile.TemporaryDirectory() as directory:
        storage = SqliteStorage(database_path=f"{directory}/cache.db")
        # One user's cache keeps what is private.
        with CacheClient(headers=HEADERS, storage=storage, rfc=CacheOptions(shared=False)) as http:
            return cached(
                lambda: http.get(path), change, lambda answer: bool(answer.extensions["caching"]["from_cache"])
            )


def a_team(key: str) -> tuple[str, Callable[[], object]]:
    made = requests.post(f"{URL}/v1/teams", json={"key": key, "name": key}, headers=HEADERS, timeout=30)
    path = f"{URL}{made.headers['location']}"
    return path, lambda: requests.patch(path, json={"name": "Another"}, headers=HEADERS, timeout=30)


def with_retry() -> str:
    http = requests.Session()
    http.mount("http://", HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[503])))
    began = time.monotonic()
    answer = http.get(f"{FLAKY}/v1/teams", headers=HEADERS, timeout=30)
    waited = time.monotonic() - began
    assert answer.status_code == 200
    assert waited >= 1, f"waited {waited:.1f} s"
    return f"200 after {waited:.1f} s, as told"


def with_prometheus() -> str:
    """As a scraper does, twice: what counts does not fall."""
    first, second = [
        {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(requests.get(f"{URL}/metrics", timeout=30).text)
            for sample in family.samples
            if family.type == "counter"
        }
        for _ in range(2)
    ]
    assert first, "there is none"
    assert first.keys() <= second.keys(), "a counter went away"
    assert all(second[name] >= value for name, value in first.items()), "a counter fell"
    return f"{len(second)} counters"


def with_dlt() -> str:
    """The recipe of docs/pipelines.md, twice: the second run brings what came since."""
    with tempfile.TemporaryDirectory() as directory:
        # A module of its own: dlt asks where its resources were written.
        (Path(directory) / "recipe.py").write_text(GIVEN["recipe"])
        sys.path.insert(0, directory)
        recipe: Any = importlib.import_module("recipe")
        recipe.url, recipe.key, recipe.directory = URL, GIVEN["key"], directory
        recipe.load()
        opened = open_ticket()
        recipe.load()
        with duckdb.connect(f"{directory}/ninety.duckdb") as db:
            count, distinct = db.execute("SELECT count(*), count(DISTINCT id) FROM support.events").fetchone() or (0, 0)
            new = db.execute("SELECT count(*) FROM support.events WHERE ticketid = ?", [opened]).fetchone()
    total = len(all_events())
    assert count == distinct == total, f"{count} rows, {distinct} ids, {total} events"
    assert (new or [0])[0] > 0
    return f"{count} of {total} events, in two runs"


def all_events() -> list[dict[str, Any]]:
    found, query = list[dict[str, Any]](), dict[str, Any](limit=200)
    while True:
        page = requests.get(f"{URL}/v1/events", params=query, headers=HEADERS, timeout=30).json()
        found += page["items"]
        query["after"] = page["next_position"]
        if not page["has_more"]:
            return found


tried("httpx-sse", "hears an event of the stream", with_httpx_sse)
tried("sseclient", "hears an event of the stream", with_sseclient)
tried("aiohttp-sse-client", "hears an event of the stream", with_aiohttp)
tried("cloudevents", "parses every event of the feed", lambda: events(GIVEN["feed"]))
tried("cloudevents", "parses an event of every type", lambda: events(GIVEN["every_type"]))
tried("cloudevents", "parses webhooks", events_of_webhooks)
tried("standardwebhooks", "verifies webhooks, and refuses one that was changed", signatures)
tried("CacheControl", "keeps what has a tag, and asks again", with_cachecontrol)
tried("hishel", "keeps what has a tag, and asks again", with_hishel)
tried("urllib3", "asks again after Retry-After", with_retry)
tried("prometheus-client", "scrapes the figures", with_prometheus)
if GIVEN["recipe"]:
    tried("dlt", "loads the feed into DuckDB", with_dlt)
