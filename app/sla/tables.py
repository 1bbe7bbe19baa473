"""Calendars and policies with their versions, the clocks, the alerts that have been given, exceptions, and jobs."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Interval,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()

# `calendar.LATEST`: where a clock that is held up stands in the queue.
LATEST_SQL = "'2200-01-01 00:00:00+00'::timestamptz"

business_calendars = Table(
    "business_calendars",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("archived_at", DateTime(timezone=True)),
)

business_calendar_versions = Table(
    "business_calendar_versions",
    metadata,
    Column("calendar_id", Uuid, ForeignKey("business_calendars.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("hours", JSONB, nullable=False),
    Column("holidays", ARRAY(Date), nullable=False),
    Column("holiday_region", Text),
    # The region's holidays as they were known when the version was written: a newer list must not judge anew.
    Column("region_holidays", ARRAY(Date), nullable=False),
    Column("date_hours", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

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
    Column("calendar_id", Uuid, ForeignKey("business_calendars.id")),
    Column("on_reopen", Text, nullable=False, server_default="resume"),
    Column("reopen_on_customer_message", Boolean, nullable=False, server_default=true()),
    Column("shown_to_customers", Boolean, nullable=False, server_default=true()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

# One row, counted up by every change of a policy or a calendar: a process knows by it whether what it holds is current.
sla_policy_revision = Table(
    "sla_policy_revision",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default="true"),
    Column("revision", Integer, nullable=False),
)

_NO_INSTANTS = text("'{}'")

sla_clocks = Table(
    "sla_clocks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.id"), nullable=False),
    Column("metric", Text, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    # Its terms: what a policy version promises of it, and how its time counts (no calendar: every hour).
    Column("policy_id", Uuid),
    Column("policy_version", Integer),
    Column("promised_seconds", Integer),
    Column("calendar_id", Uuid),
    Column("calendar_version", Integer),
    Column("pause_on", ARRAY(Text), nullable=False, server_default=_NO_INSTANTS),
    Column("warn_at_percent", ARRAY(SmallInteger), nullable=False),
    Column("bot_counts", Boolean, nullable=False),
    # A promise brings its own deadline.
    Column("promised_until", DateTime(timezone=True)),
    # From, until, from, until …: of odd length while the last pause lasts.
    Column("pauses", ARRAY(DateTime(timezone=True)), nullable=False, server_default=_NO_INSTANTS),
    Column("resolved", ARRAY(DateTime(timezone=True)), nullable=False, server_default=_NO_INSTANTS),
    # What exceptions do to it.
    Column("excluded", Boolean, nullable=False, server_default=false()),
    Column("extra_seconds", Integer, nullable=False, server_default="0"),
    Column("relief_seconds", Integer),
    Column("frozen", ARRAY(DateTime(timezone=True)), nullable=False, server_default=_NO_INSTANTS),
    # What follows from all that, for SQL to read: the target in force, the deadline (none while a pause holds it up),
    # the deadline had no exception been granted, the instants of the warnings.
    Column("target_seconds", Integer),
    Column("due_at", DateTime(timezone=True)),
    Column("original_due_at", DateTime(timezone=True)),
    Column("unrelieved_due_at", DateTime(timezone=True)),
    Column("warnings", ARRAY(DateTime(timezone=True)), nullable=False),
    Column("stopped_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_reason", Text),
    # Its ticket is spam: it is in no figure, goal or queue.
    Column("spam", Boolean, nullable=False, server_default=false()),
    # In the clock's own time, once it has ended.
    Column("elapsed", Interval),
    # The next instant at which anything happens to this clock by itself. The sweep reads nothing else.
    Column("next_at", DateTime(timezone=True)),
    Column("detected_at", DateTime(timezone=True)),
    # Whose and of what it was when it ended: figures of the past are grouped by these, never by what the ticket is now.
    # All null while it runs; `customer_id` says whether they are there.
    Column("responder_id", Uuid),
    Column("assignee_id", Uuid),
    Column("team_id", Uuid),
    Column("organization_id", Uuid),
    Column("customer_id", Uuid),
    Column("ticket_policy_id", Uuid),
    Column("priority", Text),
    Column("type", Text),
    Column("channel", Text),
    Column("product", Text),
    Column("region", Text),
    Column("tags", ARRAY(Text)),
    UniqueConstraint("ticket_id", "metric", "cycle"),
    ForeignKeyConstraint(
        ["policy_id", "policy_version"],
        ["sla_policy_versions.policy_id", "sla_policy_versions.version"],
        name="fk_sla_clocks_policy_version",
    ),
    CheckConstraint("ended_at >= started_at", name="ends_after_start"),
    CheckConstraint("due_at IS NULL OR target_seconds IS NOT NULL", name="deadline_needs_target"),
    Index("ix_sla_clocks_next_at", "next_at", postgresql_where="next_at IS NOT NULL"),
    Index(
        "ix_sla_clocks_queue",
        text(f"coalesce(due_at, {LATEST_SQL})"),
        "id",
        postgresql_where="ended_at IS NULL AND target_seconds IS NOT NULL",
    ),
    Index("ix_sla_clocks_started_at", "metric", "started_at"),
    # The list: all that have a target by deadline, and those that ended; what runs by metric; who waits longest.
    Index(
        "ix_sla_clocks_deadline",
        text(f"coalesce(due_at, {LATEST_SQL})"),
        "id",
        postgresql_where="target_seconds IS NOT NULL",
    ),
    Index(
        "ix_sla_clocks_ended_deadline",
        text(f"coalesce(due_at, {LATEST_SQL})"),
        "id",
        postgresql_where="ended_at IS NOT NULL AND target_seconds IS NOT NULL",
    ),
    Index(
        "ix_sla_clocks_metric_queue",
        "metric",
        text(f"coalesce(due_at, {LATEST_SQL})"),
        "id",
        postgresql_where="ended_at IS NULL AND target_seconds IS NOT NULL",
    ),
    Index("ix_sla_clocks_waiting", "started_at", "id", postgresql_where="ended_at IS NULL"),
    Index("ix_sla_clocks_metric_waiting", "metric", "started_at", "id", postgresql_where="ended_at IS NULL"),
    Index("ix_sla_clocks_ended", "started_at", "id", postgresql_where="ended_at IS NOT NULL"),
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

sla_exceptions = Table(
    "sla_exceptions",
    metadata,
    Column("id", Uuid, primary_key=True),
    # `sla` relaxes clocks, `automation` keeps automations away: those named, or all.
    Column("kind", Text, nullable=False, server_default="sla"),
    Column("automations", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("scope", Text, nullable=False),
    # Whose: one of these by the scope, none where it is for everything.
    Column("ticket_id", Uuid, ForeignKey("tickets.id")),
    Column("customer_id", Uuid, ForeignKey("customers.id")),
    Column("segment_id", Uuid, ForeignKey("segments.id")),
    Column("effect", Text),
    Column("metrics", ARRAY(Text), nullable=False),
    Column("seconds", Integer),
    Column("reason", Text, nullable=False),
    Column("granted_by_kind", Text, nullable=False),
    Column("granted_by_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    # `started` reaches clocks that start while it is in force, `running` also those that run when it begins.
    Column("applies_to", Text, nullable=False, server_default="running"),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    # How many of the clocks that ran when it was granted it reaches, and of how many tickets.
    Column("reached_clocks", Integer, nullable=False, server_default="0"),
    Column("reached_tickets", Integer, nullable=False, server_default="0"),
    # When it begins or expires next: the worker reads nothing else.
    Column("next_at", DateTime(timezone=True)),
    CheckConstraint("expires_at > starts_at", name="starts_before_it_expires"),
    CheckConstraint("(effect IS NULL) = (kind = 'automation')", name="effect_on_clocks"),
    Index("ix_sla_exceptions_automation", "starts_at", postgresql_where="kind = 'automation' AND revoked_at IS NULL"),
    Index("ix_sla_exceptions_ticket_id", "ticket_id"),
    Index("ix_sla_exceptions_customer_id", "customer_id", postgresql_where="customer_id IS NOT NULL"),
    Index("ix_sla_exceptions_segment_id", "segment_id", postgresql_where="segment_id IS NOT NULL"),
    Index("ix_sla_exceptions_created_at", "created_at", "id"),
    Index("ix_sla_exceptions_next_at", "next_at", postgresql_where="next_at IS NOT NULL"),
)

# Matching many tickets anew: a row per run, whose position commits with what the batch changed.
sla_jobs = Table(
    "sla_jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("run_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    # Where it is about customers who joined or left a segment: since when.
    Column("changed_since", DateTime(timezone=True)),
    Column("after_ticket_id", Uuid),
    Column("tickets_seen", Integer, nullable=False, server_default="0"),
    Column("tickets_total", Integer),
    Column("tickets", Integer, nullable=False, server_default="0"),
    Column("clocks", Integer, nullable=False, server_default="0"),
    Column("deadlines", Integer, nullable=False, server_default="0"),
    Column("breaches", Integer, nullable=False, server_default="0"),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_sla_jobs_run_at", "run_at", postgresql_where="finished_at IS NULL"),
    Index("ix_sla_jobs_created_at", "created_at", "id"),
)
