"""One run of wrk. A run with a single refusal is an error, never a figure."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SCRIPT = Path(__file__).with_name("wrk.lua")


class LoadError(Exception):
    """The load did not run as meant, so that its figure would say nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends. `{id}` in the path takes the next line of `ids`; with `once` the file must outlast the run."""

    base_url: str
    path: str
    method: str = "GET"
    body: str | None = None
    authorization: str | None = None
    ids: Path | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Wrk:
    connections: int = 16
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    async def run(self, load: Load, seconds: int) -> Sent:
        """Load the URL for so many seconds. Raises LoadError on refusals, socket errors or want of tickets."""
        process = await asyncio.create_subprocess_exec(
            *("wrk", "-c", str(self.connections), "-t", str(self.threads), "-d", f"{seconds}s"),
            *("-s", str(_SCRIPT), load.base_url),
            env={**self.environment, **self._parameters(load)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds + 15):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise LoadError(f"{load.method} {load.path}: wrk ended with {process.returncode}: {err.decode().strip()}")
        return _read(out.decode(), load)

    def _parameters(self, load: Load) -> dict[str, str]:
        given = {
            "BENCH_METHOD": load.method,
            "BENCH_PATH": load.path,
            "BENCH_THREADS": str(self.threads),
            "BENCH_BODY": load.body,
            "BENCH_AUTHORIZATION": load.authorization,
            "BENCH_IDS": str(load.ids) if load.ids else None,
            "BENCH_ONCE": "1" if load.once else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def _read(out: str, load: Load) -> Sent:
    found = re.search(r"^BENCH (\{.*\})$", out, re.MULTILINE)
    if found is None:
        raise LoadError(f"{load.method} {load.path}: wrk gave no summary: {out}")
    told = json.loads(found[1])
    # wrk counts refusals from 400 up. A redirect would pass here, but not the request asked before the load.
    if told["status"] or told["socket"] or not told["requests"]:
        raise LoadError(
            f"{load.method} {load.path}: of {told['requests']} answers {told['status']} were refusals, "
            f"{told['socket']} socket errors"
        )
    return Sent(told["requests"], told["micros"] / 1e6, told["p50_micros"] / 1e3, told["p99_micros"] / 1e3)
