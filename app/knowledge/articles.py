"""Articles: short answers, each in one language. They are few and small, so that their words are written with them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, TSVECTOR, insert

from app.auth.dependencies import Actor, check_lead
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.events.resource import Resource
from app.knowledge.schemas import ArticleIn, ArticlePatch, ArticleQuery
from app.knowledge.tables import article_terms, article_words, articles
from app.search import query as search_query
from app.search.tables import search_languages
from app.search.text import BREAK, folded, language, spaced, vector
from app.segments import service as segments
from app.segments.membership_rows import segments_of
from app.web.paging import Clause, Listing, Order, is_any, overlaps_folded
from app.web.schemas import fold

_a, _w = articles.c, article_words.c
_COLUMNS = ["key", "title", "body", "language", "tags", "segment_ids", "active"]
ARTICLES = Resource(articles, "article", _COLUMNS, derived=["key_folded"])
# The configuration of a language that PostgreSQL does not know.
PLAIN = "simple"
_ALL = Query(ARTICLES.select.order_by(_a.id).with_for_update())
_ARCHIVE = Query(update(articles).where(_a.id == bindparam("key_id")), ["archived_at"])


def _stems(part: str, weight: str) -> ColumnElement[Any]:
    configuration = cast(bindparam("configuration", type_=Text), REGCONFIG)
    words = func.to_tsvector(configuration, bindparam(part, type_=Text), type_=TSVECTOR)
    return func.setweight(words, literal_column(f"'{weight}'"), type_=TSVECTOR)


_words = (
    _stems("title", "A")
    .op("||")(_stems("tagged", "B"))
    .op("||")(_stems("body", "C"))
    .op("||")(cast(bindparam("whole", type_=Text), TSVECTOR))
)
_write = insert(article_words).values(
    article_id=bindparam("id"),
    configuration=bindparam("configuration", type_=Text),
    words=_words,
    title_terms=func.length(_stems("title", "A")),
)
_WRITE_WORDS = Query(
    _write.on_conflict_do_update(
        index_elements=["article_id"],
        set_={name: _write.excluded[name] for name in ("configuration", "words", "title_terms")},
    )
)
_FORGET_TERMS = Query(delete(article_terms).where(article_terms.c.article_id == bindparam("key_id")))
_its = (
    func.unnest(_w.words)
    .table_valued(column("lexeme", Text), column("positions"), column("weights", ARRAY(Text)), name="its")
    .render_derived()
)
_most_prominent: Select[Any] = select(func.min(column("place"))).select_from(func.unnest(_its.c.weights).alias("place"))
_WRITE_TERMS = Query(
    insert(article_terms).from_select(
        ["configuration", "lexeme", "article_id", "place"],
        select(_w.configuration, _its.c.lexeme, _w.article_id, _most_prominent.scalar_subquery())
        .select_from(article_words.join(_its, true()))
        .where(_w.article_id == bindparam("key_id"), _its.c.weights.bool_op("&&")(literal_column("'{A,B,C}'::text[]"))),
    )
)
_LANGUAGE = Query(insert(search_languages).on_conflict_do_nothing(), ["name"])


def main_language(tag: ColumnElement[str]) -> ColumnElement[str]:
    return func.split_part(tag, literal_column("'-'"), literal_column("1"), type_=Text)


def for_members(segment_ids: ColumnElement[Any]) -> ColumnElement[bool]:
    """What is for everybody, or for who belongs to one of these segments."""
    return or_(func.cardinality(_a.segment_ids) == literal_column("0"), _a.segment_ids.bool_op("&&")(segment_ids))


def _for_customer(name: str, _value: object) -> ColumnElement[bool]:
    return for_members(segments_of(bindparam(name, type_=Uuid)))


def _in_language(name: str, value: object) -> ColumnElement[bool]:
    return or_(is_any(_a.language)(name, value), is_any(main_language(_a.language))(name, value))


def _has_words(name: str, _value: object) -> ColumnElement[bool]:
    asked = bindparam(name, type_=TSQUERY)
    return _a.id.in_(select(_w.article_id).where(_w.words.bool_op("@@")(asked)))


_FILTERS: dict[str, Clause] = {
    "active": is_any(_a.active),
    "language": _in_language,
    "tag": overlaps_folded(_a.tags),
    "q": _has_words,
    "for_customer": _for_customer,
}
LISTING = Listing(
    "articles",
    ARTICLES.select.where(_a.archived_at.is_(None)),
    _FILTERS,
    {"created_at": Order((_a.created_at, _a.id))},
)


_GET_FOR_CUSTOMER = Query(
    ARTICLES.select.where(
        _a.id == bindparam("key_id"),
        _a.active,
        _a.archived_at.is_(None),
        _for_customer("customer_id", None),
    )
)


class ArticleArchived(Conflict):
    """An archived article stays as it is. Its key may be used again."""

    code = "article_archived"
    title = "The article is archived"


async def asked(tx: Transaction, actor: Actor, query: ArticleQuery) -> dict[str, object] | None:
    """What a list is filtered by; None where nothing can be found."""
    if actor.is_customer and query.active is False:
        return None
    where: dict[str, object] = {"language": query.language, "tag": query.tag, "active": query.active}
    if actor.is_customer:
        where |= {"active": True, "for_customer": actor.customer_id}
    if query.q is not None:
        sought = await search_query.read(tx, query.q)
        if sought is None:
            return None
        where["q"] = sought.query
    return where


async def get_article(tx: Transaction, actor: Actor, id: UUID) -> Row:
    """Raises NotFound, also for what is not a customer's to see."""
    if not actor.is_customer:
        return await ARTICLES.get(tx, id)
    row = await tx.row(_GET_FOR_CUSTOMER, key_id=id, customer_id=actor.customer_id)
    if row is None:
        raise NotFound("there is no article with this id")
    return row


