"""Which customers were merged, and what moved with them."""

from sqlalchemy import ARRAY, Column, DateTime, ForeignKey, Index, Table, Text, Uuid, text

from app.db import metadata

# Two customers who turned out to be one: what went from the source to the target, so that it can go back.
customer_merges = Table(
    "customer_merges",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source_id", Uuid, ForeignKey("customers.id"), nullable=False),
    Column("target_id", Uuid, ForeignKey("customers.id"), nullable=False),
    Column("ticket_ids", ARRAY(Uuid), nullable=False),
    Column("key_ids", ARRAY(Uuid), nullable=False),
    Column("override_ids", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("exception_ids", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    # What the target lacked and got of the source: names of columns, and `attributes.name`.
    Column("taken", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("merged_at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Index("uq_customer_merges_source_id", "source_id", unique=True, postgresql_where="undone_at IS NULL"),
    Index("ix_customer_merges_target_id", "target_id"),
)
