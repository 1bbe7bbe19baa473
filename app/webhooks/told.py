"""What a webhook is told: an event of the log, read there whenever it is sent: nothing is kept of it here."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, BigInteger, bindparam, column, func, select

from app.db import Query, Row, Transaction
from app.events.tables import Xid8, events

TEST = "webhook.test"
ALL = "*"
MOST_BYTES = 20_000

Key = tuple[int, int]
_key = (
    func.unnest(bindparam("xids", type_=ARRAY(Xid8())), bindparam("ids", type_=ARRAY(BigInteger)))
    .table_valued(column("xid", Xid8()), column("id", BigInteger), name="key")
    .render_derived()
)
_READ = Query(select(events).join(_key, (events.c.xid == _key.c.xid) & (events.c.id == _key.c.id)))


async def read(tx: Transaction, keys: Iterable[Key]) -> dict[Key, Row]:
    """Events of the log by (xid, id); what is there no more is left out."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await tx.rows(_READ, xids=[xid for xid, _ in wanted], ids=[id_ for _, id_ in wanted])
    return {(row["xid"], row["id"]): row for row in rows}


def check_type(type_: str) -> str:
    return type_


def concerns(event: Row, types: Sequence[str]) -> bool:
    """Whether it goes to who asked for these types."""
    return not event["internal"] and not event["imported"] and (ALL in types or event["type"] in types)


def body(event: Row) -> bytes:
    return orjson.dumps({"id": str(event["id"]), "type": event["type"], "time": event["occurred_at"]})


def test_body(webhook_id: UUID, delivery_id: UUID, at: datetime) -> bytes:
    return orjson.dumps({"id": str(delivery_id), "type": TEST, "time": at})
