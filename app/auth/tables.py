from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    Uuid,
    column,
    func,
    table,
)

from app.db import metadata

# Of the features above no more than these columns.
customers = table(
    "customers", column("id", Uuid), column("external_id", Text), column("merged_into", Uuid), column("erased_at")
)
agents = table("agents", column("id", Uuid), column("external_id", Text), column("active"))

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("scopes", ARRAY(Text)),
    Column("agent_id", Uuid, ForeignKey("agents.id")),
    Column("customer_id", Uuid, ForeignKey("customers.id")),
    # SHA-256 of 256 random bits: nothing to guess, so nothing to slow down.
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("role <> 'customer' OR customer_id IS NOT NULL", name="customer_key_has_customer"),
    CheckConstraint("role NOT IN ('agent', 'lead') OR agent_id IS NOT NULL", name="agent_key_has_agent"),
    Index("ix_api_keys_customer_id", "customer_id", postgresql_where="customer_id IS NOT NULL"),
)
