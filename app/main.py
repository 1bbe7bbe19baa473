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
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor
from starlette.routing import Match

from app import __version__, worker
from app.agents import api as agents
from app.auth.credentials import Credentials
from app.automations import api as automations
from app.automations import greetings_api
from app.availability import api as availability
from app.callers import api as callers
from app.claims import api as claims
from app.console import routes as console
from app.custom_fields import api as custom_fields
from app.customer_merges import api as customer_merges
from app.customers.api import customers, organizations
from app.db import Database
from app.events import api as events
from app.events import partitions
from app.events.hub import Hub
from app.goals import api as goals
from app.http_server.draining import on_termination
from app.http_server.protocol import ADMISSION
from app.imports import api as imports
from app.inbound import api as inbound
from app.keys import api as keys
from app.knowledge import api as knowledge
from app.macros import api as macros
from app.memberships import api as memberships
from app.memberships import customers_api
from app.migrate import schema_head
from app.operations import api as operations
from app.operations.health import Health
from app.operations.process_metrics import sampled
from app.operations.setup import cursor_key
from app.operations.standby import Standby
from app.privacy import api as privacy
from app.reports import api as reports
from app.reports import service_record_api
from app.segments import api as segments
from app.settings import Settings, load_settings
from app.simulations import api as simulations
from app.sla.api import calendars, policies
from app.sla.core.enums import TicketType
from app.sla_exceptions import api as sla_exceptions
from app.staffing import api as staffing
from app.ticket_lists import api as ticket_lists
from app.ticket_lists import views_api
from app.tickets.api import (
    attachments,
    bulk,
    clocks,
    incidents,
    links,
    participants,
    promises,
    satisfaction,
    sla_policies,
    tickets,
)
from app.tracing import Tracing, flushed, tracing_of
from app.web import docs, logs, metrics, openapi, problems
from app.web.admission import VITAL, Admission, Costs
from app.web.cors import Cors, Preflights
from app.web.edge import EdgeMiddleware
from app.web.limits import Limits
from app.web.paging import Signer
from app.web.route import CONNECTIONS_FOR_A_HEAVY_ONE, LARGE_BODIES, RAW_BODIES
from app.webhooks import api as webhooks
from embedded_postgres.children import end_with

ROUTERS = [
    ticket_lists.routes,
    tickets.routes,
    tickets.message_routes,
    claims.routes,
    attachments.routes,
    promises.routes,
    links.routes,
    participants.routes,
    satisfaction.routes,
    incidents.routes,
    incidents.job_routes,
    bulk.routes,
    views_api.routes,
    macros.routes,
    macros.ticket_routes,
    customers.routes,
    customers_api.routes,
    customer_merges.routes,
    privacy.routes,
    organizations.routes,
    customers_api.organization_routes,
    service_record_api.customer_routes,
    service_record_api.organization_routes,
    segments.routes,
    memberships.routes,
    segments.customer_routes,
    segments.job_routes,
    clocks.routes,
    goals.routes,
    reports.routes,
    staffing.routes,
    policies.routes,
    sla_policies.routes,
    sla_exceptions.routes,
    simulations.routes,
    policies.job_routes,
    calendars.routes,
    imports.routes,
    inbound.routes,
    agents.agent_routes,
    agents.team_routes,
    callers.routes,
    availability.list_routes,
    availability.routes,
    custom_fields.routes,
    greetings_api.routes,
    knowledge.routes,
    automations.routes,
    events.routes,
    events.stream_routes,
    events.ticket_routes,
    keys.routes,
    webhooks.routes,
    operations.routes,
]
TAGS = [
    {"name": "tickets", "description": "Tickets, their messages, clocks and audit."},
    {"name": "customers", "description": "Customers and their organizations."},
    {"name": "segments", "description": "Customers grouped by what they need, with the reason of each membership."},
    {"name": "sla", "description": "Policies, business calendars, clocks and exceptions."},
    {"name": "goals", "description": "Promises on average, judged with the customers who still wait."},
    {"name": "reports", "description": "Reports on response times and backlog."},
    {"name": "events", "description": "The event log: export and stream."},
    {"name": "imports", "description": "Import of tickets with their history."},
    {"name": "agents", "description": "Support agents and teams."},
    {
        "name": "custom-fields",
        "description": "Fields that an installation adds to tickets, customers and organizations.",
    },
    {"name": "greetings", "description": "Messages sent at once when a ticket is opened."},
    {"name": "articles", "description": "Short answers that are offered before a person answers."},
    {"name": "automations", "description": "Rules by which the service acts on its own."},
    {"name": "webhooks", "description": "Webhook endpoints and deliveries."},
    {"name": "keys", "description": "API keys."},
    {"name": "operations", "description": "Health, metrics and explanations of problems; no authentication."},
]


