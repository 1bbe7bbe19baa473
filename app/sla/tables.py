"""Policies and their versions, the clocks, and the alerts that have been given."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()

sla_policies = Table(
    "sla_policies",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("key_folded", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("archived_at", DateTime(timezone=True)),
    UniqueConstraint("key_folded"),
)

sla_policy_versions = Table(
    "sla_policy_versions",
    metadata,
    Column("policy_id", Uuid, ForeignKey("sla_policies.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("conditions", JSONB, nullable=False),
    Column("targets", JSONB, nullable=False),
    Column("bot_counts", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

# One row, counted up by every change of a policy: a process knows by it whether the policies it holds are current.
sla_policy_revision = Table(
    "sla_policy_revision",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default="true"),
    Column("revision", Integer, nullable=False),
)

sla_clocks = Table(
    "sla_clocks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("metric", Text, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("policy_id", Uuid),
    Column("policy_version", Integer),
    Column("target_seconds", Integer),
    Column("warn_at_percent", ARRAY(SmallInteger), nullable=False),
    Column("warnings", ARRAY(DateTime(timezone=True)), nullable=False),
    Column("bot_counts", Boolean, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("original_due_at", DateTime(timezone=True)),
    Column("stopped_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_reason", Text),
    # The next instant at which anything happens to this clock by itself. The sweep reads nothing else.
    Column("next_at", DateTime(timezone=True)),
    Column("detected_at", DateTime(timezone=True)),
    UniqueConstraint("ticket_id", "metric", "cycle"),
    ForeignKeyConstraint(
        ["policy_id", "policy_version"],
        ["sla_policy_versions.policy_id", "sla_policy_versions.version"],
        name="fk_sla_clocks_policy_version",
    ),
    CheckConstraint("ended_at >= started_at", name="ends_after_start"),
    CheckConstraint("(due_at IS NULL) = (target_seconds IS NULL)", name="deadline_has_target"),
    Index("ix_sla_clocks_next_at", "next_at", postgresql_where="next_at IS NOT NULL"),
    Index("ix_sla_clocks_due_at", "due_at", "id", postgresql_where="ended_at IS NULL AND due_at IS NOT NULL"),
    Index("ix_sla_clocks_started_at", "metric", "started_at"),
)

# What makes a warning or a breach happen once, whoever is killed when: the key. `percent` is 0 for a breach.
sla_alerts = Table(
    "sla_alerts",
    metadata,
    Column("clock_id", Uuid, ForeignKey("sla_clocks.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("target_seconds", Integer, primary_key=True),
    Column("percent", SmallInteger, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("detected_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)
