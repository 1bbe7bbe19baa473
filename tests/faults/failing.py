"""Services to kill at a point: `python -m tests.faults.failing DSN ADMIN_KEY` forks one for each line that it reads,
and prints its pid and port. It kills itself, and says so, where it comes to the point that the line names with a
request that has an Idempotency-Key; an empty line names none. They are forked from a process that has everything
loaded."""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import Transaction
from app.main import create_app
from app.settings import Settings
from app.web import idempotency, logs
from tests.support.streams import serving

CLAIMED = "the key is claimed"
BEFORE_WRITE = "before the write"
BEFORE_COMMIT = "between write and COMMIT"
DURING_COMMIT = "COMMIT is sent"
AFTER_COMMIT = "after COMMIT"
BEFORE_ANSWER = "before the answer"
WITHIN_ANSWER = "within the answer"
POINTS = (CLAIMED, BEFORE_WRITE, BEFORE_COMMIT, DURING_COMMIT, AFTER_COMMIT, BEFORE_ANSWER, WITHIN_ANSWER)
KILLED = "killed"


class Point:
    def __init__(self, name: str) -> None:
        self.name = name

    def reached(self, name: str) -> None:
        if name == self.name:
            os.write(1, f"{KILLED}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _arm_transaction(point: Point) -> None:
    commit, earlier_answer = Transaction._commit, idempotency._Claim.earlier_answer

    async def claims(claim: Any, tx: Transaction) -> Any:
        found = await earlier_answer(claim, tx)
        point.reached(CLAIMED)
        return found

    async def commits(tx: Transaction) -> None:
        if tx.queued(idempotency._KEEP):
            point.reached(BEFORE_WRITE)
            await tx._send()
            point.reached(BEFORE_COMMIT)
            if point.name == DURING_COMMIT:
                assert tx.conn
                sending = asyncio.ensure_future(tx.conn.execute("COMMIT"))
                await asyncio.wait({sending}, timeout=0)
                point.reached(DURING_COMMIT)
            await commit(tx)
            point.reached(AFTER_COMMIT)
        else:
            await commit(tx)

    Transaction._commit = commits  # type: ignore[method-assign,assignment]
    idempotency._Claim.earlier_answer = claims  # type: ignore[method-assign,assignment]


def _armed_answer(app: ASGIApp, point: Point) -> ASGIApp:
    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        has_key = any(name == b"idempotency-key" for name, _ in scope.get("headers", ()))

        async def answers(message: Message) -> None:
            point.reached(BEFORE_ANSWER)
            await send(message)
            point.reached(WITHIN_ANSWER)

        await app(scope, receive, answers if has_key else send)

    return called


async def _serve(app: FastAPI, point: Point) -> None:
    async with app.router.lifespan_context(app), serving(_armed_answer(app, point)) as port:
        print(os.getpid(), port, flush=True)
        await asyncio.Event().wait()


def main(dsn: str, admin_key: str) -> None:
    logs.configure("error")
    # Nobody waits for who is killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(database_url=dsn, admin_key=admin_key, data_dir=Path(place), worker=False, pool_size=4)
        app = create_app(settings)
        while line := sys.stdin.readline():
            if os.fork() == 0:
                sys.stdin.close()
                point = Point(line.strip())
                _arm_transaction(point)
                asyncio.run(_serve(app, point))


if __name__ == "__main__":
    main(*sys.argv[1:])
