"""What tickets say, as words: a document of each, made anew by the worker whenever the log tells of a change. No write
waits for it, and a search finds what was said a moment ago."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR, aggregate_order_by, insert

from app.customers.tables import customers
from app.db import Database, Query, Row, Transaction
from app.events import reader
from app.tickets.lifecycle import Visibility
from app.tickets.tables import attachments, messages, search_languages, ticket_search, tickets
from app.tickets.words import apart, folded, language

READER = "search"
_BATCH = 1_000
# Tickets of one statement: documents are large.
_CHUNK = 25
_ABOUT_TICKETS = ("ticket.", "message.", "attachment.")
_NOTHING = UUID(int=0)
# Of what is said on a ticket, so much is searched: the newest publicly said and as much of the notes, each on its own,
# so that no note shows by what it crowds out. A tsvector holds 1 MiB.
_CAP = 100_000
_MESSAGES, _FILES = 500, 200

_log = structlog.get_logger("ninety.search")
_t, _m, _a, _c = tickets.c, messages.c, attachments.c, customers.c


def _said(visibility: Visibility) -> ColumnElement[Any]:
    """The newest messages, newest first, until there are enough."""
    newest = (_m.created_at.desc(), _m.id.desc())
    some = (
        select(_m.body, _m.created_at, _m.id, func.sum(func.octet_length(_m.body)).over(order_by=newest).label("total"))
        .where(_m.ticket_id == _t.id, _m.visibility == visibility.value, _m.deleted_at.is_(None))
        .order_by(*newest)
        .limit(literal_column(str(_MESSAGES)))
        .correlate(tickets)
        .subquery()
    )
    bodies = func.array_agg(aggregate_order_by(some.c.body, some.c.created_at.desc(), some.c.id.desc()))
    enough = some.c.total - func.octet_length(some.c.body) < literal_column(str(_CAP))
    return select(bodies).where(enough).correlate(tickets).scalar_subquery().label(f"{visibility}_messages")


def _files(visibility: Visibility) -> ColumnElement[Any]:
    some: Select[tuple[str]] = (
        select(_a.name)
        .where(_a.ticket_id == _t.id, _a.visibility == visibility.value, _a.deleted_at.is_(None))
        .order_by(_a.created_at.desc())
        .limit(literal_column(str(_FILES)))
        .correlate(tickets)
    )
    return func.array(some.scalar_subquery(), type_=ARRAY(Text)).label(f"{visibility}_files")


_READ = Query(
    select(
        _t.id, _t.number, _t.subject, _t.external_id, _t.tags, _t.product, _c.name, _c.email, _c.language,
        _c.external_id.label("customer_external_id"),
        *(make(visibility) for visibility in Visibility for make in (_said, _files)),
    )
    .join(customers, _c.id == _t.customer_id)
    .where(_t.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
)  # fmt: skip
_OF_CUSTOMERS = Query(
    select(_t.id)
    .where(_t.customer_id == any_(bindparam("ids", type_=ARRAY(Uuid))), _t.id > bindparam("after"))
    .order_by(_t.id)
    .limit(literal_column(str(_BATCH)))
)

_COLUMNS = ("ticket_id", "name", "about", "public", "internal", "language")
_given = (
    func.unnest(*(bindparam(name, type_=ARRAY(Uuid if name == "ticket_id" else Text)) for name in _COLUMNS))
    .table_valued(*(column(name, Uuid if name == "ticket_id" else Text) for name in _COLUMNS), name="given")
    .render_derived()
)


def _vector(part: str, weight: str) -> ColumnElement[object]:
    """Words as they are and, where the language is known, as their stems."""
    words = func.to_tsvector(literal_column("'simple'::regconfig"), _given.c[part], type_=TSVECTOR)
    stems = func.to_tsvector(cast(_given.c.language, REGCONFIG), _given.c[part], type_=TSVECTOR)
    none = literal_column("''::tsvector", TSVECTOR)
    both = words.op("||")(case((_given.c.language.is_(None), none), else_=stems))
    return func.setweight(both, literal_column(f"'{weight}'"), type_=TSVECTOR)


_public = _vector("name", "A").op("||")(_vector("about", "B")).op("||")(_vector("public", "C"))
# Materialized, or the public half would be read twice.
_document = (
    select(_given.c.ticket_id, _public.label("public_words"), _vector("internal", "D").label("internal_words"))
    .cte("document")
    .prefix_with("MATERIALIZED")
)
_insert = insert(ticket_search).from_select(
    ["ticket_id", "all_words", "public_words"],
    select(
        _document.c.ticket_id,
        _document.c.public_words.op("||")(_document.c.internal_words),
        _document.c.public_words,
    ),
)
_WRITE = Query(
    _insert.on_conflict_do_update(
        index_elements=["ticket_id"],
        set_={name: _insert.excluded[name] for name in ("all_words", "public_words")},
    )
)
_names = func.unnest(bindparam("names", type_=ARRAY(Text))).column_valued("name")
_LANGUAGES = Query(insert(search_languages).from_select(["name"], select(_names)).on_conflict_do_nothing())


@dataclass(frozen=True, slots=True)
class Document:
    ticket_id: UUID
    name: str
    about: str
    public: str
    internal: str
    language: str | None

    def shortened(self, by: int) -> "Document":
        return Document(
            self.ticket_id, self.name, self.about, self.public[: _CAP // by], self.internal[: _CAP // by], self.language
        )


async def turn(db: Database) -> bool:
    """Bring a batch of the log into the index; whether there may be more."""
    return await db.run(_turn)


async def _turn(tx: Transaction) -> bool:
    batch = await reader.claim(tx, READER, _BATCH)
    if batch is None or not batch.events:
        return False
    events, within = batch.events, batch.within
    of_customers = [] if within else await _tickets_of(tx, events, _NOTHING)
    if within or len(of_customers) == _BATCH:
        # A customer may have very many tickets: their event is worked off by itself, a batch of tickets at a time.
        events = list(takewhile(lambda event: not _is_about_customer(event), events)) or events[:1]
        of_customers = await _tickets_of(tx, events, within or _NOTHING)
    direct = (event["ticket_id"] for event in events if event["ticket_id"] and event["type"].startswith(_ABOUT_TICKETS))
    await _index(tx, sorted({*direct, *of_customers}))
    if len(of_customers) == _BATCH:
        reader.stay(tx, READER, of_customers[-1])
        return True
    reader.advance(tx, READER, events[-1])
    return len(batch.events) == _BATCH or len(events) < len(batch.events)


def _is_about_customer(event: Row) -> bool:
    type_: str = event["type"]
    return type_.startswith("customer.") and type_ != "customer.created"


async def _tickets_of(tx: Transaction, events: Iterable[Row], after: UUID) -> list[UUID]:
    ids = list({event["subject_id"] for event in events if _is_about_customer(event)})
    return [row["id"] for row in await tx.rows(_OF_CUSTOMERS, ids=ids, after=after)] if ids else []


async def _index(tx: Transaction, ticket_ids: Sequence[UUID]) -> None:
    for start in range(0, len(ticket_ids), _CHUNK):
        rows = await tx.rows(_READ, ids=list(ticket_ids[start : start + _CHUNK]))
        documents = [_document_of(row) for row in rows]
        if not await _stored(tx, documents):
            for document in documents:
                await _index_alone(tx, document)


async def _index_alone(tx: Transaction, document: Document) -> None:
    """One ticket that cannot be read as words must not keep the others from being found."""
    for by in (1, 4, 16):
        if await _stored(tx, [document.shortened(by)]):
            return
    _log.warning("ticket_not_indexed", ticket_id=str(document.ticket_id))


async def _stored(tx: Transaction, documents: Sequence[Document]) -> bool:
    languages = sorted({document.language for document in documents if document.language})
    values = {name: [getattr(document, name) for document in documents] for name in _COLUMNS}
    try:
        async with tx.nested(savepoint=True):
            if languages:
                await tx.rows(_LANGUAGES, names=languages)
            await tx.rows(_WRITE, **values)
    except asyncpg.PostgresError:
        return False
    return True


def _document_of(row: Row) -> Document:
    email = row["email"] or ""
    name = (str(row["number"]), row["subject"], row["external_id"])
    about = (*row["tags"], row["product"], row["name"], email, apart(email), row["customer_external_id"])
    public, internal = (_joined(_said_on(row, visibility)) for visibility in (Visibility.public, Visibility.internal))
    return Document(row["id"], _joined(name), _joined(about), public, internal, language(row["language"]))


def _said_on(row: Row, visibility: Visibility) -> Iterator[str]:
    files: list[str] = row[f"{visibility}_files"]
    yield from (*files, *map(apart, files), *(row[f"{visibility}_messages"] or ()))


def _joined(parts: Iterable[str | None]) -> str:
    return folded("\n".join(part for part in parts if part))[:_CAP]
