"""schemathesis with all its checks and phases, once per role, against a live service. Ends with 1 where anything
failed. `python -m tests.contract.fuzz --examples 20 --seed 1`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tests.contract.live import ROLES, live, stock

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_DOCUMENT = Path("openapi.json")


def main(
    examples: Annotated[int, typer.Option(min=1, help="Most cases of an operation in a phase.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed asks the same questions.")] = 90,
    role: Annotated[list[str] | None, typer.Option(help="Only these roles.")] = None,
    phases: Annotated[str, typer.Option(help="Of schemathesis.")] = "examples,coverage,fuzzing,stateful",
    output: Annotated[Path, typer.Option(help="For the reports.")] = Path("var/fuzz"),
) -> None:
    failed = False
    output.mkdir(parents=True, exist_ok=True)
    # A service of its own for each, so that what one role leaves behind does not fail another one's run.
    for each in role or ROLES:
        with live() as (url, keys):
            config = output / f"{each}.toml"
            config.write_text(_CONFIG.read_text() + _known(asyncio.run(stock(url))))
            failed |= _run(url, keys[each], config, examples, seed, phases, output / f"{each}.json") != 0
    raise typer.Exit(1 if failed else 0)


def _known(ids: Mapping[str, Sequence[object]]) -> str:
    """Most of the time a parameter is something that exists; else every answer would be that it does not."""
    lists = [f"[dictionaries.{name}]\nvalues = {json.dumps(values)}" for name, values in ids.items()]
    bound = [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}' for name in ids]
    return "\n".join(["", *lists, "[parameters]", *bound, ""])


def _run(url: str, key: str, config: Path, examples: int, seed: int, phases: str, report: Path) -> int:
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program), "--config-file", str(config), "run", str(_DOCUMENT), "--url", url,
        "--header", f"Authorization: Bearer {key}", "--seed", str(seed), "--max-examples", str(examples),
        "--phases", phases,
        "--report", "json", "--report-json-path", str(report), "--no-color",
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    typer.run(main)
