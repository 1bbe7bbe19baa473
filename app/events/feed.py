"""The log in order, from a position on: nothing is skipped, and nothing comes twice.

An id is given at insert and seen at commit, so the order is (xid, id), and what is served stays below the oldest
transaction that still runs. Ids of transactions mean something on one server and timeline only: a database that was
restored elsewhere, or failed over, goes on in the next epoch (`settle_epoch`). Positions are (epoch, xid, id), so that
one of an older epoch goes on with what is left of that, and then with all that was written since."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    true,
    tuple_,
)

from app.db import Query, Row, Transaction, Values
from app.errors import Invalid
from app.events.tables import Xid8, event_log, events

# How many rows a page looks at: it may be short, or empty, and have more after it.
STRETCH = 5_000
_POSITION = re.compile(r"([0-9a-f]{1,4})\.([0-9a-f]{1,16})\.([0-9a-f]{1,16})")
_MOST = 2**63 - 1


class Position(NamedTuple):
    epoch: int
    xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.epoch:x}.{self.xid:x}.{self.id:x}"


START = Position(1, 0, 0)


class UnknownPosition(Invalid):
    """This log has given no such position: take one from an event or from `next_position` of this very service."""

    code = "unknown_position"
    title = "The position is not one of this log"

    @classmethod
    def of(cls, pointer: str) -> "UnknownPosition":
        found = cls.at(pointer, cls.code, "take the position from an event, or from next_position")
        assert isinstance(found, cls)
        return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events. `types` None are all; `customer_id` are those that are told to this customer."""

    types: tuple[str, ...] | None = None
    ticket_id: UUID | None = None
    customer_id: UUID | None = None


EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    next: Position
    more: bool


_e = events.c
_now_epoch = select(event_log.c.epoch).scalar_subquery()
_oldest_running = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())
_newest = func.pg_snapshot_xmax(func.pg_current_snapshot(), type_=Xid8())
_epoch = bindparam("epoch", type_=SmallInteger())
# Of an epoch that is over, everything is there.
_end = case((_epoch < _now_epoch, cast(literal(str(2**64 - 1), Text), Xid8())), else_=_oldest_running)
_range = (
    tuple_(_e.xid, _e.id) > tuple_(bindparam("xid", type_=Xid8()), bindparam("event_id", type_=_e.id.type)),
    _e.xid < _end,
)
# A higher feature's table, by name: whose a ticket is decides what its customer is told.
_tickets = table("tickets", column("id", Uuid), column("customer_id", Uuid))
_types = bindparam("types", type_=ARRAY(Text))
_customer = bindparam("customer_id", type_=Uuid)


def _hit(columns: Any) -> ColumnElement[bool]:
    owned = exists().where(_tickets.c.id == columns.ticket_id, _tickets.c.customer_id == _customer)
    return and_(
        columns.epoch == _epoch,
        or_(_types.is_(None), columns.type == any_(_types)),
        or_(_customer.is_(None), and_(~columns.internal, owned)),
    )


def _with_state(found: Any) -> Query:
    """What was found, with the state of the log beside it: one row at least, also where nothing was found."""
    return Query(
        select(
            _now_epoch.label("now_epoch"), _oldest_running.label("oldest"), _newest.label("newest"), found
        )
        .select_from(select(literal_column("1")).subquery("one").outerjoin(found, true()))
        .order_by(found.c.xid, found.c.id)
    )  # fmt: skip


def _walked() -> Query:
    """A stretch of the log, and of it what fits; its last row in any case."""
    place = func.row_number().over(order_by=(_e.xid, _e.id)).label("place")
    stretch = select(events, place).where(*_range).order_by(_e.xid, _e.id).limit(literal_column(str(STRETCH)))
    walked = stretch.subquery("walked")
    hit = _hit(walked.c)
    found = select(walked, hit.label("hit")).where(or_(hit, walked.c.place == literal_column(str(STRETCH))))
    return _with_state(found.order_by(walked.c.xid, walked.c.id).limit(bindparam("row_limit")).subquery("found"))


def _gathered() -> Query:
    """All of one ticket, sorted: behind an OFFSET, or PostgreSQL might walk the whole log for it."""
    its = select(events).where(_e.ticket_id == bindparam("ticket_id"), *_range).offset(literal_column("0"))
    gathered = its.subquery("gathered")
    found = select(gathered, literal(0).label("place"), literal(True, Boolean).label("hit")).where(_hit(gathered.c))
    return _with_state(found.order_by(gathered.c.xid, gathered.c.id).limit(bindparam("row_limit")).subquery("found"))


_WALK, _GATHER = _walked(), _gathered()
_SETTLE = Query(select(func.settle_event_epoch().label("epoch")))
_NOW = Query(select(_now_epoch.label("now_epoch"), _oldest_running.label("oldest")))


def parse_position(text: str, pointer: str) -> Position:
    """Raises UnknownPosition."""
    found = _POSITION.fullmatch(text)
    position = Position(*(int(part, 16) for part in found.groups())) if found else None
    if position is None or not 0 < position.epoch < 2**15 or position.id > _MOST:
        raise UnknownPosition.of(pointer)
    return position


def position_of(row: Values) -> Position:
    return Position(row["epoch"], row["xid"], row["id"])


async def read(tx: Transaction, after: Position, limit: int, wanted: Wanted = EVERYTHING) -> Page | None:
    """The next events, and where to go on; None where the position is not one of this log."""
    rows: list[Row] = []
    while True:
        page = await _page(tx, after, limit - len(rows), wanted)
        if page is None:
            return None
        rows += page.rows
        if page.next.epoch == after.epoch or len(rows) == limit:
            return Page(rows, page.next, page.more)
        after = page.next


async def _page(tx: Transaction, after: Position, limit: int, wanted: Wanted) -> Page | None:
    params: dict[str, Any] = {
        "epoch": after.epoch, "xid": after.xid, "event_id": after.id, "row_limit": limit + 1,
        "types": wanted.types, "customer_id": wanted.customer_id,
    }  # fmt: skip
    if wanted.ticket_id:
        found = await tx.rows(_GATHER, **params, ticket_id=wanted.ticket_id)
    else:
        found = await tx.rows(_WALK, **params)
    state = found[0]
    if after.epoch > state["now_epoch"] or (after.epoch == state["now_epoch"] and after.xid > state["newest"]):
        return None
    hits = [row for row in found if row["hit"]]
    if len(hits) > limit:
        return Page(hits[:limit], position_of(hits[limit - 1]), more=True)
    if found[-1]["place"] == STRETCH:
        last = found[-1]
        return Page(hits, Position(after.epoch, last["xid"], last["id"]), more=True)
    if after.epoch < state["now_epoch"]:
        return Page(hits, Position(after.epoch + 1, 0, 0), more=True)
    # Everything below the oldest running transaction was seen, and nothing will come there any more.
    return Page(hits, max(after, Position(after.epoch, state["oldest"], 0)), more=False)


async def end(tx: Transaction) -> Position:
    """Behind all that can be served now."""
    row = await tx.row(_NOW)
    assert row is not None
    return Position(row["now_epoch"], row["oldest"], 0)


async def settle_epoch(tx: Transaction) -> int:
    """The epoch in force; a new one begins where this is another server, or timeline, than the one that wrote last."""
    row = await tx.locked_row(_SETTLE)
    assert row is not None
    epoch: int = row["epoch"]
    return epoch
