"""Deliveries on their way. They are claimed in one statement, carried without any transaction, and what came of them is
written in another: a worker that dies in between has told a receiver something that nobody knows of, so it is told
again, under the same id."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app import __version__
from app.db import FAULTS, Database, Row
from app.settings import Settings
from app.tracing import TRACE, Trace, Tracing, traceparent
from app.web import metrics
from app.webhooks import http_client, payloads, targets
from app.webhooks.claiming import CLAIM, FRESH, MOST
from app.webhooks.recording import Result, record
from app.webhooks.retries import Attempt, Failure, after
from app.webhooks.signing import SecretUnreadable, Vault, sign

# Attempts at a time in one process.
SLOTS = 256
# An attempt that takes longer is slow: who has several gets no more until one answers.
_SLOW_SECONDS = 2.0
# So long it is waited for room, and then for some more of it: a claim costs as much for one as for many.
_ROOM_SECONDS, _GATHERING_SECONDS = 0.05, 0.005

log = structlog.get_logger("ninety.webhooks")


@dataclass(slots=True)
class Endpoint:
    """How one endpoint has done with this process, by the loop's clock, which decides how much it gets at a time."""

    allowed: int = FRESH
    answered: float = float("-inf")
    under_way: dict[UUID, float] = field(default_factory=dict)

    def room(self, now: float) -> int:
        slow = sum(now - began > _SLOW_SECONDS for began in self.under_way.values())
        allowed = self.allowed
        if slow and now - self.answered > _SLOW_SECONDS:
            # One slow answer may be this payload's alone; several are the endpoint's.
            allowed = 1 if slow < FRESH else 0
        return max(0, min(allowed - (len(self.under_way) - slow), MOST - len(self.under_way)))

    def ended(self, id: UUID, now: float, *, well: bool) -> None:
        self.under_way.pop(id, None)
        self.allowed = min(self.allowed + 1, MOST) if well else 1
        if well:
            self.answered = now


