"""`python -m bench.load`: load a running service as customers and agents would, and see what becomes of its goal."""

import asyncio
import math
import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from bench.load.desk import Desk, Figures, Plan

console = Console(width=120)
_PERCENTS = (50, 90, 95, 99, 100)


def main(
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="KEY", help="An admin key; else var/admin.key is read.")] = "",
    rate: Annotated[float, typer.Option(min=0.01, max=5_000, help="Tickets a second, at random instants.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long customers come.")] = 60.0,
    agents: Annotated[int, typer.Option(min=0, max=10_000)] = 20,
    handling: Annotated[float, typer.Option(min=0.001, help="Seconds an agent takes for an answer, on average.")] = 3.0,
    patience: Annotated[float, typer.Option(min=0.001, help="Seconds a customer waits, on average.")] = 300.0,
    goal: Annotated[str, typer.Option(help="The key of the service goal to look at; else the first one.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed sends at the same instants.")] = 90,
) -> None:
    """Opens tickets, answers them, leaves unanswered; prints latencies, errors and the goal."""
    plan = Plan(rate, seconds, agents, handling, patience, seed)
    try:
        figures, status = asyncio.run(_load(url, key or _own_key(), plan, goal))
    except httpx.HTTPError as error:
        console.print(f"[red]{url}: {error or type(error).__name__}[/]")
        raise typer.Exit(2) from None
    _print_latencies(figures)
    _print_answers(figures)
    _print_goal(status)
    raise typer.Exit(1 if any(not answer.startswith("2") for _, answer in figures.answers) else 0)


def _own_key() -> str:
    place = Path(os.environ.get("NINETY_DATA_DIR", "var")) / "admin.key"
    if not place.exists():
        raise typer.BadParameter(f"no --key, and there is no {place}")
    return place.read_text().strip()


async def _load(url: str, key: str, plan: Plan, goal: str) -> tuple[Figures, dict[str, Any]]:
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=30) as http:
        # Asked for first: a wrong key or goal is to be told before the load and not after it.
        goal_id = await _goal_id(http, goal)
        figures = await Desk(http, plan).run()
        answer = await http.get(f"/v1/service-goals/{goal_id}/status")
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return figures, status


async def _goal_id(http: httpx.AsyncClient, key: str) -> str:
    answer = await http.get("/v1/service-goals")
    answer.raise_for_status()
    for goal in answer.json()["items"]:
        if key in ("", goal["key"]):
            return str(goal["id"])
    raise typer.BadParameter(f"there is no service goal {key}")


def _print_latencies(figures: Figures) -> None:
    table = Table(
        "milliseconds from the intended instant", "count", *(f"p{p}" if p < 100 else "max" for p in _PERCENTS)
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for what, values in sorted(figures.latencies_ms.items()):
        ordered = sorted(values)
        # Nearest rank: always a wait that somebody had.
        ranks = [ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for percent in _PERCENTS]
        table.add_row(what, f"{len(values):,}", *(f"{value:,.1f}" for value in ranks))
    console.print(table)


def _print_answers(figures: Figures) -> None:
    table = Table("request", "answer", "count")
    table.columns[2].justify = "right"
    for (what, answer), count in sorted(figures.answers.items()):
        colour = "green" if answer.startswith("2") else "red"
        table.add_row(what, f"[{colour}]{answer}[/]", f"{count:,}")
    console.print(table)
    console.print(f"still waiting when the time was up: {figures.unanswered:,}")


def _print_goal(status: dict[str, Any]) -> None:
    table = Table("the goal", "")
    for name, value in status.items():
        table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
