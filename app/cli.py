"""The command line. Exit codes: 0 done, 1 done and something is wrong (differences, rejected tickets), 2 wrong settings
or arguments, 3 the database cannot be reached or used. Expected failures print one line, never a traceback."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from app import worker as worker_loops
from app.auth.roles import Role
from app.db import FAULTS, Database
from app.embedded import EmbeddedError, EmbeddedPostgres
from app.errors import AppError
from app.keys.schemas import ApiKeyIn
from app.keys.service import create_key as make_key
from app.main import create_app
from app.migrate import migrate as migrate_schema
from app.operations import setup
from app.server import serve as serve_http
from app.settings import Settings, SettingsError, load_settings
from app.tickets.imports.cli import import_file
from app.tickets.verify import repair as repair_clocks
from app.tickets.verify import verify as verify_clocks
from app.tickets.verify_members import repair_members, verify_members
from app.web import logs

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]


@cli.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(help="API processes.")] = None,
    worker: Annotated[bool | None, typer.Option(help="Run the worker's loops in the API processes.")] = None,
) -> None:
    """Start the service: the embedded PostgreSQL unless DATABASE_URL is set, migrations, API and worker."""
    settings = load_settings(host=host, port=port, workers=workers, worker=worker)
    logs.configure(settings.log_level)
    with _migrated(settings) as (ready, tend):
        _, key_file = setup.admin_key(settings)

        def announce(url: str) -> None:
            out.print(f"Ninety is ready at {url}   documentation: {url}/docs")
            out.print(f"admin key: {key_file.read_text().strip()} (kept in {key_file})" if key_file else
                      "admin key: the one in NINETY_ADMIN_KEY")  # fmt: skip

        if not serve_http(ready, announce, tend):
            raise typer.Exit(3)


@cli.command()
def worker() -> None:
    """Run the worker's loops alone, beside API processes that were started with --no-worker."""
    settings = load_settings()
    logs.configure(settings.log_level)
    with _migrated(settings) as (ready, _):
        asyncio.run(_work(ready))


@cli.command()
def migrate() -> None:
    """Bring the database to this release's schema and make what a new installation needs."""
    with _migrated(load_settings()):
        out.print("the schema is up to date")


@cli.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="NDJSON, a ticket a line.")],
) -> None:
    """Import tickets with their past. Run again after an interruption: what is there already is skipped."""
    with _migrated(load_settings()) as (ready, _):
        with Progress(console=err) as progress:
            counts = _run(ready, lambda db: import_file(db, file, progress))
        out.print(f"created {counts['created']}, duplicate {counts['duplicate']}, rejected {counts['rejected']}")
    raise typer.Exit(1 if counts["rejected"] else 0)


@cli.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Make them what they should be, too.")] = False,
) -> None:
    """Recompute every clock from the log, and who belongs to which segment, and print each difference to what is
    stored."""
    with _migrated(load_settings()) as (ready, _):
        tickets, differences, unverifiable = _run(ready, partial(_verify, repair=repair))
        customers, members = _run(ready, partial(_verify_members, repair=repair))
    out.print(f"{tickets - unverifiable} tickets verified, {differences} differences")
    if unverifiable:
        out.print(f"{unverifiable} not verifiable: the log's retention has dropped how they began")
    out.print(f"{customers} customers' segments verified, {members} differences")
    raise typer.Exit(1 if differences or members else 0)


@cli.command("create-key")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.admin,
    scope: Annotated[list[str] | None, typer.Option(help="For the role service; may be repeated.")] = None,
    agent_id: Annotated[UUID | None, typer.Option(help="For the roles agent and lead.")] = None,
    customer_id: Annotated[UUID | None, typer.Option(help="For the role customer.")] = None,
) -> None:
    """Make an API key and print it, this once."""
    try:
        body = ApiKeyIn(name=name, role=role, scopes=scope or None, agent_id=agent_id, customer_id=customer_id)
    except ValidationError as wrong:
        raise SettingsError("; ".join(error["msg"] for error in wrong.errors())) from None

    async def unit(db: Database) -> dict[str, Any]:
        return await db.run(lambda tx: make_key(tx, None, body))

    with _migrated(load_settings()) as (ready, _):
        out.print(_run(ready, unit)["key"])


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    document = create_app(Settings(database_url=None)).openapi()
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


Tend = Callable[[], None]


@contextmanager
def _migrated(settings: Settings) -> Iterator[tuple[Settings, Tend]]:
    """Settings with a database that is there, migrated and set up, and what keeps it there when called now and then."""
    key, _ = setup.admin_key(settings)
    with _database(settings) as (ready, tend):
        assert ready.database_url
        migrate_schema(ready.database_url)
        _run(ready, lambda db: setup.set_up(db, key))
        yield ready, tend


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
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Database.open(settings) as db:
        await worker_loops.run(db, settings, stop)


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


def main() -> None:
    # Before uvicorn installs its own: it raises the signal again when it is done, and only an exception runs the
    # `finally` that stops PostgreSQL.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cli()
    except (SettingsError, EmbeddedError, AppError) as wrong:
        _fail(str(wrong), 2)
    except FAULTS as away:
        _fail(f"the database cannot be used: {away}", 3)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, code: int) -> None:
    err.print(f"ninety: {message}", markup=False)
    sys.exit(code)
