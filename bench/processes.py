"""Starting and surely ending the processes of a run."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx


class StartError(Exception):
    """A process ended instead of starting, or did not answer in time."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def run_once(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run a command to its end, a minute at most. Raises StartError when it fails."""
    async with running(command, environment, log) as process, asyncio.timeout(60):
        if await process.wait() != 0:
            raise StartError(f"{' '.join(command)} failed:\n{_tail(log)}")


@asynccontextmanager
async def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process while the block lasts, in its own session: Ctrl-C reaches it through us, in our order."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()
    # The whole session, for what a process leaves behind that did not end by itself.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until_answering(
    url: str, process: asyncio.subprocess.Process, log: Path, within_seconds: float = 120
) -> None:
    """Wait for a 200. Raises StartError with the end of the log when the process ends or the time is over."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_seconds
    async with httpx.AsyncClient(timeout=2) as client:
        while loop.time() < give_up and process.returncode is None:
            with suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise StartError(f"{url} did not answer:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
