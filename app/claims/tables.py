from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from app.db import metadata

# Each time that a ticket was given to an agent. The newest one of a ticket is in force until it ends.
ticket_claims = Table(
    "ticket_claims",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
    # Since when its customer waited then.
    Column("waiting_since", DateTime(timezone=True)),
    # Taken back then, where it is not answered.
    Column("answer_by", DateTime(timezone=True), nullable=False),
    Column("why", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    # `answered`, `released`, `expired`, or `reassigned` where it is somebody else's since.
    Column("outcome", Text),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ends_somehow"),
    Index("ix_ticket_claims_ticket_id", "ticket_id", "claimed_at"),
    Index("ix_ticket_claims_agent_id", "agent_id", "ended_at", postgresql_where="outcome = 'released'"),
    Index("ix_ticket_claims_claimed_at", "claimed_at"),
    Index("ix_ticket_claims_waiting_since", "waiting_since", postgresql_where="waiting_since IS NOT NULL"),
    Index("ix_ticket_claims_answer_by", "answer_by", postgresql_where="ended_at IS NULL"),
)

# How the queue of those who are nobody's yet stands, one row: written by the worker, read by each claim.
claim_queue = Table(
    "claim_queue",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("worst_seconds", Double, nullable=False),
    # How many claims since then may pass over the oldest.
    Column("spare_claims", Integer),
    # The release before reads and writes these.
    Column("pace_seconds", Double, nullable=False, server_default="0"),
    Column("oldest_first_from", DateTime(timezone=True)),
    CheckConstraint("id = 1", name="one_row"),
)
