"""`python -m bench`: measure, print, and end with 1 when a requirement is missed."""

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.plan import CASES, SERVICES, Plan
from bench.processes import StartError
from bench.report import print_rates, print_verdicts, write_json
from bench.run import Outcome, run

_STOCK = Plan()
# Into a file or a pipe rich would cut the tables at 80 columns.
console = Console(width=None if sys.stdout.isatty() else 120)


def main(
    case: Annotated[list[str] | None, typer.Option(help=f"Only these cases: {', '.join(CASES)}.")] = None,
    service: Annotated[list[str] | None, typer.Option(help=f"Only these services: {', '.join(SERVICES)}.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Rounds of each case.")] = _STOCK.rounds,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Seconds of one service in one round.")] = _STOCK.seconds,
    connections: Annotated[int, typer.Option(min=1, max=256)] = _STOCK.connections,
    threads: Annotated[int, typer.Option(min=1, max=4, help="Threads of wrk.")] = _STOCK.threads,
    pool_size: Annotated[int, typer.Option(min=1, max=64, help="Database connections each.")] = _STOCK.pool_size,
    small: Annotated[int, typer.Option(min=1_000, max=100_000, help="Tickets beforehand.")] = _STOCK.small,
    large: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="Tickets at full size.")] = _STOCK.large,
    customers: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="In the case segments.")] = _STOCK.customers,
    output: Annotated[Path, typer.Option(help="For logs, ids and report.json.")] = _STOCK.output,
    quick: Annotated[bool, typer.Option("--quick", help="Short rounds and small tables: does it work at all?")] = False,
) -> None:
    """Measure the service beside its ceiling and a naive one, on the PostgreSQL of DATABASE_URL or an embedded one."""
    plan = Plan(
        cases=tuple(one for one in CASES if one in _known(case, CASES)),
        services=tuple(one for one in SERVICES if one in _known(service, SERVICES)),
        rounds=rounds,
        seconds=seconds,
        connections=connections,
        threads=threads,
        pool_size=pool_size,
        small=small,
        large=large,
        customers=customers,
        output=output,
    )
    plan = plan.quickened() if quick else plan
    if shutil.which("wrk") is None:
        raise typer.BadParameter("wrk is not installed: it is what sends the load")
    outcome = _measure(plan)
    print_rates(console, outcome.compared)
    print_verdicts(console, outcome.verdicts)
    for failure in outcome.failures:
        console.print(f"[red]{escape(failure)}[/]")
    write_json(plan.output / "report.json", plan, outcome)
    raise typer.Exit(0 if not outcome.failures and all(verdict.reached for verdict in outcome.verdicts) else 1)


def _known(given: list[str] | None, words: tuple[str, ...]) -> tuple[str, ...]:
    unknown = set(given or ()) - set(words)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(words)}")
    return tuple(given or words)


def _measure(plan: Plan) -> Outcome:
    plan.output.mkdir(parents=True, exist_ok=True)
    for stale in (*plan.output.glob("*.ids"), *plan.output.glob("*.log")):
        stale.unlink()
    try:
        return asyncio.run(_until_told(plan))
    except StartError as error:
        console.print(f"[red]{escape(str(error))}[/]")
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; everything that was started is ended")
    raise typer.Exit(2)


async def _until_told(plan: Plan) -> Outcome:
    """SIGTERM ends a run as Ctrl-C does: through every `finally`."""
    running = asyncio.ensure_future(run(plan, console))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await running


typer.run(main)
