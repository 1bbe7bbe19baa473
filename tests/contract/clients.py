"""`make clients`: generates a TypeScript and a Python client from openapi.json, checks their types as strictly as the
checkers can, and takes a tour through each against a live service. What is made lies in `clients/`, for anybody to
take."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.contract.live import live

_HERE = Path(__file__).parent
_NODE = _HERE / "node_modules" / ".bin"
_MADE = Path("clients")
_TYPESCRIPT, _PYTHON = _MADE / "typescript", _MADE / "python"
_GENERATOR = _MADE / ".generator" / "bin"


def typescript() -> None:
    _fresh(_TYPESCRIPT)
    for name in ("package.json", "tsconfig.json", "tour.ts"):
        shutil.copy(_HERE / name, _TYPESCRIPT)
    (_TYPESCRIPT / "node_modules").symlink_to((_HERE / "node_modules").resolve())
    # What has a default may be left out of a request; no answer has one.
    options = ("--default-non-nullable", "false", "--output", _TYPESCRIPT / "schema.ts")
    _run(_NODE / "openapi-typescript", "openapi.json", *options)
    # Checks all of it and makes the JavaScript that the tour runs.
    _run(_NODE / "tsc", "--project", _TYPESCRIPT, "--outDir", _TYPESCRIPT / "out")


def python() -> None:
    _fresh(_PYTHON)
    shutil.copy(_HERE / "tour.py", _PYTHON)
    client = _PYTHON / "ninety_client"
    generate = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path", client)
    _run(_GENERATOR / "openapi-python-client", *generate, "--config", _HERE / "generator.yaml")
    # It warns where it leaves something out, such as bodies that are not JSON; an operation must not be among that.
    missing = _operations() - {made.stem for made in client.glob("api/*/*.py")}
    if missing:
        raise SystemExit(f"the Python client lacks {', '.join(sorted(missing))}")
    _run(
        sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--no-incremental",
        "--python-executable", (_GENERATOR / "python").absolute(), _PYTHON,
    )  # fmt: skip


def tours() -> None:
    with live() as (url, keys):
        _run("node", _TYPESCRIPT / "out" / "tour.js", url, keys["agent"])
        _run(_GENERATOR / "python", _PYTHON / "tour.py", url, keys["agent"])


def _operations() -> set[str]:
    paths = json.loads(Path("openapi.json").read_text())["paths"].values()
    return {operation["operationId"] for path in paths for operation in path.values()}


def _fresh(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def _run(program: str | Path, *arguments: str | Path) -> None:
    command = [str(part) for part in (program, *arguments)]
    # The generators look for each other's programs beside themselves.
    ended = subprocess.run(command, check=False, env=_environment())
    if ended.returncode:
        raise SystemExit(f"{Path(command[0]).name} failed: {' '.join(command[1:])}")


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{_GENERATOR.absolute()}:{os.environ['PATH']}"}


if __name__ == "__main__":
    typescript()
    python()
    tours()
