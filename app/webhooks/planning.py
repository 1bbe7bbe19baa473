"""Deliveries are made from the log: a row for each event and each webhook that wants it. The rows and the reader's
position commit together, and the key of the rows keeps an event from being planned twice for the same webhook."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from app.db import Database, Query, Row, Transaction
from app.events import feed, reader
from app.webhooks import payloads
from app.webhooks.claiming import PENDING
from app.webhooks.retries import KEPT_TRYING, DeliveryState, Failure
from app.webhooks.tables import webhook_deliveries as deliveries
from app.webhooks.tables import webhooks

READER = "webhooks"
_BATCH = 1_000
_d = deliveries.c
_NOW = func.statement_timestamp()
_COLUMNS = (
    "webhook_id", "id", "event_epoch", "event_xid", "event_id", "event_at", "type", "about_id", "next_at", "give_up_at",
    "created_at",
)  # fmt: skip
_w = webhooks.c
_WANTED = Query(
    select(_w.id, _w.types, _w.created_at, _w.since_epoch, _w.since_snapshot, _NOW.label("now")).where(_w.active)
)
_EVENT = {"epoch": "epoch", "xid": "xid", "id": "id", "at": "recorded_at"}
INSERT = Query(insert(deliveries).on_conflict_do_nothing(), _COLUMNS)
# Its webhook was turned off, or never answered, for as long as is tried.
_some_late = (
    select(_d.webhook_id, _d.id)
    .where(_d.state == PENDING, _d.give_up_at < _NOW - literal_column("interval '1 minute'"), _d.next_at < _NOW)
    .limit(_BATCH)
    .with_for_update(skip_locked=True)
)
_EXPIRE = Query(
    update(deliveries)
    .where(tuple_(_d.webhook_id, _d.id).in_(_some_late), _d.state == PENDING)
    .values(state=DeliveryState.dead, failure=func.coalesce(_d.failure, Failure.expired))
    .returning(literal_column("1"))
)
_some_old = (
    select(_d.webhook_id, _d.id)
    .where(_d.created_at < _NOW - literal_column("interval '30 days'"))
    .limit(_BATCH)
    .with_for_update(skip_locked=True)
)
_CLEAN = Query(delete(deliveries).where(tuple_(_d.webhook_id, _d.id).in_(_some_old)).returning(literal_column("1")))


async def run_once(db: Database) -> bool:
    """One batch of the log; whether there may be more."""
    async with db.transaction() as tx:
        return await is_wanted(tx) and await reader.read_on(tx, READER, _BATCH, _plan)


async def is_wanted(tx: Transaction) -> bool:
    """Whether any webhook is on: where none is, nobody reads the log for them."""
    return bool(await tx.rows(_WANTED))


async def _plan(tx: Transaction, events: list[Row], _: UUID | None) -> None:
    # Asked again: who came meanwhile wants the newest of these.
    wanted = await tx.rows(_WANTED)
    for row in _planned(events, wanted):
        tx.write(INSERT, **row)


async def listen(tx: Transaction) -> dict[str, Any]:
    """Before a webhook is turned on: where it is the only one, the log is read from now on. What to set of it, so that
    it hears of all that is not committed yet, and of nothing else."""
    await reader.hold(tx, READER)
    if not await is_wanted(tx):
        await reader.begin_now(tx, READER)
    mark = await feed.mark(tx)
    return {"since_epoch": mark.epoch, "since_snapshot": mark.snapshot}


def _planned(events: list[Row], wanted: list[Row]) -> Iterator[dict[str, Any]]:
    for event in events:
        for webhook in wanted:
            if _heard(webhook, event) and payloads.concerns(event, webhook["types"]):
                about = event["ticket_id"] or event["subject_id"]
                yield planned(webhook["id"], webhook["now"], event["type"], about, event)


def _heard(webhook: Row, event: Row) -> bool:
    """Whether it was there: whoever reads everything after it was made goes by what it is told from then on."""
    if webhook["since_snapshot"] is None:
        return bool(event["recorded_at"] >= webhook["created_at"])
    return not feed.Mark(webhook["since_epoch"], webhook["since_snapshot"]).covers(event)


def planned(webhook_id: UUID, now: datetime, type_: str, about_id: UUID, event: Row | None = None) -> dict[str, Any]:
    """A delivery that is due at once."""
    return {
        "webhook_id": webhook_id, "id": uuid7(), "type": type_, "about_id": about_id, "next_at": now,
        "give_up_at": now + KEPT_TRYING, "created_at": now,
        **{f"event_{name}": event and event[of] for name, of in _EVENT.items()},
    }  # fmt: skip


async def clean(db: Database) -> bool:
    """Give up what is too late, and remove what is old; whether there may be more."""
    async with db.transaction() as tx:
        late, old = await tx.locked_rows(_EXPIRE), await tx.locked_rows(_CLEAN)
    return _BATCH in (len(late), len(old))
