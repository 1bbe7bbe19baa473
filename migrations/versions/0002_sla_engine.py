"""Calendars, every metric, pauses, exceptions, promises, jobs.

Columns are added with constants for defaults, which writes no row; the next revision fills them. Clocks that the older
release did not keep are worked out from the log by `ninety verify --repair`."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_INSTANT = sa.DateTime(timezone=True)
_INSTANTS = sa.ARRAY(_INSTANT)
_NONE = sa.text("'{}'")
_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "business_calendars",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("archived_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_business_calendars")),
    )
    op.create_table(
        "business_calendar_versions",
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("hours", postgresql.JSONB(), nullable=False),
        sa.Column("holidays", sa.ARRAY(sa.Date()), nullable=False),
        sa.Column("holiday_region", sa.Text(), nullable=True),
        sa.Column("region_holidays", sa.ARRAY(sa.Date()), nullable=False),
        sa.Column("date_hours", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["calendar_id"], ["business_calendars.id"], name=op.f("fk_business_calendar_versions_calendar_id")
        ),
        sa.PrimaryKeyConstraint("calendar_id", "version", name=op.f("pk_business_calendar_versions")),
    )
    _policies()
    _clocks()
    _tickets()
    op.create_table(
        "sla_exceptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("metrics", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by_kind", sa.Text(), nullable=False),
        sa.Column("granted_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("starts_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("revoked_at", _INSTANT, nullable=True),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.CheckConstraint("expires_at > starts_at", name=op.f("ck_sla_exceptions_starts_before_it_expires")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_sla_exceptions_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sla_exceptions")),
    )
    op.create_index("ix_sla_exceptions_ticket_id", "sla_exceptions", ["ticket_id"])
    op.create_index("ix_sla_exceptions_created_at", "sla_exceptions", ["created_at", "id"])
    op.create_index("ix_sla_exceptions_next_at", "sla_exceptions", ["next_at"], postgresql_where="next_at IS NOT NULL")
    _jobs()
    _promises()
    _messages()


def _policies() -> None:
    op.add_column("sla_policy_versions", sa.Column("calendar_id", sa.Uuid(), nullable=True))
    op.add_column("sla_policy_versions", sa.Column("on_reopen", sa.Text(), server_default="resume", nullable=False))
    op.add_column(
        "sla_policy_versions",
        sa.Column("reopen_on_customer_message", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.create_foreign_key(
        op.f("fk_sla_policy_versions_calendar_id"),
        "sla_policy_versions",
        "business_calendars",
        ["calendar_id"],
        ["id"],
        postgresql_not_valid=True,
    )


_CLOCK_COLUMNS: list[tuple[str, Any, Any]] = [
    ("promised_seconds", sa.Integer(), None),
    ("calendar_id", sa.Uuid(), None),
    ("calendar_version", sa.Integer(), None),
    ("pause_on", sa.ARRAY(sa.Text()), _NONE),
    ("promised_until", _INSTANT, None),
    ("pauses", _INSTANTS, _NONE),
    ("resolved", _INSTANTS, _NONE),
    ("excluded", sa.Boolean(), sa.false()),
    ("extra_seconds", sa.Integer(), "0"),
    ("relief_seconds", sa.Integer(), None),
    ("frozen", _INSTANTS, _NONE),
    ("unrelieved_due_at", _INSTANT, None),
    ("elapsed", sa.Interval(), None),
]
_CHECK = "ck_sla_clocks_deadline_needs_target"


def _clocks() -> None:
    for name, type_, default in _CLOCK_COLUMNS:
        op.add_column("sla_clocks", sa.Column(name, type_, server_default=default, nullable=default is None))
    # A weaker one takes its place: a paused clock has a target and no deadline.
    op.execute(
        "-- squawk-ignore ban-drop-constraint\nALTER TABLE sla_clocks DROP CONSTRAINT ck_sla_clocks_deadline_has_target"
    )
    op.create_check_constraint(
        op.f(_CHECK), "sla_clocks", "due_at IS NULL OR target_seconds IS NOT NULL", postgresql_not_valid=True
    )


def _tickets() -> None:
    op.add_column("tickets", sa.Column("policy_id", sa.Uuid(), nullable=True))
    op.add_column("tickets", sa.Column("policy_version", sa.Integer(), nullable=True))
    op.add_column("tickets", sa.Column("calendar_version", sa.Integer(), nullable=True))
    op.add_column("tickets", sa.Column("exceptions", postgresql.JSONB(), nullable=True))
    op.add_column("tickets", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_tickets_merged_into"), "tickets", "tickets", ["merged_into"], ["id"], postgresql_not_valid=True
    )


def _jobs() -> None:
    counts = ("tickets_seen", "tickets", "clocks", "deadlines", "breaches")
    op.create_table(
        "sla_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("run_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("after_ticket_id", sa.Uuid(), nullable=True),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in counts),
        sa.Column("tickets_total", sa.Integer(), nullable=True),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sla_jobs")),
    )
    op.create_index("ix_sla_jobs_run_at", "sla_jobs", ["run_at"], postgresql_where="finished_at IS NULL")
    op.create_index("ix_sla_jobs_created_at", "sla_jobs", ["created_at", "id"])


def _promises() -> None:
    op.create_table(
        "promises",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("made_by_kind", sa.Text(), nullable=False),
        sa.Column("made_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("kept_at", _INSTANT, nullable=True),
        sa.Column("withdrawn_at", _INSTANT, nullable=True),
        sa.Column("withdrawn_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_promises_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promises")),
        sa.UniqueConstraint("ticket_id", "cycle", name=op.f("uq_promises_ticket_id_cycle")),
    )


def _messages() -> None:
    op.add_column("messages", sa.Column("edited_at", _INSTANT, nullable=True))
    op.add_column("messages", sa.Column("deleted_at", _INSTANT, nullable=True))
    op.add_column("messages", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.create_table(
        "message_versions",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("replaced_at", _INSTANT, nullable=False),
        sa.Column("replaced_by_kind", sa.Text(), nullable=False),
        sa.Column("replaced_by_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_message_versions_message_id")),
        sa.PrimaryKeyConstraint("message_id", "version", name=op.f("pk_message_versions")),
    )


def downgrade() -> None:
    """What the older release cannot show goes: clocks of other metrics, targets of paused ones."""
    op.drop_table("message_versions")
    for name in ("version", "deleted_at", "edited_at"):
        op.drop_column("messages", name)
    op.drop_table("promises")
    op.drop_table("sla_jobs")
    op.drop_table("sla_exceptions")
    for name in ("merged_into", "exceptions", "calendar_version", "policy_version", "policy_id"):
        op.drop_column("tickets", name)
    op.execute("DELETE FROM sla_alerts WHERE clock_id IN (SELECT id FROM sla_clocks WHERE metric <> 'first_response')")
    op.execute("DELETE FROM sla_clocks WHERE metric <> 'first_response'")
    op.execute("UPDATE sla_clocks SET target_seconds = NULL WHERE due_at IS NULL AND target_seconds IS NOT NULL")
    op.drop_constraint(op.f(_CHECK), "sla_clocks")
    op.create_check_constraint(
        op.f("ck_sla_clocks_deadline_has_target"), "sla_clocks", "(due_at IS NULL) = (target_seconds IS NULL)"
    )
    for name, _, _ in _CLOCK_COLUMNS:
        op.drop_column("sla_clocks", name)
    for name in ("reopen_on_customer_message", "on_reopen", "calendar_id"):
        op.drop_column("sla_policy_versions", name)
    op.drop_table("business_calendar_versions")
    op.drop_table("business_calendars")
