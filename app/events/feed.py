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
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    column,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    tuple_,
)

from app.db import Query, Row, Transaction, Values
from app.errors import Invalid
from app.events.tables import Xid8, event_log, events

# How many rows a page looks at: it may be short, or empty, and have more after it.
STRETCH = 5_000
_POSITION = re.compile(r"([0-9a-f]{1,4})\.([0-9a-f]{1,16})\.([0-9a-f]{1,16})")
_MOST = 2**63 - 1
_MOST_XID = 2**64 - 1


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
_STATE = Query(
    select(
        select(event_log.c.epoch).scalar_subquery().label("epoch"),
        func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8()).label("oldest"),
        func.pg_snapshot_xmax(func.pg_current_snapshot(), type_=Xid8()).label("newest"),
    )
)
_epoch = bindparam("epoch", type_=SmallInteger())
_order = (_e.xid, _e.id)
_range = (
    tuple_(*_order) > tuple_(bindparam("xid", type_=Xid8()), bindparam("event_id", type_=_e.id.type)),
    _e.xid < bindparam("end", type_=Xid8()),
)
_limit: BindParameter[int] = bindparam("row_limit", type_=Integer)
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


def _walked() -> Query:
    """A stretch of the log, and of it what fits; its last row in any case."""
    place = func.row_number().over(order_by=_order).label("place")
    walked = (
        select(events, place).where(*_range).order_by(*_order).limit(literal_column(str(STRETCH))).subquery("walked")
    )
    hit = _hit(walked.c)
    fits = or_(hit, walked.c.place == literal_column(str(STRETCH)))
    return Query(select(walked, hit.label("hit")).where(fits).order_by(walked.c.xid, walked.c.id).limit(_limit))


def _gathered() -> Query:
    """All of one ticket, sorted: behind an OFFSET, or PostgreSQL might walk the whole log for it."""
    its = select(events).where(_e.ticket_id == bindparam("ticket_id"), *_range).offset(literal_column("0"))
    gathered = its.subquery("gathered")
    hit = literal(True, Boolean).label("hit")
    return Query(
        select(gathered, literal(0).label("place"), hit)
        .where(_hit(gathered.c))
        .order_by(gathered.c.xid, gathered.c.id)
        .limit(_limit)
    )


_WALK, _GATHER = _walked(), _gathered()
# Where everything fits, the page is the stretch.
_FOLLOW = Query(
    select(events, literal(0).label("place"), (_e.epoch == _epoch).label("hit"))
    .where(*_range)
    .order_by(*_order)
    .limit(_limit)
)
_SETTLE = Query(select(func.settle_event_epoch().label("epoch")))


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
    state = await _state(tx)
    # Below the oldest running transaction everything is there, and of an epoch that is over.
    end = state["oldest"] if after.epoch == state["epoch"] else _MOST_XID
    if after.epoch > state["epoch"] or (after.epoch == state["epoch"] and after.xid > state["newest"]):
        return None
    found = await _found(tx, after, end, limit + 1, wanted) if after.xid < end else []
    hits = [row for row in found if row["hit"]]
    if len(hits) > limit:
        return Page(hits[:limit], position_of(hits[limit - 1]), more=True)
    if found and (found[-1]["place"] == STRETCH or len(found) > limit):
        return Page(hits, Position(after.epoch, found[-1]["xid"], found[-1]["id"]), more=True)
    if after.epoch < state["epoch"]:
        return Page(hits, Position(after.epoch + 1, 0, 0), more=True)
    # Nothing will come there any more.
    return Page(hits, max(after, Position(after.epoch, end, 0)), more=False)


async def _found(tx: Transaction, after: Position, end: int, row_limit: int, wanted: Wanted) -> list[Row]:
    place: dict[str, Any] = {
        "epoch": after.epoch, "xid": after.xid, "event_id": after.id, "end": end, "row_limit": row_limit,
    }  # fmt: skip
    if wanted == EVERYTHING:
        return await tx.rows(_FOLLOW, **place)
    place |= {"types": wanted.types, "customer_id": wanted.customer_id}
    if wanted.ticket_id:
        return await tx.rows(_GATHER, **place, ticket_id=wanted.ticket_id)
    return await tx.rows(_WALK, **place)


async def _state(tx: Transaction) -> Row:
    state = await tx.row(_STATE)
    assert state is not None
    return state


async def end(tx: Transaction) -> Position:
    """Behind all that can be served now."""
    state = await _state(tx)
    return Position(state["epoch"], state["oldest"], 0)


async def settle_epoch(tx: Transaction) -> int:
    """The epoch in force; a new one begins where this is another server, or timeline, than the one that wrote last."""
    row = await tx.locked_row(_SETTLE)
    assert row is not None
    epoch: int = row["epoch"]
    return epoch
