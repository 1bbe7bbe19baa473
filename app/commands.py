"""What the commands of `app/cli.py` do. Expected failures print one line, never a traceback.

The application and the worker are imported by the commands that run them: they take longer than all the rest."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import DBAPIError

from app.auth import keys
from app.auth.roles import Role
from app.cubes import filling, folding
from app.db import FAULTS, Database
from app.demo import run as demo
from app.demo.setup import Cast
from app.errors import AppError
from app.imports.cli import import_file
from app.keys.schemas import ApiKeyIn
from app.keys.service import create_key as make_key
from app.migrate import migrate as migrate_schema
from app.migrate import schema_head
from app.operations import doctor, setup, start_checks
from app.operations.process_metrics import sampled
from app.settings import Settings, SettingsError, load_settings
from app.tracing import flushed, tracing_of
from app.verification.clocks import repair as repair_clocks
from app.verification.clocks import verify as verify_clocks
from app.verification.cubes import verify_reports
from app.verification.goals import verify_goals
from app.verification.memberships import repair_members, verify_members
from app.verification.merges import verify_merges
from app.verification.outlook import verify_outlook
from app.web import logs, metrics
from embedded_postgres import EmbeddedError, EmbeddedPostgres

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


def serve(host: str | None, port: int | None, workers: int | None, worker: bool | None) -> None:
    from app.server import serve as serve_http

    settings = load_settings(host=host, port=port, workers=workers, worker=worker)
    logs.configure(settings.log_level, settings.log_format)
    first_start = not setup.key_file(settings).exists()
    with _migrated(settings) as (ready, tend):
        key, file = setup.admin_key(settings)

        def announce(url: str) -> None:
            out.print(f"Ninety is ready at {url}   documentation: {url}/docs")
            out.print(f"admin key: {told_key(key, file, first_start=first_start)}")

        if not serve_http(ready, announce, tend):
            raise typer.Exit(3)


def told_key(key: str, file: Path | None, *, first_start: bool) -> str:
    """The key itself is printed once: what a service prints is kept in logs, which more people read than the file."""
    if file is None:
        return "the one in NINETY_ADMIN_KEY"
    return f"{key} (kept in {file})" if first_start else f"kept in {file}"


def demonstrate(host: str | None, port: int | None) -> None:
    from app.server import serve as serve_http

    settings = load_settings(host=host, port=port, log_level="warning")
    logs.configure(settings.log_level, settings.log_format)
    with _migrated(settings) as (ready, tend):
        _run(ready, demo.check_empty)
        key, _ = setup.admin_key(settings)

        def tell(url: str, cast: Cast) -> None:
            out.print(f"The console is at {url}/console. Sign in as")
            for role, agent_key in (("an agent", cast.agent_key), ("a lead", cast.lead_key), ("an administrator", key)):
                out.print(f"  {role:17} {agent_key}", markup=False)
            out.print("Customers write and agents answer until Ctrl-C.")

        def announce(url: str) -> None:
            demo.start(url, key, partial(tell, url))

        if not serve_http(ready, announce, tend):
            raise typer.Exit(3)


def work() -> None:
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    with _migrated(settings) as (ready, _):
        asyncio.run(_work(ready))


def migrate() -> None:
    with _migrated(load_settings()):
        out.print("the schema is up to date")


def import_tickets(file: Path) -> None:
    with _migrated(load_settings()) as (ready, _):
        with Progress(console=err) as progress:
            counts = _run(ready, lambda db: import_file(db, file, progress))
        out.print(f"created {counts['created']}, duplicate {counts['duplicate']}, rejected {counts['rejected']}")
    raise typer.Exit(1 if counts["rejected"] else 0)


def verify(*, repair: bool) -> None:
    with _migrated(load_settings()) as (ready, _):
        tickets, differences, unverifiable = _run(ready, partial(_verify, repair=repair))
        customers, members = _run(ready, partial(_verify_members, repair=repair))
        merged, merges = _run(ready, _verify_merges)
        goals = _run(ready, _verify_goals)
        waits, learnt = _run(ready, partial(_verify_outlook, repair=repair))
        counted, miscounted = _run(ready, _verify_reports)
        if repair and miscounted:
            _run(ready, _rebuild_reports)
    out.print(f"{tickets - unverifiable} tickets verified, {differences} differences")
    if unverifiable:
        out.print(f"{unverifiable} not verifiable: the log's retention has dropped how they began")
    out.print(f"{customers} customers' segments verified, {members} differences")
    out.print(f"{merged} merged tickets and customers verified, {merges} differences")
    out.print(f"{goals} differences in the history of goals")
    out.print(f"{waits} waits of outlooks verified, {learnt} differences")
    out.print(f"{counted} clocks of reports verified, {miscounted} differences")
    raise typer.Exit(1 if differences or members or merges or goals or learnt or miscounted else 0)


def rebuild_reports() -> None:
    with _migrated(load_settings()) as (ready, _):
        out.print(f"reports are added up from {_run(ready, _rebuild_reports)} clocks")


def examine() -> None:
    settings = load_settings()
    with _database(settings) as (ready, _):
        found = asyncio.run(doctor.examine(ready, schema_head()))
    for each in found:
        out.print(f"{each.level:8} {each.subject}: {each.said}", markup=False)
        if each.remedy:
            out.print(f"{'':8} -> {each.remedy}", markup=False)
    raise typer.Exit(1 if any(each.level is doctor.Level.problem for each in found) else 0)


def create_key(
    name: str, role: Role, scopes: list[str] | None, agent_id: UUID | None, customer_id: UUID | None
) -> None:
    try:
        body = ApiKeyIn(name=name, role=role, scopes=scopes or None, agent_id=agent_id, customer_id=customer_id)
    except ValidationError as wrong:
        raise SettingsError("; ".join(error["msg"] for error in wrong.errors())) from None

    async def unit(db: Database) -> dict[str, Any]:
        return await db.run(lambda tx: make_key(tx, None, body))

    with _migrated(load_settings()) as (ready, _):
        out.print(_run(ready, unit)["key"])


def make_admin_key() -> None:
    sys.stdout.write(f"{keys.make_key()[1]}\n")


def openapi() -> None:
    from app.main import create_app

    document = create_app(Settings(database_url=None)).openapi()
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


Tend = Callable[[], None]


@contextmanager
def _migrated(settings: Settings) -> Iterator[tuple[Settings, Tend]]:
    """Settings with a database that is there, migrated and set up, and what keeps it there when called now and then."""
    key, _ = setup.admin_key(settings)
    with _database(settings) as (ready, tend):
        assert ready.database_url
        if asyncio.run(start_checks.check(ready, schema_head())):
            _migrate(ready)
        _run(ready, lambda db: setup.set_up(db, key))
        yield ready, tend


def _migrate(settings: Settings) -> None:
    """Raises CannotStart."""
    assert settings.database_url
    try:
        migrate_schema(settings.database_url)
    except (DBAPIError, *FAULTS) as failed:
        raise start_checks.CannotStart(start_checks.explained(failed, settings)) from failed


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[Settings, Tend]]:
    if settings.database_url:
        yield settings, lambda: None
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    with embedded as url:
        yield settings.model_copy(update={"database_url": url}), embedded.revive


def _run(settings: Settings, work: Callable[[Database], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Database.open(settings) as db:
            return await work(db)

    return asyncio.run(run())


async def _work(settings: Settings) -> None:
    from app import worker as worker_loops

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with metrics.served(metrics.Figures(), settings.host, settings.metrics_port):
        tracing = tracing_of(settings)
        async with flushed(tracing), Database.open(settings) as db, sampled("worker", db):
            await worker_loops.run(db, settings, stop, tracing)


async def _verify(db: Database, *, repair: bool) -> tuple[int, int, int]:
    tickets = differences = 0
    unverifiable: list[UUID] = []
    async for count, found in verify_clocks(db, unverifiable):
        tickets, differences = tickets + count, differences + len(found)
        if repair:
            for ticket_id in sorted({each.ticket_id for each in found}):
                await repair_clocks(db, ticket_id)
        for each in found:
            out.print(f"{each.ticket_id} {each.clock} {each.field}: stored {each.stored}, computed {each.computed}")
    return tickets, differences, len(unverifiable)


async def _verify_members(db: Database, *, repair: bool) -> tuple[int, int]:
    customers = differences = 0
    async for count, found in verify_members(db):
        customers, differences = customers + count, differences + len(found)
        if repair and found:
            await repair_members(db, found)
        for each in found:
            what = f"{each.customer_id} {each.segment.key} {each.field}"
            out.print(f"{what}: stored {each.stored}, computed {each.computed}", markup=False)
    return customers, differences


async def _verify_merges(db: Database) -> tuple[int, int]:
    async with db.transaction() as tx:
        count, found = await verify_merges(tx)
    for each in found:
        what = f"{each.kind} {each.id} {each.field}"
        out.print(f"{what}: stored {each.stored}, computed {each.computed}", markup=False)
    return count, len(found)


async def _verify_goals(db: Database) -> int:
    async with db.transaction() as tx:
        found = await verify_goals(tx)
    for each in found:
        out.print(f"{each.goal_id} {each.field}: stored {each.stored}, computed {each.computed}", markup=False)
    return len(found)


async def _verify_outlook(db: Database, *, repair: bool) -> tuple[int, int]:
    count, found = await verify_outlook(db, repair=repair)
    for each in found:
        out.print(f"{each.clock_id} {each.field}: stored {each.stored}, computed {each.computed}", markup=False)
    return count, len(found)


async def _verify_reports(db: Database) -> tuple[int, int]:
    clocks = differences = 0
    async for count, found in verify_reports(db):
        clocks, differences = clocks + count, differences + len(found)
        for each in found:
            out.print(f"{each.where}: stored {each.stored}, computed {each.computed}", markup=False)
    return clocks, differences


async def _rebuild_reports(db: Database) -> int:
    await filling.rebuild(db)
    while await filling.run_once(db):
        pass
    while await folding.run_once(db):
        pass
    return await filling.count(db)


def fail(error: Exception) -> NoReturn:
    """Say in one line what an expected failure was, and exit. Raises any other again."""
    if isinstance(error, FAULTS):
        said = start_checks.explained(error, load_settings())
    elif isinstance(error, start_checks.CannotStart | SettingsError | EmbeddedError | AppError):
        said = " ".join(str(error).split())
    else:
        raise error
    err.print(f"ninety: {said}", markup=False)
    sys.exit(3)
