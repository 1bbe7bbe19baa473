from sqlalchemy import ARRAY, CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

# What each agent said last. The log has what they said before.
agent_availability = Table(
    "agent_availability",
    metadata,
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True),
    Column("state", Text, nullable=False, server_default="offline"),
    Column("capacity", Integer, nullable=False, server_default="0"),
    # [{"channel", "capacity"}]; null where every channel is taken.
    Column("channels", JSONB),
    # As they are compared: see `fold`.
    Column("skills", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("until", DateTime(timezone=True)),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False),
    # When it ends by itself: by its own end, or where nothing more is heard. None while they are offline.
    Column("expires_at", DateTime(timezone=True)),
    CheckConstraint("(state = 'offline') = (expires_at IS NULL)", name="expires_unless_offline"),
    Index("ix_agent_availability_expires_at", "expires_at", postgresql_where="expires_at IS NOT NULL"),
)
