"""Lists by keyset: a page costs the same wherever it lies, and rows that are there throughout appear exactly once. In
an order in which rows move they appear at least once: what moves ahead of a walk comes again, and a list in which it
moves back ends with what has changed since the walk began.

A cursor is the sort key of the last row seen, signed together with the list and order it belongs to, so that it can
neither be made up nor carried over to another list."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Executable,
    Integer,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, array
from starlette.requests import Request
from starlette.responses import Response

from app.db import Query, Row, Transaction
from app.errors import Invalid

Limit = Annotated[int, Field(ge=1, le=200, description="How many items at most.")]
Cursor = Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before.")]


class PageQuery(BaseModel):
    """The query of every list. Unknown parameters are refused: a misspelt filter must not list everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Limit = 50
    cursor: Cursor = None


@dataclass(frozen=True, slots=True)
class Order:
    """Columns to sort by, the last one unique; all of them in one direction, so that one row comparison continues."""

    columns: tuple[ColumnElement[Any], ...]
    descending: bool = False

    @property
    def by(self) -> list[ColumnElement[Any]]:
        return [c.desc() if self.descending else c.asc() for c in self.columns]

    def over(self, columns: Any) -> "Order":
        """The same order of a subquery's columns."""
        return Order(tuple(columns[column.key or ""] for column in self.columns), self.descending)


# A page ends early with the row in which its bytes reach this; and what a row takes beside its texts, as a guess.
MOST_PAGE_BYTES = 2 * 1024 * 1024
_ROW_BYTES = 500


def page_of(rows: Select[Any]) -> Select[Any]:
    """The first `row_limit` of the rows, and of those no more than have `MOST_PAGE_BYTES`; one in any case. What is
    left out is never read from where PostgreSQL keeps large values: their sizes are told without."""
    found = rows.limit(bindparam("row_limit", type_=Integer)).subquery("page")
    sizes: ColumnElement[int] = literal_column(str(_ROW_BYTES), Integer)
    for column in found.c:
        if (size := _bytes_of(column)) is not None:
            sizes = sizes + func.coalesce(size, 0)
    before = (func.sum(sizes).over(rows=(None, 0)) - sizes).label("bytes_before")
    sized = select(*found.c, func.count().over().label("page_rows"), before).subquery("sized")
    kept = [column for column in sized.c if column.name != "bytes_before"]
    return select(*kept).where(sized.c.bytes_before < literal_column(str(MOST_PAGE_BYTES)))


class Room:
    """What an answer still has room for, where it tells of many things that no page was made of."""

    def __init__(self) -> None:
        self._left = MOST_PAGE_BYTES

    def holds(self, shown: Mapping[str, Any] | Row) -> bool:
        """Whether this, as it will be shown, goes into the answer; it takes its room then. The first always does."""
        fits = self._left > 0
        if fits:
            self._left -= len(orjson.dumps(dict(shown), default=str, option=orjson.OPT_NON_STR_KEYS))
        return fits


def first_of(rows: list[Row], limit: int) -> tuple[list[Row], bool]:
    """The rows of a page that was asked for one row more, and whether there are more."""
    if len(rows) > limit:
        return rows[:limit], True
    return rows, bool(rows) and rows[0]["page_rows"] > len(rows)


def _bytes_of(column: ColumnElement[Any]) -> ColumnElement[int] | None:
    if isinstance(column.type, Text):
        return func.octet_length(column)
    if isinstance(column.type, JSONB):
        packed = func.pg_column_compression(column).is_not(None)
        return case((packed, func.octet_length(cast(column, Text))), else_=func.pg_column_size(column))
    return func.pg_column_size(column) if isinstance(column.type, ARRAY) else None


Clause = Callable[[str, object], ColumnElement[bool]]
Where = Mapping[str, object]
Key = Sequence[object]
# Whoever asks in every way there is must not fill the memory.
_MOST_COMPILED = 1_000


def is_any(column: ColumnElement[Any]) -> Clause:
    """Equals one of the given values. One value alone becomes `=`, which keeps the order of an index behind it."""

    def clause(name: str, value: object) -> ColumnElement[bool]:
        if isinstance(value, tuple):
            return column == any_(bindparam(name, type_=ARRAY(column.type)))
        return column == bindparam(name, type_=column.type)

    return clause


def compares(column: ColumnElement[Any], op: Callable[[Any, Any], Any]) -> Clause:
    return lambda name, _value: op(column, bindparam(name, type_=column.type))


def is_any_folded(column: ColumnElement[Any]) -> Clause:
    """As `is_any`, whatever case, width and Unicode form: `fold_text` of the database, which an index holds."""
    folded = func.fold_text(column, type_=Text)

    def clause(name: str, value: object) -> ColumnElement[bool]:
        if isinstance(value, tuple):
            return folded == any_(fold_texts(bindparam(name, type_=ARRAY(Text))))
        return folded == func.fold_text(bindparam(name, type_=Text), type_=Text)

    return clause


def overlaps_folded(column: ColumnElement[Any]) -> Clause:
    """Has one of the given values in an array column, compared as by `is_any_folded`."""
    return lambda name, value: fold_texts(column).bool_op("&&")(fold_texts(texts_of(name, value)))


