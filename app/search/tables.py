"""What is searched, as words."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TSVECTOR

from app.db import metadata

# What a ticket says, as words: all of it for the staff, what is public for its customer. Made by the worker from the
# log, so that no write waits for it.
ticket_search = Table(
    "ticket_search",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("all_words", TSVECTOR, nullable=False),
    Column("public_words", TSVECTOR, nullable=False),
    # Without a pending list, which every search would have to read; the worker can wait.
    Index("ix_ticket_search_all_words", "all_words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)


# The text search configurations that some ticket was read with.
search_languages = Table("search_languages", metadata, Column("name", Text, primary_key=True))
