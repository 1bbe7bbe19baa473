"""How the queue stands, and what is likely for who waits in it: what the reads of a ticket, or of its opening, need."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, DateTime, Uuid, bindparam, func, literal_column, select, tuple_

from app.db import Query, Row, Transaction, Values
from app.outlook.curves import REVISION, curves
from app.outlook.hands import LATEST as HANDS
from app.sla.core.calendar import LATEST
from app.sla.core.enums import Priority
from app.sla.core.outlook import MOST_AHEAD, Outlook, ahead_class
from app.sla.tables import LATEST_SQL, sla_clocks

_MOST_COUNTED = 1_000
_c = sla_clocks.c
_deadline = func.coalesce(_c.due_at, literal_column(LATEST_SQL))
_waiting = (
    _c.metric == literal_column("'first_response'"),
    _c.ended_at.is_(None),
    _c.target_seconds.is_not(None),
)
FIRST_IN_LINE = _waiting, (_deadline, _c.id)
_place = tuple_(bindparam("due_at", type_=DateTime(timezone=True)), bindparam("clock_id", type_=Uuid))
_before = (
    select(literal_column("1"))
    .where(*_waiting, tuple_(_deadline, _c.id) < _place)
    .limit(literal_column(str(_MOST_COUNTED)))
    .subquery()
)
_known = (REVISION.label("outlook_revision"), func.coalesce(HANDS, literal_column("0")).label("idle"))
_STANDS = Query(select(*_known, select(func.count()).select_from(_before).scalar_subquery().label("ahead")))
_first_deadlines = (
    select(_deadline).where(*_waiting).order_by(_deadline, _c.id).limit(literal_column(str(MOST_AHEAD + 1)))
)


_NOW = Query(select(*_known, func.clock_timestamp().label("now")))


async def queue_now(tx: Transaction) -> Row:
    """The hands that are free, the revision of the curves, and the instant."""
    row = await tx.row(_NOW)
    assert row is not None
    return row


@dataclass(frozen=True, slots=True)
class Standing:
    """`ahead` is exact below `most`."""

    revision: int
    idle: int
    ahead: int
    most: int = MOST_AHEAD + 1

    @property
    def place(self) -> int | None:
        return self.ahead + 1 if self.ahead < self.most else None


def columns() -> list[ColumnElement[Any]]:
    """For a read of what is about to wait."""
    first = func.array(_first_deadlines.scalar_subquery(), type_=ARRAY(DateTime(timezone=True)))
    return [*_known, first.label("first_deadlines")]


_NEWCOMER = Query(select(*columns()))


async def read_newcomer(tx: Transaction) -> Row:
    """What `columns` are, for who has read without them."""
    row = await tx.row(_NEWCOMER)
    assert row is not None
    return row


def of_newcomer(row: Values, due_at: datetime | None) -> Standing:
    """From a row with `columns`: of who comes last of those with this deadline."""
    return Standing(row["outlook_revision"], row["idle"], bisect_right(row["first_deadlines"], due_at or LATEST))


async def of_waiting(tx: Transaction, due_at: datetime | None, clock_id: UUID) -> Standing:
    row = await tx.row(_STANDS, due_at=due_at or LATEST, clock_id=clock_id)
    assert row is not None
    return Standing(row["outlook_revision"], row["idle"], row["ahead"], _MOST_COUNTED)


async def likely(tx: Transaction, priority: Priority, standing: Standing) -> Outlook | None:
    """None where too little is known."""
    known = await curves(tx, standing.revision)
    return known.outlook(priority, ahead_class(standing.ahead), standing.idle)
