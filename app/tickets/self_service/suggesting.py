"""Which articles may answer a text. Any word of it may match: a ticket says much beside what it asks.

Two halves make a score from 0 to 1. One is how much of what was asked an article speaks of: the words that it has, of
those that any article has, by their rarity among the articles; in its body alone a word counts half. The other is how
much of the article's title was asked for; a word of it that was not asked for counts as if no other article had it.
So a short title that is asked for word by word stands above a long body that happens to share words.

No text of a user reaches a parser of queries but the forgiving one of web searches, and that as single quoted words."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Double,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import REGCONFIG

from app.db import Query, Row, Transaction
from app.tickets.search import CONFIGURATIONS
from app.tickets.self_service.articles import configuration_of, for_members, main_language
from app.tickets.self_service.automations import segments_of
from app.tickets.self_service.tables import article_words, articles
from app.tickets.words import folded

_a, _w = articles.c, article_words.c
_WORD = re.compile(r"\w+")
# Of a long text, the first words say what it is about.
_LONGEST, _MOST_WORDS = 5_000, 200
_EXCERPT = 300


def _asked() -> CTE:
    """The words that are asked for, as each configuration reads them; and any of them, for the index to find."""
    wanted, name = bindparam("configuration", type_=Text), CONFIGURATIONS.c.name
    as_words = func.to_tsvector(cast(name, REGCONFIG), bindparam("words", type_=Text))
    any_word = func.websearch_to_tsquery(cast(name, REGCONFIG), bindparam("any_word", type_=Text))
    return (
        select(name, func.tsvector_to_array(as_words).label("lexemes"), any_word.label("query"))
        .where(or_(wanted.is_(None), name == wanted))
        .cte("asked")
    )


def _fitting() -> CTE:
    """The articles that somebody with this language and in these segments may have; null is any."""
    tag = bindparam("language", type_=Text)
    ids, customer_id = bindparam("segment_ids", type_=ARRAY(Uuid)), bindparam("customer_id", type_=Uuid)
    theirs = func.coalesce(ids, segments_of(customer_id))
    for_them = or_(and_(ids.is_(None), customer_id.is_(None)), for_members(theirs))
    return (
        select(_a.id, _w.configuration, _w.words)
        .join(article_words, _w.article_id == _a.id)
        .where(_a.active, _a.archived_at.is_(None), or_(tag.is_(None), main_language(_a.language) == tag), for_them)
        .cte("fitting")
    )


def _found(fitting: CTE) -> CTE:
    """Of each article with a word that was asked for: such words, and those of its title."""
    asked = _asked()
    its = (
        func.unnest(fitting.c.words)
        .table_valued(column("lexeme", Text), column("positions"), column("weights"), name="its")
        .render_derived()
    )

    def stands_in(places: str) -> ColumnElement[bool]:
        return its.c.weights.bool_op("&&")(literal_column(f"'{{{places}}}'::text[]"))

    hit = (its.c.lexeme == any_(asked.c.lexemes)).label("hit")
    found = (
        select(
            fitting.c.id, fitting.c.configuration, its.c.lexeme, hit, stands_in("A").label("in_title"),
            case((stands_in("A,B"), literal_column("1.0", Double)), else_=literal_column("0.5", Double)).label("share"),
        )
        .select_from(fitting.join(asked, asked.c.name == fitting.c.configuration).join(its, true()))
        .where(fitting.c.words.bool_op("@@")(asked.c.query), stands_in("A,B,C"))
        .subquery("found")
    )  # fmt: skip
    # How many articles have the word: all that do are here, if it was asked for.
    having = cast(func.count().over(partition_by=(found.c.configuration, found.c.lexeme)), Double).label("having_it")
    return select(found, having).where(found.c.hit | found.c.in_title).cte("counted")


def _suggest() -> Query:
    fitting = _fitting()
    found = _found(fitting)
    # Of so many, and one more: what all have is worth little, and not nothing.
    total = cast(select(func.count() + 1).select_from(fitting).scalar_subquery(), Double)
    rarity = func.ln(total.op("/")(found.c.having_it), type_=Double)
    # Each word once, however many articles have it.
    asked = func.sum(rarity.op("/")(found.c.having_it)).filter(found.c.hit).over(partition_by=found.c.configuration)
    weighed = select(found, rarity.label("rarity"), asked.label("asked"), func.ln(total).label("rarest")).subquery()
    w, none = weighed.c, literal_column("0.0", Double)
    speaks_of = func.sum(w.rarity * w.share).filter(w.hit).op("/")(w.asked)
    title = func.coalesce(func.sum(w.rarity).filter(w.hit, w.in_title), none)
    missed = func.coalesce(func.sum(w.rarest).filter(~w.hit, w.in_title), none)
    asked_for = func.coalesce(title.op("/")(func.nullif(title + missed, none)), none)
    # Rounding must not carry it over 1.
    score = func.least((speaks_of + asked_for) * literal_column("0.5", Double), literal_column("1.0", Double))
    best = select(w.id, score.label("score")).group_by(w.id, w.asked).having(func.bool_or(w.hit)).subquery("best")
    return Query(
        select(_a.id, _a.key, _a.title, _a.body, _a.language, best.c.score)
        .join(best, best.c.id == _a.id)
        .where(best.c.score >= bindparam("min_score", type_=Double))
        .order_by(best.c.score.desc(), _a.id)
        .limit(bindparam("most"))
    )


_SUGGEST = _suggest()


async def suggest(
    tx: Transaction,
    text: str,
    language: str | None,
    most: int,
    *,
    segment_ids: Sequence[UUID] | None = None,
    customer_id: UUID | None = None,
    min_score: float = 0.0,
) -> list[Row]:
    """The best articles for a text: in this language, or else in any; for who belongs to these segments, or for this
    customer, or else whoever they are for. One statement; cost: the articles that have a word of it."""
    words = list(dict.fromkeys(_WORD.findall(folded(text[:_LONGEST]))))[:_MOST_WORDS]
    if not words:
        return []
    return await tx.rows(
        _SUGGEST,
        words=" ".join(words),
        any_word=" or ".join(f'"{word}"' for word in words),
        configuration=configuration_of(language) if language else None,
        language=re.split("[-_]", language)[0].lower() if language else None,
        segment_ids=segment_ids,
        customer_id=customer_id,
        min_score=min_score,
        most=most,
    )


def shown(row: Row) -> dict[str, Any]:
    return {**row, "excerpt": _excerpt(row["body"])}


def _excerpt(body: str) -> str:
    """How it begins, cut between words."""
    body = " ".join(body.split())
    if len(body) <= _EXCERPT:
        return body
    head, _, _ = body[:_EXCERPT].rpartition(" ")
    return f"{head or body[:_EXCERPT]}…"
