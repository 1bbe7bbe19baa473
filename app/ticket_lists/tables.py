"""Saved views."""

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Integer, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()
views = Table(
    "views",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    # Whose it is; nobody's views belong to the installation.
    Column("agent_id", Uuid, ForeignKey("agents.id"), index=True),
    Column("shared", Boolean, nullable=False),
    Column("filter", JSONB, nullable=False),
    Column("sort", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)
