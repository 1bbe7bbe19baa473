"""Which articles may answer a text. Any word of it may match: a ticket says much beside what it asks.

Two halves make a score from 0 to 1. One is how much of what was asked an article speaks of: the words that it has, of
those that any article has, by their rarity among the articles; in its body alone a word counts half. The other is how
much of the article's title was asked for; a word of it that was not asked for counts as if no other article had it.
So a short title that is asked for word by word stands above a long body that happens to share words.

The text is read as a document is, and becomes no query."""

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
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import REGCONFIG

from app.db import Query, Row, Transaction
from app.knowledge.articles import configuration_of, for_members, main_language
from app.knowledge.tables import article_terms, article_words, articles
from app.search.query import CONFIGURATIONS
from app.search.text import folded, spaced
from app.segments.membership_rows import segments_of

_a, _w, _t = articles.c, article_words.c, article_terms.c
# Of a long text, the first words say what it is about.
_LONGEST, _MOST_WORDS = 5_000, 200
_EXCERPT = 300


def _asked() -> CTE:
    """The words that are asked for, as each configuration reads them."""
    wanted, name = bindparam("configuration", type_=Text), CONFIGURATIONS.c.name
    as_words = func.to_tsvector(cast(name, REGCONFIG), bindparam("words", type_=Text))
    lexemes = func.unnest(func.tsvector_to_array(as_words)).label("lexeme")
    return select(name, lexemes).where(or_(wanted.is_(None), name == wanted)).cte("asked").prefix_with("MATERIALIZED")


def _fits() -> list[ColumnElement[bool]]:
    """The articles that somebody with this language and in these segments may have; null is any."""
    tag = bindparam("language", type_=Text)
    ids, customer_id = bindparam("segment_ids", type_=ARRAY(Uuid)), bindparam("customer_id", type_=Uuid)
    theirs = func.coalesce(ids, segments_of(customer_id))
    return [
        _a.active,
        _a.archived_at.is_(None),
        or_(tag.is_(None), main_language(_a.language) == tag),
        or_(and_(ids.is_(None), customer_id.is_(None)), for_members(theirs)),
    ]


def _hits() -> CTE:
    """Each word that was asked for in each article that has it; how prominently, and how many have it."""
    asked = _asked()
    # In this order, whatever the planner thinks of the languages: the text is read once, and then what has its words.
    spoken = (
        select(_t.article_id, _t.configuration, _t.lexeme, _t.place)
        .join(asked, and_(asked.c.name == _t.configuration, asked.c.lexeme == _t.lexeme))
        .cte("spoken")
        .prefix_with("MATERIALIZED")
    )
    s = spoken.c
    having_it = func.count().over(partition_by=(s.configuration, s.lexeme))
    return (
        select(s.article_id, s.configuration, s.place, cast(having_it, Double).label("having_it"))
        # IS TRUE keeps it a hashed look-up: as a join the planner, who expects next to nothing, walks one per word.
        .where(s.article_id.in_(select(_a.id).where(*_fits())).is_(true()))
        .cte("hits")
    )


def _suggest() -> Query:
    hits = _hits()
    # Of so many, and one more: what all have is worth little, and not nothing.
    count = select(cast(func.count() + 1, Double).label("articles")).select_from(articles).where(*_fits()).cte("total")
    total = select(count.c.articles).scalar_subquery()
    rarity = func.ln(total.op("/")(hits.c.having_it), type_=Double)
    # Each word once, however many articles have it.
    asked = func.sum(rarity.op("/")(hits.c.having_it)).over(partition_by=hits.c.configuration)
    weighed = select(hits, rarity.label("rarity"), asked.label("asked"), func.ln(total).label("rarest")).subquery()
    w = weighed.c
    in_title = w.place == literal_column("'A'")
    share = case((w.place == literal_column("'C'"), literal_column("0.5", Double)), else_=literal_column("1.0", Double))
    summed = (
        select(
            w.article_id,
            w.rarest,
            func.sum(w.rarity * share).op("/")(w.asked).label("speaks_of"),
            func.coalesce(func.sum(w.rarity).filter(in_title), literal_column("0.0", Double)).label("title"),
            func.count().filter(in_title).label("in_title"),
        )
        .group_by(w.article_id, w.asked, w.rarest)
        .subquery("summed")
    )
    c, none = summed.c, literal_column("0.0", Double)
    missed = (_w.title_terms - c.in_title) * c.rarest
    asked_for = func.coalesce(c.title.op("/")(func.nullif(c.title + missed, none)), none)
    # Rounding must not carry it over 1.
    score = func.least((c.speaks_of + asked_for) * literal_column("0.5", Double), literal_column("1.0", Double))
    best = (
        select(c.article_id, score.label("score")).join(article_words, _w.article_id == c.article_id).subquery("best")
    )
    return Query(
        select(_a.id, _a.key, _a.title, _a.body, _a.language, best.c.score)
        .join(best, best.c.article_id == _a.id)
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
    words = spaced(folded(text[:_LONGEST])).split(" ", _MOST_WORDS)[:_MOST_WORDS]
    if not words[0]:
        return []
    return await tx.rows(
        _SUGGEST,
        words=" ".join(words),
        configuration=configuration_of(language) if language else None,
        language=re.split("[-_]", language)[0].lower() if language else None,
        segment_ids=segment_ids,
        customer_id=customer_id,
        min_score=min_score,
        most=most,
    )


def to_response(row: Row) -> dict[str, Any]:
    return {**row, "excerpt": _excerpt(row["body"])}


def _excerpt(body: str) -> str:
    """How it begins, cut between words."""
    body = " ".join(body.split())
    if len(body) <= _EXCERPT:
        return body
    head, _, _ = body[:_EXCERPT].rpartition(" ")
    return f"{head or body[:_EXCERPT]}…"
