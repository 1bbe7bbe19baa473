from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    false,
    func,
)

from app.db import metadata

custom_fields = Table(
    "custom_fields",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Of what: ticket, customer or organization.
    Column("subject", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("key_folded", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("choices", ARRAY(Text)),
    # Of a ticket of these types only; null is any.
    Column("ticket_types", ARRAY(Text)),
    Column("required", Boolean, nullable=False),
    # Customers read the field, or set it as well, only where it says so.
    Column("visible_to_customers", Boolean, nullable=False, server_default=false()),
    Column("writable_by_customers", Boolean, nullable=False, server_default=false()),
    Column("archived_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # A key whose definition is archived may be defined again, as another field.
    Index(
        "uq_custom_fields_subject_key_folded", "subject", "key_folded", unique=True,
        postgresql_where="archived_at IS NULL",
    ),
)  # fmt: skip

# One row, counted up by every change of a definition: a process knows by it whether what it holds is current.
custom_field_revision = Table(
    "custom_field_revision",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default="true"),
    Column("revision", Integer, nullable=False),
)
