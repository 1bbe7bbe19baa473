"""Articles, what was offered of them, and the automations with their settings."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, ForeignKey, Index, Integer, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import TSVECTOR

from app.db import metadata

_NOW = func.clock_timestamp()

# Short answers to what is often asked, each in one language.
articles = Table(
    "articles",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("key_folded", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    # In lower case.
    Column("language", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    # Whose members may have it; none named: everybody.
    Column("segment_ids", ARRAY(Uuid), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("archived_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index(
        "uq_articles_key_folded_language", "key_folded", "language", unique=True,
        postgresql_where="archived_at IS NULL",
    ),
    Index("ix_articles_created_at", "created_at", "id"),
)  # fmt: skip

# An article as words, written with it. Weights: A its title, B its tags, C its body, in the stems of its language where
# PostgreSQL knows that; D all of it as it is.
article_words = Table(
    "article_words",
    metadata,
    Column("article_id", Uuid, ForeignKey("articles.id"), primary_key=True),
    # The text search configuration that the stems are of.
    Column("configuration", Text, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    Column("title_terms", Integer, nullable=False),
    Index("ix_article_words_words", "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)

# Its stems one by one, where each stands most prominently: `A`, `B` or `C`. Ranking reads those that were asked for and
# no others; taking every article's words apart took a hundred times as long.
article_terms = Table(
    "article_terms",
    metadata,
    Column("configuration", Text, primary_key=True),
    Column("lexeme", Text, primary_key=True),
    Column("article_id", Uuid, ForeignKey("articles.id"), primary_key=True, index=True),
    Column("place", Text, nullable=False),
)
