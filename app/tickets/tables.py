"""Tickets and all that hangs on them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
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
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata
from app.sla.tables import LATEST_SQL

_NOW = func.clock_timestamp()

# The agents' orders. What is resolved or closed stands behind everything that is not.
DUE_SQL = f"coalesce(due_at, {LATEST_SQL})"
URGENCY_SQL = "ticket_urgency(status, priority)"
_CLAIMABLE = "assignee_id IS NULL AND waiting_since IS NOT NULL"
# By this text a promise is known that was made to remind the customer.
REMINDER = "To remind the customer, who has not confirmed."
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
    # Every ticket that went into it, also through others.
    Column("merged_from", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("spam_at", DateTime(timezone=True)),
    Column("status_before_spam", Text),
    # Out of the queue until then, or until its customer writes.
    Column("snoozed_until", DateTime(timezone=True)),
    Column("snooze_reason", Text),
    # Since when its assignee has it, until they answer: what the answer took is measured from there.
    Column("assigned_at", DateTime(timezone=True)),
    # Of its messages, added up as they are written.
    Column("handling_seconds", Float, nullable=False, server_default="0"),
    # What the system that it was imported from called it.
    Column("old_number", Text),
    # Of its running clocks, written with them: the earliest deadline, the first warning, and since when its customer
    # waits for an answer.
    Column("due_at", DateTime(timezone=True)),
    Column("at_risk_at", DateTime(timezone=True)),
    Column("waiting_since", DateTime(timezone=True)),
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
    # Changes that its customer sees nothing of: theirs is the version without them, and the instant of the last other
    # one, which is null where that was the last of all.
    Column("hidden_changes", Integer, nullable=False, server_default="0"),
    Column("seen_updated_at", DateTime(timezone=True)),
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
    Index("ix_tickets_tags_folded", text("fold_texts(tags)"), postgresql_using="gin", postgresql_where="tags <> '{}'"),
    Index("ix_tickets_external_id_folded", text("fold_text(external_id)"), postgresql_where="external_id IS NOT NULL"),
    Index("ix_tickets_due_at", text(DUE_SQL), "id"),
    Index("ix_tickets_waiting_since", text(f"coalesce(waiting_since, {LATEST_SQL})"), "id"),
    Index(
        "ix_tickets_custom_fields", "custom_fields", postgresql_using="gin",
        postgresql_ops={"custom_fields": "jsonb_path_ops"}, postgresql_where="custom_fields <> '{}'",
    ),
    Index("ix_tickets_urgency", text(URGENCY_SQL), "created_at", "id"),
    # What is closed by itself in a while, and what answers were offered to.
    Index(
        "ix_tickets_closable", "resolved_at", "id",
        postgresql_where="status = 'resolved' AND NOT needs_human AND NOT (imported AND version = 1)",
    ),
    Index("ix_tickets_snoozed_until", "snoozed_until", postgresql_where="snoozed_until IS NOT NULL"),
    Index("ix_tickets_self_service", "created_at", "id", postgresql_where="self_service IS NOT NULL"),
    # Who waits and is nobody's yet, by how long and by when.
    Index("ix_tickets_claimable_waiting_since", "waiting_since", "id", postgresql_where=_CLAIMABLE),
    Index("ix_tickets_claimable_due_at", "due_at", "id", postgresql_where=_CLAIMABLE),
    # An agent's own queue.
    Index(
        "ix_tickets_assignee_id_due_at", "assignee_id", text(DUE_SQL), "id",
        postgresql_where=f"assignee_id IS NOT NULL AND {_UNDONE}",
    ),
)  # fmt: skip


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
    # The ticket whose follower they were, where that was merged into this one.
    Column("from_ticket_id", Uuid),
)

# Customers who read and answer a ticket beside the one who asked.
ticket_participants = Table(
    "ticket_participants",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("customer_id", Uuid, ForeignKey("customers.id"), primary_key=True, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    # The ticket that they took part in, where that was merged into this one.
    Column("from_ticket_id", Uuid),
)

# Incidents that are answered and resolved with the problem that caused them.
incident_jobs = Table(
    "incident_jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    # The message; null once all have it.
    Column("body", Text),
    Column("made_by_kind", Text, nullable=False),
    Column("made_by_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("run_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("after_ticket_id", Uuid),
    Column("incidents_total", Integer),
    Column("answered", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_incident_jobs_run_at", "run_at", postgresql_where="finished_at IS NULL"),
)

# A ticket went into another one: what has to be known to undo it.
ticket_merges = Table(
    "ticket_merges",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("target_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("merged_at", DateTime(timezone=True), nullable=False),
    # Before the merge: how the source stood, and since when the customer waited on each of them.
    Column("source_status", Text, nullable=False),
    Column("source_waiting_since", DateTime(timezone=True)),
    Column("target_waiting_since", DateTime(timezone=True)),
    Column("target_status", Text, nullable=False),
    # After it: while the target has this version, nothing has happened to it since.
    Column("target_version", Integer, nullable=False),
    Column("target_needed_human", Boolean, nullable=False),
    Column("added_tags", ARRAY(Text), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Index("uq_ticket_merges_source_id", "source_id", unique=True, postgresql_where="undone_at IS NULL"),
    Index("ix_ticket_merges_target_id", "target_id"),
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
    Index("ix_attachments_author_id", "author_id", postgresql_where="author_kind = 'customer'"),
)

attachment_contents = Table(
    "attachment_contents",
    metadata,
    Column("attachment_id", Uuid, ForeignKey("attachments.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
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
    # What the channel that it came by says of it: an e-mail's Message-ID, a chat's id.
    Column("channel", Text),
    Column("external_id", Text),
    Column("in_reply_to", Text),
    Column("sent_at", DateTime(timezone=True)),
    # How long the staff worked on it, where that is known.
    Column("handling_seconds", Float),
    # The log's id, not the instant, keeps messages of one instant in order; UUIDv7 does so within a process.
    Index("ix_messages_ticket_id", "ticket_id", "created_at", "id"),
    Index("uq_messages_external_id", "channel", "external_id", unique=True, postgresql_where="external_id IS NOT NULL"),
    Index("ix_messages_author_id", "author_id", postgresql_where="author_kind = 'customer'"),
    Index("ix_messages_handled", "created_at", postgresql_where="handling_seconds IS NOT NULL"),
)

# How much text and how many files a ticket holds, and a customer stored on a day. `most` is what the last one who added
# to it was allowed: the constraint refuses what is over. Staff are not bound, and have none.
ticket_bytes = Table(
    "ticket_bytes",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("most", BigInteger),
    CheckConstraint("bytes <= most", name="within"),
)
customer_bytes = Table(
    "customer_bytes",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True, index=True),
    Column("bytes", BigInteger, nullable=False),
    Column("most", BigInteger, nullable=False),
    CheckConstraint("bytes <= most", name="within"),
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
    # When its instant brought the ticket back, where it is to remind somebody.
    Column("reminded_at", DateTime(timezone=True)),
    UniqueConstraint("ticket_id", "cycle"),
    Index("ix_promises_due_at", "due_at", "id"),
    Index(
        "ix_promises_reminders",
        "due_at",
        postgresql_where=f"text = '{REMINDER}' AND reminded_at IS NULL AND kept_at IS NULL AND withdrawn_at IS NULL",
    ),
)


# What who opened a ticket was offered while a goal was about to be missed, and what they chose of it.
overload_offers = Table(
    "overload_offers",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    # The goal; it may be deleted since.
    Column("goal_id", Uuid, nullable=False),
    Column("choices", ARRAY(Text), nullable=False),
    Column("offered_at", DateTime(timezone=True), nullable=False, index=True),
    # One of the choices, or `person`; null until they choose.
    Column("chosen", Text),
    Column("chosen_at", DateTime(timezone=True)),
    # The instant that was promised to who chose to be called back.
    Column("call_back_by", DateTime(timezone=True)),
)


# Which articles a ticket's customer got in answer to it, and which of them helped.
ticket_offers = Table(
    "ticket_offers",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("article_id", Uuid, ForeignKey("articles.id"), primary_key=True, index=True),
    # Null where the customer found it by themselves.
    Column("score", Float),
    Column("offered_at", DateTime(timezone=True), nullable=False),
    Column("helped_at", DateTime(timezone=True)),
)