def create_app(settings: Settings, worker_figures: str | None = None) -> FastAPI:
    """The API, and the worker's loops beside it where the settings want them. `worker_figures`: where a worker in
    another process leaves what it counts."""

    admission = Admission(settings.concurrency, _costs())
    tracing = tracing_of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with (
            flushed(tracing),
            Database.open(settings) as db,
            Credentials.open(db, settings) as credentials,
            Standby.open(db, settings) as standby,
        ):
            app.state.db = db
            app.state.standby = standby
            app.state.settings = settings
            app.state.tracing = tracing
            app.state.credentials = credentials
            app.state.limits = Limits(settings)
            app.state.admission = admission
            app.state.cursors = Signer(await cursor_key(db))
            app.state.figures = metrics.Figures(worker_figures)
            app.state.figures_asked = asyncio.Lock()
            app.state.health = Health(db, schema_head(), admission)
            app.state.raw_bodies = asyncio.Semaphore(RAW_BODIES)
            app.state.bodies = asyncio.Semaphore(LARGE_BODIES)
            app.state.heavy = asyncio.Semaphore(max(1, settings.pool_size // CONNECTIONS_FOR_A_HEAVY_ONE))
            app.state.ticket_types = tuple(TicketType)
            app.state.hub = Hub(db, settings.caller_streams)
            await partitions.settle_epoch(db)
            hub: Hub = app.state.hub
            async with (
                _working(db, settings, tracing),
                hub.running(),
                sampled("api", db, admission, hub.open_streams),
            ):
                with on_termination(admission.drain, hub.stop, settings.drain_seconds):
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
        # The frame measures, logs and traces. FastAPI's own spans would have paths and queries in them, as they came.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in ROUTERS:
        # Not include_router: that wraps each route in a second matcher, which every request would pass through.
        app.router.routes.extend(router.routes)
    docs.install(app)
    if settings.console:
        console.install(app)
    problems.install(app, lambda path: _allowed_methods(app, path))
    openapi.install(app)
    # The last one added is the outermost.
    if settings.cors_origins:
        app.add_middleware(Preflights, origins=settings.cors_origins, headers=settings.cors_headers)
    app.add_middleware(EdgeMiddleware, settings=settings, admission=admission, tracing=tracing)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins, headers=settings.cors_headers)
    return app


def _costs() -> Costs:
    found = Costs()
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        takes_rest = any(isinstance(each, PathConvertor) for each in route.param_convertors.values())
        found.add(route.methods or (), route.path_format, getattr(route, "cost", VITAL), rest=takes_rest)
    return found


def serving(settings: Settings, worker_figures: str | None = None) -> FastAPI:
    """The application for a process that does nothing else. What is loaded by now stays for good, so it is left out of
    every garbage collection: looking through it took longer than many a request."""
    app = create_app(settings, worker_figures)
    gc.collect()
    gc.freeze()
    return app


def from_environment() -> FastAPI:
    """What each of several API processes runs; it ends with the one that looks after them."""
    if supervisor := multiprocessing.parent_process():
        assert supervisor.pid
        end_with(supervisor.pid, signal.SIGTERM)
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    return serving(settings)


@asynccontextmanager
async def _working(db: Database, settings: Settings, tracing: Tracing | None) -> AsyncIterator[None]:
    if not settings.worker:
        yield
        return
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(db, settings, stop, tracing))
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
