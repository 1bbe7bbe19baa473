"""What tickets say, as words: a document of each, made anew by the worker whenever the log tells of a change. No write
waits for it, and a search finds what was said a moment ago. Where a release cuts words in another way, its migration
asks for all documents anew, and the worker makes them whenever the log leaves it time."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR, aggregate_order_by, insert

from app.customers.tables import customers
from app.db import Database, Query, Row, Transaction
from app.events import reader
from app.knowledge import articles
from app.search.tables import search_languages, ticket_search
from app.search.text import BREAK, folded, language, stemmable, vector
from app.statements import rows_of
from app.tickets.lifecycle import Visibility
from app.tickets.tables import attachments, messages, tickets

READER = "search"
# Where there is a reader of this name, the documents of all tickets up to its `within` have been made anew.
REBUILD = "search rebuild"
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
_other = customers.alias("other")


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


_names_of = func.concat_ws(literal_column("E'\\n'"), _other.c.name, _other.c.email, _other.c.external_id)
# By what they were called before it turned out who they are.
_merged = select(_names_of).where(_other.c.merged_into == _c.id).correlate(customers)
_READ = Query(
    select(
        _t.id, _t.number, _t.subject, _t.external_id, _t.old_number, _t.tags, _t.product, _c.name, _c.email,
        _c.language, _c.external_id.label("customer_external_id"),
        func.array(_merged.scalar_subquery(), type_=ARRAY(Text)).label("merged_names"),
        *(make(visibility) for visibility in Visibility for make in (_said, _files)),
    )
    .join(customers, _c.id == _t.customer_id)
    .where(_t.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
)  # fmt: skip
# A document's first row refers to its ticket. Tickets come before documents, and so they are asked for together.
_LOCK_NEW = Query(
    select(_t.id)
    .where(_t.id == any_(bindparam("ids", type_=ARRAY(Uuid))), ~exists().where(ticket_search.c.ticket_id == _t.id))
    .order_by(_t.id)
    .with_for_update(read=True, key_share=True)
)
_OF_CUSTOMERS = Query(
    select(_t.id)
    .where(_t.customer_id == any_(bindparam("ids", type_=ARRAY(Uuid))), _t.id > bindparam("after"))
    .order_by(_t.id)
    .limit(literal_column(str(_BATCH)))
)
_NEXT = Query(select(_t.id).where(_t.id > bindparam("after")).order_by(_t.id).limit(literal_column(str(_BATCH))))

# The words as they are come as the literals of tsvectors; the languages get the words that they bend, part by part.
_PARTS = {"name": "A", "about": "B", "public": "C", "known": "B", "internal": "D"}
# What no customer searches in: notes, tags, and whose ticket it is.
_STAFFS = ("known", "internal")
_COLUMNS = ("ticket_id", "language", "public_words", "internal_words", *_PARTS)
_given = rows_of({name: Uuid if name == "ticket_id" else Text for name in _COLUMNS}, "given")


def _words(name: str, parts: Iterable[str]) -> ColumnElement[Any]:
    """Words as they are and, where the language is known, as their stems."""
    words: ColumnElement[Any] = cast(_given.c[name], TSVECTOR)
    none = literal_column("''::tsvector", TSVECTOR)
    for part in parts:
        stems = func.to_tsvector(cast(_given.c.language, REGCONFIG), _given.c[part], type_=TSVECTOR)
        weighed = func.setweight(stems, literal_column(f"'{_PARTS[part]}'"), type_=TSVECTOR)
        words = words.op("||")(case((_given.c.language.is_(None), none), else_=weighed))
    return words


_public = _words("public_words", ("name", "about", "public"))
# Materialized, or the public half would be read twice.
_document = (
    select(
        _given.c.ticket_id,
        _public.label("public_words"),
        _words("internal_words", _STAFFS).label("internal_words"),
    )
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
    """The parts of a ticket as folded texts."""

    ticket_id: UUID
    language: str | None
    name: str
    about: str
    public: str
    known: str
    internal: str

    def shortened(self, by: int) -> "Document":
        return replace(self, public=self.public[: _CAP // by], internal=self.internal[: _CAP // by])

    def columns(self) -> tuple[object, ...]:
        texts = {part: getattr(self, part) for part in _PARTS}
        public = vector((_PARTS[part], text) for part, text in texts.items() if part not in _STAFFS)
        internal = vector([(_PARTS["known"], self.known), ("", self.internal)])
        stems = (stemmable(text) if self.language else "" for text in texts.values())
        return (self.ticket_id, self.language, public, internal, *stems)


async def run_once(db: Database) -> bool:
    """Bring a batch of the log into the index or, where it has no more to tell, make a batch of documents anew; whether
    there may be more."""
    return await db.run(lambda tx: reader.read_on(tx, READER, _BATCH, _bring)) or await db.run(_rebuild)


async def _bring(tx: Transaction, events: list[Row], within: UUID | None) -> reader.Part | None:
    some = events
    of_customers = [] if within else await _tickets_of(tx, some, _NOTHING)
    if within or len(of_customers) == _BATCH:
        # A customer may have very many tickets: their event is worked off by itself, a batch of tickets at a time.
        some = list(takewhile(lambda event: not _is_about_customer(event), events)) or events[:1]
        of_customers = await _tickets_of(tx, some, within or _NOTHING)
    direct = (event["ticket_id"] for event in some if event["ticket_id"] and event["type"].startswith(_ABOUT_TICKETS))
    await _index(tx, sorted({*direct, *of_customers}))
    if len(of_customers) == _BATCH:
        return reader.Part(0, of_customers[-1])
    return reader.Part(len(some)) if len(some) < len(events) else None


async def _rebuild(tx: Transaction) -> bool:
    """A batch of all tickets, in the order of their ids; whether there may be more."""
    position = await reader.within(tx, REBUILD)
    if position is None:
        return False
    # So that nobody writes a newer document meanwhile.
    await reader.hold(tx, READER)
    ids = [row["id"] for row in await tx.rows(_NEXT, after=position)]
    await _index(tx, ids)
    if len(ids) == _BATCH:
        reader.stay(tx, REBUILD, ids[-1])
        return True
    await articles.write_all_words(tx)
    await reader.end(tx, REBUILD)
    return False


def _is_about_customer(event: Row) -> bool:
    type_: str = event["type"]
    return type_.startswith("customer.") and type_ != "customer.created"


async def _tickets_of(tx: Transaction, events: Iterable[Row], after: UUID) -> list[UUID]:
    ids = list({event["subject_id"] for event in events if _is_about_customer(event)})
    return [row["id"] for row in await tx.rows(_OF_CUSTOMERS, ids=ids, after=after)] if ids else []


async def _index(tx: Transaction, ticket_ids: Sequence[UUID]) -> None:
    await tx.locked_rows(_LOCK_NEW, ids=list(ticket_ids))
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
    # Long texts take a while, and others have requests to answer meanwhile.
    rows = await asyncio.to_thread(lambda: [document.columns() for document in documents])
    values = {name: [row[place] for row in rows] for place, name in enumerate(_COLUMNS)}
    try:
        async with tx.nested(savepoint=True):
            if languages:
                await tx.rows(_LANGUAGES, names=languages)
            await tx.rows(_WRITE, **values)
    except asyncpg.PostgresError:
        return False
    return True


def _document_of(row: Row) -> Document:
    name = (str(row["number"]), row["subject"], row["external_id"], row["old_number"])
    known = (*row["tags"], row["name"], row["email"], row["customer_external_id"], *row["merged_names"])
    public, internal = (_joined(_said_on(row, visibility)) for visibility in (Visibility.public, Visibility.internal))
    about = row["product"] or ""
    return Document(
        row["id"], language(row["language"]), _joined(name), _joined([about]), public, _joined(known), internal
    )


def _said_on(row: Row, visibility: Visibility) -> Iterator[str]:
    yield from (*row[f"{visibility}_files"], *(row[f"{visibility}_messages"] or ()))


def _joined(parts: Iterable[str | None]) -> str:
    return folded(BREAK.join(part for part in parts if part))[:_CAP]