class Sender:
    """`run_once` claims and starts, `record` writes down what has ended; both are rounds of the worker's loops."""

    def __init__(
        self, db: Database, settings: Settings, courier: http_client.WebhookClient, tracing: Tracing | None = None
    ) -> None:
        self._db = db
        self._courier = courier
        self._tracing = tracing
        self._private = settings.webhook_private_targets
        self._vault = Vault(settings.secret_keys)
        self._endpoints: dict[UUID, Endpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: list[Result] = []

    async def run_once(self) -> bool:
        """Whether there is more to do at once."""
        # What has ended and cannot be written down counts: a database that is away must not be outrun.
        free = SLOTS - len(self._tasks) - len(self._ended)
        if free <= 0:
            return False
        now = time.monotonic()
        rooms = {id_: endpoint.room(now) for id_, endpoint in self._endpoints.items()}
        async with self._db.transaction() as tx:
            claimed = await tx.rows(CLAIM, busy_id=list(rooms), room=list(rooms.values()), most=free)
            events = await payloads.read(tx, claimed)
        began = time.monotonic()
        for row in claimed:
            self._endpoints.setdefault(row["webhook_id"], Endpoint()).under_way[row["id"]] = began
            event = events.get(payloads.position_in(row))
            task = asyncio.create_task(self._attempt(row, event, began))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        busy = bool(self._tasks)
        if busy and not claimed:
            # There is room again as soon as some have ended.
            await asyncio.wait(self._tasks, timeout=_ROOM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_GATHERING_SECONDS)
        return busy

    async def record(self) -> bool:
        """Where it fails nothing is forgotten: the next round tries again."""
        results = self._ended[:SLOTS]
        if results:
            await self._db.run(lambda tx: record(tx, results))
            del self._ended[: len(results)]
        return False

    async def settled(self) -> None:
        """Until nothing is under way."""
        await asyncio.gather(*self._tasks)

    async def finish(self, seconds: float) -> None:
        """Let what is under way end, or break it off: its lease ends by itself. Then write down what has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.record()
        except FAULTS as failed:
            log.warning("deliveries_not_recorded", count=len(self._ended), error=type(failed).__name__)

    async def _attempt(self, row: Row, event: Row | None, began: float) -> None:
        trace = self._begin_trace(event)
        try:
            attempt = await self._carry(row, event)
        except asyncio.CancelledError:
            raise
        except Exception as failed:
            # One that cannot even be sent is retried like any other, and holds up nobody.
            log.error("delivery_not_made", delivery=str(row["id"]), kind=type(failed).__name__)
            attempt = Attempt(Failure.payload)
        if trace:
            trace.end(attributes=_told_of(row, attempt), error=attempt.failure)
        ended = time.monotonic()
        self._endpoints[row["webhook_id"]].ended(row["id"], ended, well=attempt.failure is None)
        at = row["now"] + timedelta(seconds=ended - began)
        what_next = after(attempt, row["attempts"], at, row["give_up_at"], random.random())  # noqa: S311 - jitter
        counts = row["attempts"] == 1 or row["probe"]
        self._ended.append(
            Result(row["webhook_id"], row["id"], row["url"], row["lease"], at, attempt, what_next, counts)
        )
        metrics.DELIVERIES.labels(attempt.failure or "delivered").inc()
        if row["attempts"] == 1 and attempt.failure is None and event is not None:
            metrics.DELIVERY_LAG.observe(max(0.0, (at - event["recorded_at"]).total_seconds()))

    def _begin_trace(self, event: Row | None) -> Trace | None:
        """The delivery goes on with the trace of the request that caused the event, and not with the round that took
        it."""
        caused = event["traceparent"] if event is not None else None
        trace = self._tracing.begin("webhook", parent=caused) if self._tracing else None
        TRACE.set(trace)
        return trace

    async def _carry(self, row: Row, event: Row | None) -> Attempt:
        if event is None and row["event_id"] is not None:
            return Attempt(Failure.expired)
        try:
            keys = [self._vault.opened(*pair) for pair in zip(row["secrets"] or (), row["sealed"] or (), strict=True)]
            target = targets.parse(row["url"], private=self._private)
        except SecretUnreadable:
            log.error("secret_unreadable", webhook=str(row["webhook_id"]))
            return Attempt(Failure.secret)
        except targets.BadTarget:
            return Attempt(Failure.not_public)
        body = (
            payloads.body(event)
            if event is not None
            else payloads.body_of_test(row["webhook_id"], row["id"], row["created_at"])
        )
        return await self._courier.post(target, _headers(row["id"], keys, row["now"], body), body)


def _headers(id: UUID, keys: list[bytes], now: datetime, body: bytes) -> dict[str, str]:
    at = int(now.timestamp())
    return {
        "Content-Type": "application/cloudevents+json",
        "User-Agent": f"Ninety/{__version__}",
        "webhook-id": str(id),
        "webhook-timestamp": str(at),
        "webhook-signature": sign(keys, str(id), at, body),
        **({"traceparent": trace} if (trace := traceparent()) else {}),
    }


def _told_of(row: Row, attempt: Attempt) -> dict[str, str | int]:
    """Of the receiver no more than which webhook it is: a path may be a secret."""
    status = {"http.response.status_code": attempt.status} if attempt.status else {}
    return {
        "ninety.webhook_id": str(row["webhook_id"]), "ninety.delivery_id": str(row["id"]),
        "ninety.event_type": row["type"], "ninety.attempt": row["attempts"], **status,
    }  # fmt: skip


@asynccontextmanager
async def sender(
    db: Database, settings: Settings, tracing: Tracing | None = None, **client_options: Any
) -> AsyncIterator[Sender]:
    """Ends what is under way when it is left. `client_options` is for `guard.courier`."""
    if settings.webhook_private_targets:
        log.warning("webhooks_may_go_to_private_addresses")
    async with http_client.courier(private=settings.webhook_private_targets, **client_options) as courier:
        made = Sender(db, settings, courier, tracing)
        try:
            yield made
        finally:
            await made.finish(settings.shutdown_seconds)
