"""Workers that are killed: `python -m bench.sweepers DSN` keeps four of them running and kills one with SIGKILL every
0.35 seconds, until it is told to stop. Forked from one process that has everything loaded, or they would spend their
short lives with imports."""

import asyncio
import os
import random
import signal
import sys
import time
from types import FrameType

from app import worker
from app.db import Database
from app.settings import Settings

_WORKERS = 4
_KILL_EVERY_SECONDS = 0.35


def _fork(settings: Settings) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(_work(settings))
        os._exit(0)
    return pid


async def _work(settings: Settings) -> None:
    async with Database.open(settings) as db:
        await worker.run(db, settings, asyncio.Event())


def main(dsn: str) -> None:
    settings = Settings(database_url=dsn, pool_size=2)
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    pids = [_fork(settings) for _ in range(_WORKERS)]
    chance = random.Random(6)
    kills = 0
    while not stopped:
        time.sleep(_KILL_EVERY_SECONDS)
        victim = pids.pop(chance.randrange(len(pids)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        kills += 1
        pids.append(_fork(settings))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(kills, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
