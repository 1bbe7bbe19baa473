from sqlalchemy import Column, DateTime, Integer, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()
macros = Table(
    "macros",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    # The message with its places; null where the macro says nothing.
    Column("body", Text),
    Column("visibility", Text, nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)
