"""Workers to kill: `python -m tests.faults.workers DSN` forks one for each line that it reads and prints its pid. They
are forked from a process that has everything loaded, or each would spend its life with imports."""

import asyncio
import os
import sys

from app import worker
from app.db import Database
from app.settings import Settings
from app.web import logs


async def _work(settings: Settings) -> None:
    async with Database.open(settings) as db:
        await worker.run(db, settings, asyncio.Event())


def main(dsn: str) -> None:
    logs.configure("error")
    settings = Settings(database_url=dsn, pool_size=4, webhook_private_targets=True)
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            asyncio.run(_work(settings))
            os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1])
