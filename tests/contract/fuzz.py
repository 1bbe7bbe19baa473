"""schemathesis with all its checks and phases, once per role, against a live service. Ends with 1 where anything
failed. `python -m tests.contract.fuzz --seconds 20 --seed 1`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from tests.contract.live import ROLES, live

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_DOCUMENT = Path("openapi.json")


def main(
    seconds: Annotated[int, typer.Option(min=5, help="Seconds for each role.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed asks the same questions.")] = 90,
    role: Annotated[list[str] | None, typer.Option(help="Only these roles.")] = None,
    output: Annotated[Path, typer.Option(help="For the reports.")] = Path("var/fuzz"),
) -> None:
    failed = False
    output.mkdir(parents=True, exist_ok=True)
    # A service of its own for each, so that what one role leaves behind does not fail another one's run.
    for each in role or ROLES:
        with live() as (url, keys):
            failed |= _run(url, keys[each], each, seconds, seed, output) != 0
    raise typer.Exit(1 if failed else 0)


def _run(url: str, key: str, role: str, seconds: int, seed: int, output: Path) -> int:
    report = output / f"{role}.json"
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program), "--config-file", str(_CONFIG), "run", str(_DOCUMENT), "--url", url,
        "--header", f"Authorization: Bearer {key}", "--seed", str(seed), "--max-time", str(seconds),
        "--report", "json", "--report-json-path", str(report), "--no-color",
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    typer.run(main)
