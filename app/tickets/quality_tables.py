"""What quality is judged by: each time a ticket was resolved, a person was asked for, or the staff worked on a message.

Each row keeps whose it was and what it was about then, as clocks do: figures of the past are grouped by these columns,
never by what the ticket is now."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
    false,
    text,
)

from app.db import metadata


def _about() -> list[Column[object]]:
    return [
        Column("customer_id", Uuid, nullable=False),
        Column("organization_id", Uuid),
        Column("assignee_id", Uuid),
        Column("team_id", Uuid),
        Column("ticket_policy_id", Uuid),
        Column("priority", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("product", Text),
        Column("region", Text),
        Column("segment", Text),
        Column("tags", ARRAY(Text), nullable=False),
        # Its ticket is spam: it is in no figure.
        Column("spam", Boolean, nullable=False, server_default=false()),
    ]


# A ticket came from what is not done to `resolved` or `closed`, but by a merge or as spam.
ticket_resolutions = Table(
    "ticket_resolutions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("resolved_at", DateTime(timezone=True), nullable=False),
    Column("resolved_by_kind", Text, nullable=False),
    Column("resolved_by_id", Uuid),
    # `person`, `bot`, `article` or `nobody`.
    Column("solved_by", Text, nullable=False),
    Column("reopened_at", DateTime(timezone=True)),
    # What its customer said of it, once.
    Column("score", SmallInteger),
    Column("comment", Text),
    Column("met", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("missed", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("rated_at", DateTime(timezone=True)),
    *_about(),
    CheckConstraint("score BETWEEN 1 AND 5", name="score"),
    CheckConstraint("(score IS NULL) = (rated_at IS NULL)", name="rated_whole"),
    Index("ix_ticket_resolutions_ticket_id", "ticket_id", "resolved_at", "id"),
    Index("ix_ticket_resolutions_resolved_at", "resolved_at"),
)

# A person was asked for; until a person answered, or the ticket was done without. What it was about is as of the
# question, once it has ended as of its end.
person_requests = Table(
    "person_requests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    # Who answered; null where it ended without an answer.
    Column("responder_id", Uuid),
    Column("answered", Boolean, nullable=False, server_default=false()),
    *_about(),
    CheckConstraint("ended_at >= asked_at", name="ends_after_it_was_asked"),
    Index("ix_person_requests_ticket_id", "ticket_id"),
    Index("ix_person_requests_asked_at", "asked_at"),
)

# How long the staff worked on a message.
handlings = Table(
    "handlings",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("handled_at", DateTime(timezone=True), nullable=False),
    Column("author_kind", Text, nullable=False),
    Column("author_id", Uuid),
    Column("seconds", Float, nullable=False),
    *_about(),
    Index("ix_handlings_handled_at", "handled_at"),
)
TABLES = (ticket_resolutions, person_requests, handlings)
