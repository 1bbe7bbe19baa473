"""What a collector of traces gets, and that without one nothing of it is there."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sqlalchemy import Text, bindparam, cast, func, select
from structlog.testing import capture_logs

from app.db import Database, Query
from app.main import create_app
from app.settings import Settings, SettingsError, load_settings
from app.tracing import TRACE, Tracing
from app.webhooks.sending import sender
from tests.conftest import ADMIN_KEY, client_for
from tests.faults.balancer import free_port
from tests.support.otlp import Collector, attributes, collector
from tests.support.webhook_receiver import receiver
from tests.webhooks.conftest import deliver

_CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_TRACE_ID = _CALLER.split("-")[1]
_SLEEP = Query(select(func.pg_sleep(bindparam("seconds")), cast(bindparam("note"), Text)))


@pytest.fixture
def there() -> Iterator[Collector]:
    with collector() as made:
        yield made


def _settings(database_url: str, place: Path, endpoint: str | None) -> Settings:
    return Settings(
        database_url=database_url, admin_key=ADMIN_KEY, data_dir=place, worker=False, webhook_private_targets=True,
        otlp_endpoint=endpoint,
    )  # fmt: skip


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """What is left of the spans is sent when it ends."""
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
        yield app, http


def _ticket(**more: Any) -> dict[str, Any]:
    return {
        "subject": "canary-subject", "description": "canary-text",
        "customer": {"external_id": "canary-customer", "name": "canary-name"}, **more,
    }  # fmt: skip


async def test_a_request_is_a_span_over_those_of_its_statements(
    database_url: str, tmp_path: Path, there: Collector
) -> None:
    with capture_logs() as logs:
        async with _serving(_settings(database_url, tmp_path, there.url)) as (_, http):
            opened = await http.post("/v1/tickets", json=_ticket(), headers={"traceparent": _CALLER})
            assert opened.status_code == 201
    [request] = there.named("POST /v1/tickets")
    assert request.trace_id.hex() == _TRACE_ID
    assert request.parent_span_id.hex() == _CALLER.split("-")[2]
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request) == {
        "http.request.method": "POST", "http.route": "/v1/tickets", "http.response.status_code": 201,
        "ninety.request_id": opened.headers["x-request-id"],
    }  # fmt: skip
    statements = there.under(request)
    names = [span.name for span in statements]
    assert any(name.startswith("tickets.opening.") for name in names), names
    assert any("events.log.INSERT" in name for name in names), names
    for span in statements:
        assert span.kind == Span.SPAN_KIND_CLIENT
        assert attributes(span) == {"db.system.name": "postgresql"}
        assert request.start_time_unix_nano <= span.start_time_unix_nano < span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    [line] = [line for line in logs if line["event"] == "request"]
    assert line["trace_id"] == _TRACE_ID
    assert there.resources[0]["service.name"] == "ninety"


async def test_a_delivery_goes_on_with_the_trace_of_the_request_that_caused_it(
    database_url: str, tmp_path: Path, there: Collector
) -> None:
    settings = _settings(database_url, tmp_path, there.url)
    tracing = Tracing(there.url)
    async with receiver() as hearing, _serving(settings) as (app, http):
        hook = {"url": f"{hearing.url}/canary-path", "types": ["ticket.created"]}
        assert (await http.post("/v1/webhooks", json=hook)).status_code == 201
        await http.post("/v1/tickets", json=_ticket(), headers={"traceparent": _CALLER})
        async with sender(app.state.db, settings, tracing) as sending:
            await deliver(app.state.db, sending)
        tracing.shut_down()
    [got] = hearing.received
    [delivery] = there.named("webhook")
    assert got.headers["traceparent"] == f"00-{_TRACE_ID}-{delivery.span_id.hex()}-01"
    [request] = there.named("POST /v1/tickets")
    assert (delivery.trace_id, delivery.parent_span_id) == (request.trace_id, request.span_id)
    told = attributes(delivery)
    assert told.pop("ninety.webhook_id")
    assert told == {
        "ninety.delivery_id": got.id, "ninety.event_type": "ticket.created", "ninety.attempt": 1,
        "http.response.status_code": 200,
    }  # fmt: skip


async def test_no_span_has_a_secret_or_a_value(database_url: str, tmp_path: Path, there: Collector) -> None:
    settings = _settings(database_url, tmp_path, there.url)
    async with receiver() as hearing, _serving(settings) as (app, http):
        made = await http.post("/v1/webhooks", json={"url": f"{hearing.url}/canary-path", "types": ["*"]})
        ticket = (await http.post("/v1/tickets", json=_ticket(tags=["canary-tag"]))).json()
        await http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "canary-note"})
        await http.get("/v1/tickets", params={"q": "canary-search"})
        await http.get("/v1/tickets/canary-9-path")
        await http.get("/v1/tickets", headers={"Authorization": "Bearer canary-key"})
        async with sender(app.state.db, settings, app.state.tracing) as sending:
            await deliver(app.state.db, sending)
    assert hearing.received
    assert len({span.name for span in there.spans}) > 8
    secrets = [ADMIN_KEY, made.json()["secret"], "canary", ticket["id"], ticket["customer_id"]]
    assert [secret for secret in secrets if secret.encode() in there.raw] == []
    assert database_url.encode() not in there.raw


async def test_a_statement_that_fails_is_told_of_by_its_sqlstate(
    database_url: str, tmp_path: Path, there: Collector
) -> None:
    tracing = Tracing(there.url)
    settings = _settings(database_url, tmp_path, None).model_copy(update={"statement_timeout_seconds": 0.1})
    async with Database.open(settings) as db:
        TRACE.set(request := tracing.begin("GET", inbound=True))
        with pytest.raises(TimeoutError):
            async with db.transaction() as tx:
                await tx.row(_SLEEP, seconds=5, note="canary")
        async with db.transaction() as tx:
            await tx.row(_SLEEP, seconds=0, note="canary")
        TRACE.set(None)
        request.end()
    tracing.shut_down()
    failed, fine = there.named(f"{__name__}._SLEEP")
    assert attributes(failed)["error.type"] == "TimeoutError"
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "error.type" not in attributes(fine)
    assert b"canary" not in there.raw


async def test_rounds_of_the_worker_that_did_nothing_are_not_told_of(
    database_url: str, tmp_path: Path, there: Collector
) -> None:
    tracing = Tracing(there.url)
    now = Query(select(func.now()))
    async with Database.open(_settings(database_url, tmp_path, None)) as db:
        with tracing.round("idle"):
            async with db.transaction() as tx:
                await tx.row(now)
        with pytest.raises(TimeoutError), tracing.round("failing"):
            await db.run(lambda tx: tx.row(now), within=0)
    tracing.shut_down()
    [failing] = there.named("worker failing")
    assert (failing.name, attributes(failing)) == ("worker failing", {"error.type": "TimeoutError"})
    assert there.named("worker idle") == []
    assert len(there.spans) == 1 + len(there.under(failing))


async def test_a_worker_traces_what_it_writes(database_url: str, tmp_path: Path, there: Collector) -> None:
    settings = _settings(database_url, tmp_path, there.url).model_copy(update={"worker": True})
    async with _serving(settings):
        await asyncio.sleep(1)
    [beat, *_] = there.named("worker heartbeat")
    assert any(span.name.startswith("operations.health.") for span in there.under(beat))
    # It looked ten times a second for deadlines, and found none.
    assert there.named("worker sweep") == []


async def test_a_collector_that_is_away_holds_up_nobody(database_url: str, tmp_path: Path) -> None:
    settings = _settings(database_url, tmp_path, f"http://127.0.0.1:{free_port()}")
    async with _serving(settings) as (_, http):
        assert (await http.post("/v1/tickets", json=_ticket())).status_code == 201
        began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_without_an_endpoint_nothing_is_traced_and_nothing_loaded(
    database_url: str, tmp_path: Path, sql: Any
) -> None:
    async with _serving(_settings(database_url, tmp_path, None)) as (app, http):
        assert app.state.tracing is None
        await http.post("/v1/tickets", json=_ticket(), headers={"traceparent": _CALLER})
        assert await sql.fetchval("SELECT count(*) FROM events WHERE traceparent IS NOT NULL") == 0
    code = "import sys, app.main, app.worker, app.commands; print([m for m in sys.modules if 'opentelemetry.sdk' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("given", ["collector:4318", "http://", "grpc://collector:4317", "http://c/?token=x"])
def test_an_endpoint_is_a_url(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", given)
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT: http:// or https://"):
        load_settings()
