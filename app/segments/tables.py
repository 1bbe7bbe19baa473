"""Segments with the versions of their rules, who is a member and was, who is let in or kept out by hand, and jobs."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()

segments = Table(
    "segments",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Never changes: rules, reports and tickets name it.
    Column("key", Text, nullable=False),
    Column("key_folded", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("need", Text),
    Column("position", Integer, nullable=False),
    # Null: only overrides make members.
    Column("rule", JSONB(none_as_null=True)),
    Column("rule_version", Integer, nullable=False, server_default="1"),
    Column("self_service", Boolean, nullable=False),
    # Whether its customers' clocks are judged at all.
    Column("judged", Boolean, nullable=False),
    Column("archived_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("key_folded"),
)

segment_versions = Table(
    "segment_versions",
    metadata,
    Column("segment_id", Uuid, ForeignKey("segments.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("rule", JSONB(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

# One row, counted up by every change of a segment: a process knows by it whether what it holds is current.
segment_revision = Table(
    "segment_revision",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default="true"),
    Column("revision", Integer, nullable=False),
)

# Each stay of a customer in a segment: its history is the rows that have ended.
segment_members = Table(
    "segment_members",
    metadata,
    Column("customer_id", Uuid, ForeignKey("customers.id"), primary_key=True),
    Column("segment_id", Uuid, ForeignKey("segments.id"), primary_key=True),
    Column("since", DateTime(timezone=True), primary_key=True),
    Column("until", DateTime(timezone=True)),
    # The reason: the version of the rule by which they came in, or an override.
    Column("rule_version", Integer),
    Column("override_id", Uuid, ForeignKey("segment_overrides.id")),
    CheckConstraint("(rule_version IS NULL) <> (override_id IS NULL)", name="one_reason"),
    Index("uq_segment_members_now", "segment_id", "customer_id", unique=True, postgresql_where="until IS NULL"),
)

segment_overrides = Table(
    "segment_overrides",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("segment_id", Uuid, ForeignKey("segments.id"), nullable=False),
    Column("customer_id", Uuid, ForeignKey("customers.id"), nullable=False),
    Column("effect", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by_kind", Text, nullable=False),
    Column("made_by_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    # Taken back, or noticed to have expired: it acts no more from `expires_at` on, whoever notices when.
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("effect IN ('include', 'exclude')", name="known_effect"),
    Index("uq_segment_overrides_in_force", "segment_id", "customer_id", unique=True,
          postgresql_where="ended_at IS NULL"),
    Index("ix_segment_overrides_customer_id", "customer_id"),
    Index("ix_segment_overrides_segment_id", "segment_id", "created_at", "id"),
    Index("ix_segment_overrides_expires_at", "expires_at",
          postgresql_where="ended_at IS NULL AND expires_at IS NOT NULL"),
)  # fmt: skip

# When time alone changes a figure of a customer that some rule reads.
segment_rechecks = Table(
    "segment_rechecks",
    metadata,
    Column("customer_id", Uuid, ForeignKey("customers.id"), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, index=True),
)

# Deciding anew on many customers: a row per run, whose position commits with what the batch changed.
segment_jobs = Table(
    "segment_jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("run_at", DateTime(timezone=True), nullable=False),
    # Only those who came since: the second look, at those who were being written when the first one passed.
    Column("customers_since", DateTime(timezone=True)),
    Column("after_customer_id", Uuid),
    Column("customers_seen", Integer, nullable=False, server_default="0"),
    Column("customers_total", Integer),
    Column("added", Integer, nullable=False, server_default="0"),
    Column("removed", Integer, nullable=False, server_default="0"),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_segment_jobs_run_at", "run_at", postgresql_where="finished_at IS NULL"),
    Index("ix_segment_jobs_created_at", "created_at", "id"),
)
