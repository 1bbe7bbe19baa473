"""The figures for people, as tables, and for programs, as JSON."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.plan import Plan
from bench.rounds import Compared
from bench.run import Outcome
from bench.verdicts import Verdict


def print_rates(console: Console, compared: list[Compared]) -> None:
    table = Table("case", "service", "median/s", "min", "max", "of ceiling", "min", "max", "p50 ms", "p99 ms")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in compared:
        for service in one.sent:
            rate, (p50, p99) = one.per_second(service), one.latency_ms(service)
            ratio = one.ratio(service, "ceiling") if "ceiling" in one.sent else None
            ratios = (f"{ratio.median:.2f}", f"{ratio.low:.2f}", f"{ratio.high:.2f}") if ratio else ("", "", "")
            rates = (f"{rate.median:,.0f}", f"{rate.low:,.0f}", f"{rate.high:,.0f}")
            table.add_row(one.case, service, *rates, *ratios, f"{p50:.1f}", f"{p99:.1f}")
        table.add_section()
    console.print(table)


def print_verdicts(console: Console, verdicts: list[Verdict]) -> None:
    table = Table("what", "required", "measured", "min", "max", "")
    for column in table.columns[1:5]:
        column.justify = "right"
    for verdict in verdicts:
        spread, unit = verdict.measured, verdict.unit
        figures = [f"{value:,.2f} {unit}" for value in (spread.median, spread.low, spread.high)]
        word = "[green]reached[/]" if verdict.reached else "[red]MISSED[/]"
        table.add_row(verdict.what, f"{verdict.bound} {verdict.limit:,g} {unit}", *figures, word)
    console.print(table)


def write_json(path: Path, plan: Plan, outcome: Outcome) -> None:
    report: dict[str, Any] = {
        "measured_at": datetime.now(UTC),
        "plan": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(plan).items()},
        "tickets_at_the_end": outcome.tickets,
        "cases": [
            {
                "case": one.case,
                "services": {
                    service: {"per_second": asdict(one.per_second(service)), "rounds": list(map(asdict, rounds))}
                    for service, rounds in one.sent.items()
                },
            }
            for one in outcome.compared
        ],
        "requirements": [{**asdict(verdict), "reached": verdict.reached} for verdict in outcome.verdicts],
        "failures": outcome.failures,
    }
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