async def create_article(tx: Transaction, actor: Actor, body: ArticleIn) -> Row:
    _check_writer(actor, published=body.active)
    await _check_segments(tx, body.segment_ids)
    row = await ARTICLES.create(tx, actor, {**body.model_dump(), "key_folded": fold(body.key)})
    await _write_words(tx, row)
    return row


async def change_article(tx: Transaction, actor: Actor, id: UUID, patch: ArticlePatch, if_match: str | None) -> Row:
    _check_writer(actor)
    before = await ARTICLES.locked(tx, id, if_match)
    if before["archived_at"] is not None:
        raise ArticleArchived("write a new one")
    values = patch.model_dump()
    _check_writer(actor, published=before["active"] or values.get("active", False))
    await _check_segments(tx, values.get("segment_ids", ()))
    if "key" in values:
        values["key_folded"] = fold(values["key"])
    after = await ARTICLES.change(tx, actor, before, values)
    if after["version"] != before["version"]:
        await _write_words(tx, after)
    return after


async def archive_article(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    _check_writer(actor)
    before = await ARTICLES.locked(tx, id, if_match)
    if before["archived_at"] is None:
        _check_writer(actor, published=before["active"])
        now = before["now"]
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        changes = {"archived_at": {"before": None, "after": now}}
        log.record(tx, log.actor_ref(actor), "article.archived", id, now, {"changes": changes})


def to_response(actor: Actor, row: Values) -> Values:
    """Which segments there are is the staff's to know."""
    return {**row, "segment_ids": []} if actor.is_customer else row


def configuration_of(tag: str) -> str:
    return language(tag) or PLAIN


async def write_all_words(tx: Transaction) -> None:
    """Where words are cut in another way than before."""
    for row in await tx.locked_rows(_ALL):
        await _write_words(tx, row)


async def _write_words(tx: Transaction, row: Values) -> None:
    texts = {"title": row["title"], "tagged": BREAK.join(row["tags"]), "body": row["body"]}
    texts = {part: folded(text) for part, text in texts.items()}
    configuration = configuration_of(row["language"])
    tx.write(
        _WRITE_WORDS,
        id=row["id"],
        configuration=configuration,
        whole=vector(("", text) for text in texts.values()),
        **{part: spaced(text) for part, text in texts.items()},
    )
    if configuration != PLAIN:
        tx.write(_LANGUAGE, name=configuration)
    await tx.flush()
    await tx.locked_rows(_FORGET_TERMS, key_id=row["id"])
    await tx.locked_rows(_WRITE_TERMS, key_id=row["id"])


async def _check_segments(tx: Transaction, ids: Sequence[UUID]) -> None:
    known = await segments.IN_FORCE.now(tx) if ids else {}
    for index, id_ in enumerate(ids):
        if id_ not in known:
            raise Invalid.at(f"/segment_ids/{index}", "unknown", "there is no segment with this id")


def _check_writer(actor: Actor, *, published: bool = False) -> None:
    """Customers are told what a published article says, so that an agent writes drafts."""
    if actor.is_customer:
        raise Forbidden("the staff write articles")
    if published:
        check_lead(actor, "a lead publishes articles and changes published ones: write a draft, `active` false")
