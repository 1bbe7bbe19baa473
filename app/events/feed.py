"""The log in order, from a position on: nothing is skipped, and nothing comes twice.

An id is given at insert and seen at commit, so the order is (xid, id), and what is served stays below the oldest
transaction that still runs. Ids of transactions mean something on one server and timeline only: a database that was
restored elsewhere, or failed over, goes on in the next epoch (`settle_epoch`). Positions are (epoch, xid, id), so that
one of an older epoch goes on with what is left of that, and then with all that was written since."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from app.db import Query, Row, Transaction, Values
from app.errors import Invalid
from app.events.tables import Snapshot, Xid8, event_log, events
from app.events.ticket_readers import TICKETS, customer_sees
from app.web.paging import first_of, page_of

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
        """Of a fixed width, so that positions sort as text in the order of the feed."""
        return f"{self.epoch:04x}.{self.xid:016x}.{self.id:016x}"


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
    """Which events. `types` None are all; `customer_id` are those that are told to this customer; `since` and `until`
    are bounds of the instant at which they were written, `until` excluded."""

    types: tuple[str, ...] | None = None
    ticket_id: UUID | None = None
    customer_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Wanted()


class Mark(NamedTuple):
    """What was committed at some instant, to the very transaction: a position says so of the oldest running one only,
    and an instant of none."""

    epoch: int
    snapshot: tuple[int, int, tuple[int, ...]]

    def covers(self, event: Row) -> bool:
        """Whether whoever read everything then has seen this."""
        if event["epoch"] != self.epoch:
            return bool(event["epoch"] < self.epoch)
        oldest, next_, running = self.snapshot
        return bool(event["xid"] < oldest or (event["xid"] < next_ and event["xid"] not in running))


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
_MARK = Query(
    select(
        select(event_log.c.epoch).scalar_subquery().label("epoch"),
        func.pg_current_snapshot(type_=Snapshot()).label("snapshot"),
    )
)
# The epoch first, as in the index: rows of other epochs are never looked at, however their transactions were numbered.
_order = (_e.xid, _e.id)
_place = tuple_(bindparam("xid", type_=Xid8()), bindparam("event_id", type_=_e.id.type))
_in_epoch = _e.epoch == bindparam("epoch", type_=SmallInteger())
_range = (_in_epoch, tuple_(*_order) > _place, _e.xid < bindparam("end", type_=Xid8()))
_range_back = (_in_epoch, tuple_(*_order) < _place)
_types = bindparam("types", type_=ARRAY(Text))
_customer = bindparam("customer_id", type_=Uuid)
_since, _until = (bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "until"))


def _hit(columns: Any) -> ColumnElement[bool]:
    seen = exists().where(TICKETS.c.id == columns.ticket_id, customer_sees(TICKETS.c, _customer))
    return and_(
        or_(_types.is_(None), columns.type == any_(_types)),
        or_(_customer.is_(None), and_(~columns.internal, seen)),
        or_(_since.is_(None), columns.recorded_at >= _since),
        or_(_until.is_(None), columns.recorded_at < _until),
    )


def _ordered(columns: Any, *, back: bool) -> list[ColumnElement[Any]]:
    order = [columns.xid, columns.id]
    return [each.desc() for each in order] if back else order


def _walked(*, back: bool) -> Query:
    """Scan a stretch of the log and keep the rows that match; its last row in any case."""
    order = _ordered(_e, back=back)
    place = func.row_number().over(order_by=order).label("place")
    within = _range_back if back else _range
    scanned = select(events, place).where(*within).order_by(*order)
    walked = scanned.limit(literal_column(str(STRETCH))).subquery("walked")
    hit = _hit(walked.c)
    fits = or_(hit, walked.c.place == literal_column(str(STRETCH)))
    return Query(page_of(select(walked, hit.label("hit")).where(fits).order_by(*_ordered(walked.c, back=back))))


def _gathered(*, back: bool) -> Query:
    """All of one ticket, sorted: behind an OFFSET, or PostgreSQL might walk the whole log for it."""
    within = _range_back if back else _range
    its = select(events).where(_e.ticket_id == bindparam("ticket_id"), *within).offset(literal_column("0"))
    gathered = its.subquery("gathered")
    hit = literal(True, Boolean).label("hit")
    found = select(gathered, literal(0).label("place"), hit).where(_hit(gathered.c))
    return Query(page_of(found.order_by(*_ordered(gathered.c, back=back))))


def _followed(*, back: bool) -> Query:
    """Without a filter the page is the stretch."""
    all_of_it = select(events, literal(0).label("place"), literal(True, Boolean).label("hit"))
    return Query(page_of(all_of_it.where(*(_range_back if back else _range)).order_by(*_ordered(_e, back=back))))


_WALK, _GATHER, _FOLLOW = (
    {back: made(back=back) for back in (False, True)} for made in (_walked, _gathered, _followed)
)
_FIRST_SINCE = Query(
    select(_e.epoch, _e.xid, _e.id)
    .where(_e.recorded_at >= bindparam("since", type_=DateTime(timezone=True)))
    .order_by(_e.epoch, _e.xid, _e.id)
    .limit(literal_column("1"))
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
    """The next events, and where to go on; None where the position is not one of this log. An epoch that has no more
    to give is left at once: a page is empty only where nothing fits."""
    state = await _state(tx)
    if _is_ahead(after, state):
        # This may be another server since a moment ago, whose transactions have lower numbers.
        await settle_epoch(tx)
        state = await _state(tx)
        if _is_ahead(after, state):
            return None
    rows: list[Row] = []
    while True:
        page = await _page(tx, state, after, limit - len(rows), wanted)
        rows += page.rows
        if page.next.epoch == after.epoch or len(rows) == limit:
            return Page(rows, page.next, page.more)
        after = page.next


def _is_ahead(after: Position, state: Row) -> bool:
    return after.epoch > state["epoch"] or bool(after.epoch == state["epoch"] and after.xid > state["newest"])


async def _page(tx: Transaction, state: Row, after: Position, limit: int, wanted: Wanted) -> Page:
    """Of one epoch."""
    # Below the oldest running transaction everything is there, and of an epoch that is over.
    end = state["oldest"] if after.epoch == state["epoch"] else _MOST_XID
    found = await _found(tx, after, end, limit + 1, wanted) if after.xid < end else []
    hits = [row for row in found if row["hit"]]
    if len(hits) > limit:
        return Page(hits[:limit], position_of(hits[limit - 1]), more=True)
    if _goes_on(found, limit):
        return Page(hits, position_of(found[-1]), more=True)
    if after.epoch < state["epoch"]:
        return Page(hits, Position(after.epoch + 1, 0, 0), more=True)
    # Nothing will come there any more.
    return Page(hits, max(after, Position(after.epoch, end, 0)), more=False)


def _goes_on(found: list[Row], limit: int) -> bool:
    """Whether there is more behind what was found of an epoch: behind the stretch, the limit or the bytes of a page."""
    rows, more = first_of(found, limit)
    return more or bool(rows and rows[-1]["place"] == STRETCH)


async def _found(
    tx: Transaction, after: Position, end: int, row_limit: int, wanted: Wanted, *, back: bool = False
) -> list[Row]:
    place: dict[str, Any] = {
        "epoch": after.epoch, "xid": after.xid, "event_id": after.id, "row_limit": row_limit,
    }  # fmt: skip
    if not back:
        place["end"] = end
    if wanted == EVERYTHING:
        return await tx.rows(_FOLLOW[back], **place)
    place |= {
        "types": wanted.types, "customer_id": wanted.customer_id, "since": wanted.since, "until": wanted.until,
    }  # fmt: skip
    if wanted.ticket_id:
        return await tx.rows(_GATHER[back], **place, ticket_id=wanted.ticket_id)
    return await tx.rows(_WALK[back], **place)


async def read_back(tx: Transaction, before: Position | None, limit: int, wanted: Wanted = EVERYTHING) -> Page | None:
    """The events before a position, or the newest ones, newest first; None where the position is not one of this log.
    `next` is where to go on towards older ones."""
    state = await _state(tx)
    newest = Position(state["epoch"], state["oldest"], 0)
    if before is not None and _is_ahead(before, state):
        return None
    before = min(before or newest, newest)
    rows: list[Row] = []
    while True:
        found = await _found(tx, before, 0, limit - len(rows) + 1, wanted, back=True)
        hits = [row for row in found if row["hit"]]
        room = limit - len(rows)
        if len(hits) > room:
            return Page([*rows, *hits[:room]], position_of(hits[room - 1]) if room else before, more=True)
        rows += hits
        if _goes_on(found, room):
            return Page(rows, position_of(found[-1]), more=True)
        if before.epoch == START.epoch:
            return Page(rows, START, more=False)
        before = Position(before.epoch - 1, _MOST_XID, _MOST)


async def first_since(tx: Transaction, since: datetime) -> Position:
    """The position before the first event, in the order of the feed, that was written at or after an instant."""
    row = await tx.row(_FIRST_SINCE, since=since)
    return Position(row["epoch"], row["xid"], row["id"] - 1) if row else await end(tx)


async def _state(tx: Transaction) -> Row:
    state = await tx.row(_STATE)
    assert state is not None
    return state


async def end(tx: Transaction) -> Position:
    """Behind all that can be served now."""
    state = await _state(tx)
    return Position(state["epoch"], state["oldest"], 0)


async def mark(tx: Transaction) -> Mark:
    """What is committed by now."""
    row = await tx.row(_MARK)
    assert row is not None
    return Mark(row["epoch"], row["snapshot"])


async def settle_epoch(tx: Transaction) -> int:
    """The epoch in force; a new one begins where this is another server, or timeline, than the one that wrote last."""
    row = await tx.locked_row(_SETTLE)
    assert row is not None
    epoch: int = row["epoch"]
    return epoch
