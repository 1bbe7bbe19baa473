from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

# A sequence of its own, so that opening a ticket can take its number with the first read.
NUMBERS = Sequence("ticket_numbers", metadata=metadata)

tickets = Table(
    "tickets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, NUMBERS, server_default=NUMBERS.next_value(), nullable=False),
    Column("external_id", Text),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("customer_id", Uuid, ForeignKey("customers.id"), nullable=False),
    Column("assignee_id", Uuid, ForeignKey("agents.id")),
    Column("team_id", Uuid, ForeignKey("teams.id")),
    Column("product", Text),
    Column("tags", ARRAY(Text), nullable=False),
    Column("custom_fields", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # Never runs backwards, even where the server's clock does: the next change is stamped no earlier.
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    # The promise it stands under: clocks that start take it. Of the exceptions, what was granted to this ticket.
    Column("policy_id", Uuid),
    Column("policy_version", Integer),
    Column("calendar_version", Integer),
    Column("exceptions", JSONB),
    Column("merged_into", Uuid, ForeignKey("tickets.id")),
    Column("imported", Boolean, nullable=False, server_default=false()),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("number"),
    UniqueConstraint("external_id"),
    CheckConstraint("updated_at >= created_at", name="time_runs_forward"),
    Index("ix_tickets_created_at", "created_at", "id"),
    Index("ix_tickets_updated_at", "updated_at", "id"),
    Index("ix_tickets_status", "status", "created_at", "id"),
    Index("ix_tickets_customer_id", "customer_id", "created_at", "id"),
    Index("ix_tickets_assignee_id", "assignee_id", "created_at", "id", postgresql_where="assignee_id IS NOT NULL"),
    Index("ix_tickets_team_id", "team_id", "created_at", "id", postgresql_where="team_id IS NOT NULL"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("author_kind", Text, nullable=False),
    # An agent's or a customer's id, by kind; no foreign key, so that whoever leaves leaves the message standing.
    Column("author_id", Uuid),
    Column("visibility", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("edited_at", DateTime(timezone=True)),
    # A deleted message keeps its place, without its text.
    Column("deleted_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    # The log's id, not the instant, keeps messages of one instant in order; UUIDv7 does so within a process.
    Index("ix_messages_ticket_id", "ticket_id", "created_at", "id"),
)

# What a message said before it was edited or deleted.
message_versions = Table(
    "message_versions",
    metadata,
    Column("message_id", Uuid, ForeignKey("messages.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("replaced_at", DateTime(timezone=True), nullable=False),
    Column("replaced_by_kind", Text, nullable=False),
    Column("replaced_by_id", Uuid),
)

promises = Table(
    "promises",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    # The clock of metric `promise` and this cycle tells how long there is, and whether it was kept in time.
    Column("cycle", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("made_by_kind", Text, nullable=False),
    Column("made_by_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("kept_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("withdrawn_reason", Text),
    UniqueConstraint("ticket_id", "cycle"),
)
