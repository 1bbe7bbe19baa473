from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_WORDS = "folded_words(name, email, external_id)"
_FOLDED = text("fold_text(external_id)")
_HAS_ID = "external_id IS NOT NULL"

organizations = Table(
    "organizations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("external_id", Text),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("region", Text),
    Column("language", Text),
    # Its members read and answer the tickets of one another.
    Column("shared", Boolean, nullable=False, server_default=false()),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("external_id"),
    Index("ix_organizations_external_id_folded", _FOLDED, postgresql_where=_HAS_ID),
    Index("ix_organizations_created_at", "created_at", "id"),
    Index("ix_organizations_folded_words", text(_WORDS), postgresql_using="gin"),
)

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("external_id", Text),
    Column("name", Text),
    Column("email", Text),
    Column("email_folded", Text),
    Column("region", Text),
    Column("language", Text),
    Column("organization_id", Uuid, ForeignKey("organizations.id")),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    # Turned out to be another one, who has their tickets now; whoever asks for this one gets that one.
    Column("merged_into", Uuid, ForeignKey("customers.id")),
    Column("erased_at", DateTime(timezone=True)),
    # Where they were when they were erased: the clocks that still run are grouped by it, as those that have ended are.
    Column("erased_region", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("external_id"),
    # Who has no external id is known by e-mail; who has one may share an address with others (a household, a desk).
    Index("uq_customers_email_folded", "email_folded", unique=True, postgresql_where="external_id IS NULL"),
    Index("ix_customers_email_folded", "email_folded"),
    Index("ix_customers_external_id_folded", _FOLDED, postgresql_where=_HAS_ID),
    Index("ix_customers_created_at", "created_at", "id"),
    Index("ix_customers_folded_words", text(_WORDS), postgresql_using="gin"),
    Index(
        "ix_customers_organization_id", "organization_id", "created_at", "id",
        postgresql_where="organization_id IS NOT NULL",
    ),
    Index("ix_customers_merged_into", "merged_into", postgresql_where="merged_into IS NOT NULL"),
)  # fmt: skip
