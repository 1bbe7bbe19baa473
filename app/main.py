"""The application, wired by arguments. The order of the routers is the order in which routes are tried: the hot ones
come first."""

import asyncio
import gc
import multiprocessing
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Match

from app import __version__, worker
from app.agents import api as agents
from app.auth.credentials import Credentials
from app.custom_fields import api as custom_fields
from app.customers.api import customers, organizations
from app.db import Database
from app.embedded.children import end_with
from app.events import api as events
from app.events import partitions
from app.events.hub import Hub
from app.goals import api as goals
from app.keys import api as keys
from app.migrate import schema_head
from app.operations import api as operations
from app.operations.health import Health
from app.operations.setup import cursor_key
from app.reports import api as reports
from app.segments import api as segments
from app.settings import Settings, load_settings
from app.sla.api import calendars, policies
from app.tickets.api import attachments, bulk, clocks, greetings, links, sla, tickets, views
from app.tickets.api import customers as whole_customers
from app.tickets.api import segments as segments_of_customers
from app.tickets.imports import api as imports
from app.tickets.lifecycle import TicketType
from app.tickets.self_service import api as self_service
from app.web import docs, logs, openapi, problems
from app.web.cors import Cors, Preflights
from app.web.frame import Frame
from app.web.limits import Admission, Limits
from app.web.paging import Signer
from app.web.protocol import ADMISSION
from app.web.route import RAW_AT_ONCE
from app.webhooks import api as webhooks

ROUTERS = [
    tickets.routes,
    attachments.routes,
    links.routes,
    bulk.routes,
    views.routes,
    customers.routes,
    whole_customers.routes,
    organizations.routes,
    whole_customers.organization_routes,
    segments_of_customers.routes,
    segments.routes,
    segments.customer_routes,
    segments.job_routes,
    clocks.routes,
    goals.routes,
    reports.routes,
    sla.policy_routes,
    sla.exception_routes,
    policies.routes,
    policies.job_routes,
    calendars.routes,
    imports.routes,
    agents.agent_routes,
    agents.team_routes,
    custom_fields.routes,
    greetings.routes,
    self_service.article_routes,
    self_service.automation_routes,
    events.routes,
    events.stream_routes,
    events.ticket_routes,
    keys.routes,
    webhooks.routes,
    operations.routes,
]
TAGS = [
    {"name": "tickets", "description": "Tickets, their messages, clocks and audit."},
    {"name": "customers", "description": "Who is helped, and whom they belong to."},
    {"name": "segments", "description": "Customers grouped by what they need, with the reason of each membership."},
    {"name": "sla", "description": "What is promised, and every clock against it."},
    {"name": "goals", "description": "What is promised on average, judged with those who still wait."},
    {"name": "reports", "description": "Figures."},
    {"name": "events", "description": "What happened, in order: exported, streamed."},
    {"name": "imports", "description": "Tickets with their past."},
    {"name": "agents", "description": "Who helps."},
    {"name": "custom-fields", "description": "What this installation adds to tickets, customers and organizations."},
    {"name": "greetings", "description": "What is said at once to who opens a ticket."},
    {"name": "articles", "description": "Short answers that customers get before a person answers."},
    {"name": "automations", "description": "What the service does by itself."},
    {"name": "webhooks", "description": "Who is told of what happens, and how that went."},
    {"name": "keys", "description": "API keys."},
    {"name": "operations", "description": "Health, figures and explanations; open to all."},
]


def create_app(settings: Settings) -> FastAPI:
    """The API, and the worker's loops beside it where the settings want them."""

    admission = Admission(settings.concurrency)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with Database.open(settings) as db, Credentials.open(db, settings) as credentials:
            app.state.db = db
            app.state.settings = settings
            app.state.credentials = credentials
            app.state.limits = Limits(settings)
            app.state.admission = admission
            app.state.cursors = Signer(await cursor_key(db))
            app.state.health = Health(db, schema_head())
            app.state.large_bodies = asyncio.Semaphore(RAW_AT_ONCE)
            app.state.ticket_types = tuple(TicketType)
            app.state.hub = Hub(db, settings.caller_streams)
            await partitions.settle_epoch(db)
            async with _working(db, settings), app.state.hub.running():
                yield {ADMISSION: admission}

    app = FastAPI(
        title="Ninety",
        summary="A ticketing service whose first promise is a fast first answer.",
        description="Times are RFC 3339 in UTC, durations are seconds, errors are RFC 9457 problems.",
        version=__version__,
        lifespan=lifespan,
        openapi_tags=TAGS,
        servers=[{"url": "/", "description": "This server, production or local.", "x-internal": False}],
        contact={"name": "Ninety"},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # What the frame measures and logs is all there is; asking each time whether there is more costs every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in ROUTERS:
        # Not include_router: that wraps each route in a second matcher, which every request would pass through.
        app.router.routes.extend(router.routes)
    docs.install(app)
    problems.install(app, lambda path: _allowed_methods(app, path))
    openapi.install(app)
    # The last one added is the outermost.
    if settings.cors_origins:
        app.add_middleware(Preflights, origins=settings.cors_origins)
    app.add_middleware(Frame, settings=settings, admission=admission)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    return app


def serving(settings: Settings) -> FastAPI:
    """The application for a process that does nothing else. What is loaded by now stays for good, so it is left out of
    every garbage collection: looking through it took longer than many a request."""
    app = create_app(settings)
    gc.collect()
    gc.freeze()
    return app


def from_environment() -> FastAPI:
    """What each of several API processes runs; it ends with the one that looks after them."""
    if supervisor := multiprocessing.parent_process():
        assert supervisor.pid
        end_with(supervisor.pid, signal.SIGTERM)
    settings = load_settings()
    logs.configure(settings.log_level)
    return serving(settings)


@asynccontextmanager
async def _working(db: Database, settings: Settings) -> AsyncIterator[None]:
    if not settings.worker:
        yield
        return
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(db, settings, stop))
        try:
            yield
        finally:
            stop.set()


def _allowed_methods(app: FastAPI, path: str) -> Iterator[str]:
    for route in app.router.routes:
        match, _ = route.matches({"type": "http", "path": path, "method": "", "headers": []})
        if match is not Match.NONE:
            yield from getattr(route, "methods", None) or ()
            if "GET" in (getattr(route, "methods", None) or ()):
                yield "HEAD"
