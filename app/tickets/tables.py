"""Tickets and all that hangs on them."""

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
    LargeBinary,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from app.db import metadata
from app.sla.tables import LATEST_SQL

_NOW = func.clock_timestamp()

# The agents' orders. What is resolved or closed stands behind everything that is not.
DUE_SQL = f"coalesce(due_at, {LATEST_SQL})"
URGENCY_SQL = "ticket_urgency(status, priority)"
_UNDONE = "status <> 'resolved' AND status <> 'closed'"

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
    Column("organization_id", Uuid, ForeignKey("organizations.id")),
    # `customer`, or `agent` where an agent opened it towards the customer.
    Column("opened_by", Text, nullable=False, server_default="customer"),
    Column("assignee_id", Uuid, ForeignKey("agents.id")),
    Column("team_id", Uuid, ForeignKey("teams.id")),
    Column("product", Text),
    # The key of its customer's first segment when it was opened: what they are now changes no report of then.
    Column("segment", Text),
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
    # The earliest deadline of its running clocks, written with them.
    Column("due_at", DateTime(timezone=True)),
    # The customer, or a bot, asked for a person; until a person answers.
    Column("needs_human", Boolean, nullable=False, server_default=false()),
    Column("greeted_at", DateTime(timezone=True)),
    # Of a ticket opened towards the customer: whether they are to confirm it, and when they did.
    Column("asks_confirmation", Boolean, nullable=False, server_default=false()),
    Column("confirmed_at", DateTime(timezone=True)),
    # Answers were offered: `offered`, `deflected` or `handed_off`.
    Column("self_service", Text),
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
    Index(
        "ix_tickets_organization_id", "organization_id", "created_at", "id",
        postgresql_where="organization_id IS NOT NULL",
    ),
    Index("ix_tickets_product", "product", "created_at", "id", postgresql_where="product IS NOT NULL"),
    Index("ix_tickets_segment", "segment", "created_at", "id", postgresql_where="segment IS NOT NULL"),
    Index("ix_tickets_needs_human", "created_at", "id", postgresql_where="needs_human"),
    Index("ix_tickets_tags", "tags", postgresql_using="gin", postgresql_where="tags <> '{}'"),
    Index("ix_tickets_due_at", text(DUE_SQL), "id"),
    Index("ix_tickets_urgency", text(URGENCY_SQL), "created_at", "id"),
    # What is closed by itself in a while, and what answers were offered to.
    Index("ix_tickets_resolved_at", "resolved_at", "id", postgresql_where="status = 'resolved' AND NOT needs_human"),
    Index("ix_tickets_self_service", "created_at", "id", postgresql_where="self_service IS NOT NULL"),
    # An agent's own queue.
    Index(
        "ix_tickets_assignee_id_due_at", "assignee_id", text(DUE_SQL), "id",
        postgresql_where=f"assignee_id IS NOT NULL AND {_UNDONE}",
    ),
)  # fmt: skip

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

ticket_links = Table(
    "ticket_links",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("target_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("made_by_kind", Text, nullable=False),
    Column("made_by_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("source_id", "target_id", "kind"),
    CheckConstraint("source_id <> target_id", name="links_two_tickets"),
    Index("ix_ticket_links_target_id", "target_id"),
    Index("uq_ticket_links_one_parent", "target_id", unique=True, postgresql_where="kind = 'parent_of'"),
)

ticket_followers = Table(
    "ticket_followers",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

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

attachments = Table(
    "attachments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id")),
    Column("visibility", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("author_kind", Text, nullable=False),
    Column("author_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # A deleted attachment keeps its place, without name and content.
    Column("deleted_at", DateTime(timezone=True)),
    Index("ix_attachments_ticket_id", "ticket_id", "created_at", "id"),
    Index("ix_attachments_message_id", "message_id", postgresql_where="message_id IS NOT NULL"),
)

attachment_contents = Table(
    "attachment_contents",
    metadata,
    Column("attachment_id", Uuid, ForeignKey("attachments.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
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
    Column("merged_at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Index("uq_customer_merges_source_id", "source_id", unique=True, postgresql_where="undone_at IS NULL"),
    Index("ix_customer_merges_target_id", "target_id"),
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
    Index("ix_messages_author_id", "author_id", postgresql_where="author_kind = 'customer'"),
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
