"""What the service does by itself, and what it says at once to who opens a ticket."""

from sqlalchemy import Boolean, Column, DateTime, Integer, Table, Text, UniqueConstraint, Uuid, func, true
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()
# What the service does by itself; the rows are there from the beginning.
automations = Table(
    "automations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("enabled", Boolean, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)


# What an installation says by itself when a ticket is opened, by channel and language.
greetings = Table(
    "greetings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("channel", Text, nullable=False),
    # Of customers with this language, in lower case; null is for all others.
    Column("language", Text),
    Column("body", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("channel", "language", postgresql_nulls_not_distinct=True),
)
