"""The command line. Exit codes: 0 done, 1 done and something is wrong (differences, rejected tickets), 2 no such
command, option or argument, 3 it could not be done: one line says what is wrong with a setting, the database, a key."""

# What a command does is imported when it runs: the service takes a second or more, and help needs none of it.

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from app import __version__
from app.auth.roles import Role

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]


def _tell_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"ninety {__version__}\n")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    pass


@cli.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(help="API processes.")] = None,
    worker: Annotated[bool | None, typer.Option(help="Run the worker's loops too.")] = None,
) -> None:
    """Start the service: the embedded PostgreSQL unless DATABASE_URL is set, migrations, API and worker."""
    from app import commands

    with suppress(KeyboardInterrupt):
        commands.serve(host, port, workers, worker)


@cli.command()
def demo(host: Host = None, port: Port = None) -> None:
    """Show what it is like: an empty database gets a made-up week, and customers and agents who go on until Ctrl-C."""
    from app import commands

    with suppress(KeyboardInterrupt):
        commands.demonstrate(host, port)


@cli.command()
def worker() -> None:
    """Run the worker's loops alone, beside API processes that were started with --no-worker."""
    from app import commands

    with suppress(KeyboardInterrupt):
        commands.work()


@cli.command()
def migrate() -> None:
    """Bring the database to this release's schema and make what a new installation needs."""
    from app import commands

    commands.migrate()


@cli.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="NDJSON, a ticket a line.")],
) -> None:
    """Import tickets with their past. Run again after an interruption: what is there already is skipped."""
    from app import commands

    commands.import_tickets(file)


@cli.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Make them what they should be, too.")] = False,
) -> None:
    """Recompute every clock and whose it was from the log, who belongs to which segment, when goals stood missed, and
    what reports are added up from, and print each difference to what is stored."""
    from app import commands

    commands.verify(repair=repair)


@cli.command("rebuild-reports")
def rebuild_reports() -> None:
    """Make anew from the clocks what reports are added up from. Reports read the clocks meanwhile, and are slower."""
    from app import commands

    commands.rebuild_reports()


@cli.command()
def doctor() -> None:
    """Look at a running installation: say what is wrong with it and what to do. Nothing is changed."""
    from app import commands

    commands.examine()


@cli.command("create-key")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.admin,
    scope: Annotated[list[str] | None, typer.Option(help="For the role service; may be repeated.")] = None,
    agent_id: Annotated[UUID | None, typer.Option(help="For the roles agent and lead.")] = None,
    customer_id: Annotated[UUID | None, typer.Option(help="For the role customer.")] = None,
) -> None:
    """Make an API key and print it, this once."""
    from app import commands

    commands.create_key(name, role, scope, agent_id, customer_id)


@cli.command("make-key")
def make_key() -> None:
    """Print a new key for NINETY_ADMIN_KEY. Nothing is stored."""
    from app import commands

    commands.make_admin_key()


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from app import commands

    commands.openapi()


def main() -> None:
    # Before uvicorn installs its own: it raises the signal again when it is done, and only an exception runs the
    # `finally` that stops PostgreSQL.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from app import commands

        commands.fail(error)
