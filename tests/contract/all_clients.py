"""`make clients ARGS=--all`: a client from each of the other generators that people use, with its types checked and the
tour taken against a live service. Prints a table: generator, version, generates, type-checks, runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.live import live

_HERE = Path(__file__).parent / "generators"
_NODE = (_HERE / "node_modules").absolute()
_PYTHON = Path("clients/.generators/bin").absolute()
_MADE = Path("clients/all").absolute()
_DOCUMENT = str(Path("openapi.json").absolute())
_OPENAPI_GENERATOR = [str(_PYTHON / "openapi-generator-cli"), "generate", "-i", _DOCUMENT]
_TSC = [str(_NODE / ".bin" / "tsc"), "--project", "."]
# What docs/clients.md says of these.
_KNOWN = {("openapi-generator python", "type-checks")}
_SECONDS = 600


@dataclass
class Client:
    """How one is made, and, in its own directory, checked and run; the adapter to the tour is `name`.ts."""

    name: str
    version: str
    make: Sequence[str]
    check: Sequence[str] = tuple(_TSC)
    run: Sequence[str] = ()
    results: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return _MADE / self.name.replace(" ", "-")


def _orval(client: str) -> list[str]:
    target = ["--output", "api/api.ts", "--client", client, "--mode", "single"]
    return [str(_NODE / ".bin" / "orval"), "--input", _DOCUMENT, *target]


def _clients() -> list[Client]:
    def npm(name: str) -> str:
        return str(json.loads((_NODE / name / "package.json").read_text())["version"])

    asked = [
        str(_PYTHON / "python"),
        "-c",
        "from importlib.metadata import version as v; print(v('openapi-generator-cli'))",
    ]
    generator = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    hey = [str(_NODE / ".bin" / "openapi-ts"), "-i", _DOCUMENT, "-o", "api", "-c", "@hey-api/client-fetch"]
    schema = [str(_NODE / ".bin" / "openapi-typescript"), _DOCUMENT, "--default-non-nullable", "false"]
    python = ["-g", "python", "-o", ".", "--package-name", "ninety_og"]
    mypy = [sys.executable, "-m", "mypy", "--config-file", "", "--no-incremental"]
    return [
        Client("hey-api", npm("@hey-api/openapi-ts"), hey),
        Client("orval-fetch", npm("orval"), _orval("fetch")),
        Client("orval-axios", npm("orval"), _orval("axios")),
        Client("openapi-react-query", npm("openapi-react-query"), [*schema, "--output", "api/schema.ts"]),
        Client("typescript-fetch", generator, [*_OPENAPI_GENERATOR, "-g", "typescript-fetch", "-o", "api"]),
        Client(
            "openapi-generator python", generator, [*_OPENAPI_GENERATOR, *python],
            [*mypy, "--python-executable", str(_PYTHON / "python"), "ninety_og"],
            [str(_PYTHON / "python"), "python_tour.py"],
        ),
    ]  # fmt: skip


def _prepare(client: Client) -> None:
    shutil.rmtree(client.directory, ignore_errors=True)
    client.directory.mkdir(parents=True)
    if client.run:
        shutil.copy(_HERE / "python_tour.py", client.directory)
        return
    for name in ("tour.ts", f"{client.name}.ts", "tsconfig.json"):
        shutil.copy(_HERE / name, client.directory)
    # What is compiled is CommonJS, because most of them import without an extension.
    (client.directory / "package.json").write_text("{}")
    (client.directory / "node_modules").symlink_to(_NODE)


def _did(client: Client, what: str, command: Sequence[str]) -> bool:
    """What it said is in a file beside the client."""
    log = client.directory / f"{what}.log"
    path = f"{_PYTHON}:{os.environ['PATH']}"
    with log.open("w") as said:
        ended = subprocess.run(
            command, cwd=client.directory, stdout=said, stderr=said, check=False, timeout=_SECONDS,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
    client.results[what] = "no" if ended.returncode else "yes"
    return not ended.returncode


def main() -> int:
    clients = _clients()
    for client in clients:
        _prepare(client)
        _did(client, "generates", client.make)
        _did(client, "type-checks", client.check)
    with live() as (url, keys):
        for client in clients:
            run = client.run or ["node", f"out/{client.name}.js"]
            _did(client, "runs", [*run, url, keys["agent"]])
    _print(
        [["generator", "version", *clients[0].results]] + [[c.name, c.version, *c.results.values()] for c in clients]
    )
    failed = {(client.name, what) for client in clients for what, did in client.results.items() if did == "no"}
    for name, what in sorted(failed - _KNOWN):
        print(f"{name}: see {what}.log in {_MADE}")
    return int(bool(failed - _KNOWN))


def _print(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
