"""What a webhook is told: events of the catalogue, read in the log whenever they are sent, so that nothing of them is
kept here. Of an import nobody is told: it is history."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, DateTime, SmallInteger, and_, select

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Forbidden
from app.events.catalogue import CATALOGUE, SOURCE, SPECVERSION, outward
from app.events.feed import Position, position_of
from app.events.tables import Xid8, events
from app.statements import rows_of

TEST = "webhook.test"
# Every type but those that ask for a scope of their own.
ALL = "*"
MOST_BYTES = 20_000

_COLUMNS: dict[str, Any] = {
    "event_epoch": SmallInteger(), "event_xid": Xid8(), "event_id": BigInteger(), "event_at": DateTime(timezone=True),
}  # fmt: skip
_key = rows_of(_COLUMNS, "key")
# The instant leads to the part of the log.
_found = and_(
    events.c.recorded_at == _key.c.event_at, events.c.xid == _key.c.event_xid, events.c.id == _key.c.event_id,
    events.c.epoch == _key.c.event_epoch,
)  # fmt: skip
_READ = Query(select(events).join(_key, _found))


class TooLarge(Exception):
    """A payload is larger than a receiver was promised."""


async def read(tx: Transaction, deliveries: Iterable[Row]) -> dict[Position, Row]:
    """The events of these deliveries; what is in the log no more is left out."""
    wanted = {position_in(row): row for row in deliveries if row["event_id"] is not None}
    if not wanted:
        return {}
    rows = await tx.rows(_READ, **{name: [row[name] for row in wanted.values()] for name in _COLUMNS})
    return {position_of(row): row for row in rows}


def position_in(delivery: Row) -> Position:
    return Position(delivery["event_epoch"], delivery["event_xid"], delivery["event_id"])


def check_type(type_: str) -> str:
    """Raises ValueError."""
    if type_ != ALL and type_ not in CATALOGUE:
        raise ValueError("a type of the catalogue of events, or *")
    return type_


def check_may_hear(actor: Actor, types: Iterable[str]) -> None:
    """Raises Forbidden: whoever may not read a thing lets nobody be told of it."""
    named = [CATALOGUE[type_].scope for type_ in types if type_ in CATALOGUE]
    scopes = sorted({scope for scope in named if scope} - actor.scopes)
    if scopes:
        raise Forbidden(f"these types need the scope {', '.join(scopes)}")


def concerns(event: Row, types: Sequence[str]) -> bool:
    """Whether it goes to who asked for these types."""
    type_ = CATALOGUE.get(event["type"])
    if type_ is None or event["imported"]:
        return False
    return type_.name in types or (ALL in types and type_.scope is None)


def body(event: Row) -> bytes:
    """Raises TooLarge."""
    told = orjson.dumps(outward(event), option=orjson.OPT_UTC_Z)
    if len(told) > MOST_BYTES:
        raise TooLarge
    return told


def body_of_test(webhook_id: UUID, delivery_id: UUID, at: datetime) -> bytes:
    """In the shape of an event, of a type that no event has."""
    return orjson.dumps(
        {
            "specversion": SPECVERSION, "id": str(delivery_id), "source": SOURCE, "type": TEST, "dataversion": 1,
            "time": at, "recordedat": at, "subject": str(webhook_id), "actorkind": "system", "imported": False,
            "data": {},
        },
        option=orjson.OPT_UTC_Z,
    )  # fmt: skip