def fold_texts(texts: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.fold_texts(texts, type_=ARRAY(Text))


def texts_of(name: str, value: object) -> ColumnElement[Any]:
    """The one value of a parameter, or its several, as an array."""
    return bindparam(name, type_=ARRAY(Text)) if isinstance(value, tuple) else array([bindparam(name, type_=Text)])


class Listing:
    """A select that can be filtered, ordered and continued. Each combination is compiled once."""

    def __init__(
        self, name: str, select: Select[Any], filters: Mapping[str, Clause], orders: Mapping[str, Order]
    ) -> None:
        self.name = name
        self._select = select
        self._filters = filters
        self._orders = orders
        self._compiled: dict[tuple[object, ...], Query] = {}

    async def rows(self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None) -> list[Row]:
        given = self._given(where)

        def make() -> Select[Any]:
            select = self._select.where(*self._clauses(given))
            return page_of(self._ordered(select, self._orders[order], after))

        return await self._ask(tx, order, given, make, after, row_limit=limit)

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        """The rows of a page, and the key after which the next one goes on; None where the list ends."""
        return self._cut(await self.rows(tx, where, order, limit + 1, after), order, limit)

    def key_of(self, row: Row, order: str) -> list[object]:
        return [row[column.key or ""] for column in self._orders[order].columns]

    def _cut(self, rows: list[Row], order: str, limit: int) -> tuple[list[Row], Key | None]:
        rows, more = first_of(rows, limit)
        return rows, self.key_of(rows[-1], order) if more else None

    @staticmethod
    def _given(where: Where) -> dict[str, object]:
        return {name: _single(value) for name, value in where.items() if value is not None}

    def _clauses(self, given: Where) -> list[ColumnElement[bool]]:
        return [self._filters[name](name, value) for name, value in given.items()]

    @staticmethod
    def _ordered(select: Select[Any], order: Order, after: Key | None) -> Select[Any]:
        if after is not None:
            key = tuple_(*order.columns)
            last = tuple_(*(bindparam(f"after_{n}", type_=c.type) for n, c in enumerate(order.columns)))
            select = select.where(key < last if order.descending else key > last)
        return select.order_by(*order.by)

    async def _ask(
        self,
        tx: Transaction,
        kind: object,
        given: Where,
        make: Callable[[], Executable],
        after: Key | None = None,
        **params: object,
    ) -> list[Row]:
        """The rows of the select that `make` makes for this kind of question and these filters."""
        shape = (kind, tuple((name, isinstance(value, tuple)) for name, value in given.items()), after is not None)
        query = self._compiled.get(shape)
        if query is None:
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            query = self._compiled[shape] = Query(make())
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        keys = {f"after_{n}": value for n, value in enumerate(after or ())}
        return await tx.rows(query, **params, **values, **keys)


def _single(value: object) -> object:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


async def page(
    request: Request,
    response: Response,
    tx: Transaction,
    listing: Listing,
    query: PageQuery,
    where: Mapping[str, object],
    order: str,
    about: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """One page of `listing`, with its `Link` header. Raises Invalid on a cursor that is not of this list and order.
    `about` is what the cursor belongs to, where that is not what the rows are filtered by."""
    signer: Signer = request.app.state.cursors
    # The filters belong to it: a cursor of one ticket's messages is foreign to another's.
    given = sorted((name, str(value)) for name, value in (about or where).items() if value is not None)
    signed = f"{listing.name} {order} {given}"
    after = signer.read(signed, query.cursor) if query.cursor else None
    rows, last = await listing.fetch(tx, where, order, query.limit, after)
    cursor = None
    if last is not None:
        cursor = signer.sign(signed, last)
        asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        response.headers["Link"] = f'<{request.scope["path"]}?{urlencode([*asked, ("cursor", cursor)])}>; rel="next"'
    return {"items": [dict(row) for row in rows], "next_cursor": cursor}


class Signer:
    """Makes and reads cursors with a key that all processes of one installation share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, about: str, values: Sequence[object]) -> str:
        body = orjson.dumps([_packed(value) for value in values])
        mac = self._mac(about, body)
        return base64.urlsafe_b64encode(mac + self._masked(mac, body)).rstrip(b"=").decode()

    def read(self, about: str, cursor: str) -> list[object]:
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError:
            data = b""
        mac = data[:16]
        body = self._masked(mac, data[16:])
        if not hmac.compare_digest(mac, self._mac(about, body)):
            raise Invalid.at(
                "/query/cursor", "bad_cursor", "take the cursor from next_cursor of this very list and order"
            )
        return [_UNPACK[kind](text) for kind, text in orjson.loads(body)]

    def _masked(self, mac: bytes, body: bytes) -> bytes:
        """Hidden, or shown again: a key may hold what its reader does not see of the row, as its place in a log."""
        stream = hashlib.shake_256(self._key + b"mask" + mac).digest(len(body))
        return bytes(one ^ other for one, other in zip(body, stream, strict=True))

    def _mac(self, about: str, body: bytes) -> bytes:
        return hmac.digest(self._key, about.encode() + b"\0" + body, hashlib.sha256)[:16]


_UNPACK: dict[str, Callable[[str], object]] = {"t": datetime.fromisoformat, "u": UUID, "i": int, "f": float, "s": str}


def _packed(value: object) -> tuple[str, str]:
    if isinstance(value, datetime):
        return "t", value.isoformat()
    # asyncpg's UUID is a subclass of uuid.UUID.
    kinds = {"u": UUID, "i": int, "f": float}
    return next((kind for kind, type_ in kinds.items() if isinstance(value, type_)), "s"), str(value)
