"""Segments, who is a member, overrides; exceptions for customers, segments and everything; the segment of a ticket.

Columns are added without or with constant defaults, which writes no row; indexes of tables with rows come with the next
revision."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

_INSTANT = sa.DateTime(timezone=True)
_NOW = sa.text("clock_timestamp()")
_RULE = postgresql.JSONB(none_as_null=True)
_MOVED = ("override_ids", "exception_ids")


def _foreign(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def _created_at() -> sa.Column[Any]:
    return sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False)


def upgrade() -> None:
    _segments()
    _overrides()
    _members()
    _jobs()
    op.add_column("tickets", sa.Column("segment", sa.Text(), nullable=True))
    op.add_column("sla_jobs", sa.Column("changed_since", _INSTANT, nullable=True))
    for name in _MOVED:
        column: sa.Column[Any] = sa.Column(name, sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False)
        op.add_column("customer_merges", column)
    op.execute("-- squawk-ignore ban-drop-not-null\nALTER TABLE sla_exceptions ALTER COLUMN ticket_id DROP NOT NULL")
    for name, other in (("customer_id", "customers"), ("segment_id", "segments")):
        op.add_column("sla_exceptions", sa.Column(name, sa.Uuid(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_sla_exceptions_{name}"), "sla_exceptions", other, [name], ["id"], postgresql_not_valid=True
        )


def _segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("need", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rule", _RULE, nullable=True),
        sa.Column("rule_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("self_service", sa.Boolean(), nullable=False),
        sa.Column("judged", sa.Boolean(), nullable=False),
        sa.Column("archived_at", _INSTANT, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        _created_at(),
        sa.Column("updated_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("key_folded", name=op.f("uq_segments_key_folded")),
    )
    op.create_table(
        "segment_versions",
        sa.Column("segment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rule", _RULE, nullable=True),
        _created_at(),
        _foreign("segment_versions", "segment_id", "segments"),
        sa.PrimaryKeyConstraint("segment_id", "version", name=op.f("pk_segment_versions")),
    )
    op.create_table(
        "segment_revision",
        sa.Column("id", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("id", name=op.f("ck_segment_revision_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment_revision")),
    )
    op.execute("INSERT INTO segment_revision (revision) VALUES (0)")


def _overrides() -> None:
    op.create_table(
        "segment_overrides",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("segment_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by_kind", sa.Text(), nullable=False),
        sa.Column("made_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.CheckConstraint("effect IN ('include', 'exclude')", name=op.f("ck_segment_overrides_known_effect")),
        _foreign("segment_overrides", "segment_id", "segments"),
        _foreign("segment_overrides", "customer_id", "customers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment_overrides")),
    )
    op.create_index(
        "uq_segment_overrides_in_force", "segment_overrides", ["segment_id", "customer_id"], unique=True,
        postgresql_where="ended_at IS NULL",
    )  # fmt: skip
    op.create_index("ix_segment_overrides_customer_id", "segment_overrides", ["customer_id"])
    op.create_index("ix_segment_overrides_segment_id", "segment_overrides", ["segment_id", "created_at", "id"])
    op.create_index(
        "ix_segment_overrides_expires_at", "segment_overrides", ["expires_at"],
        postgresql_where="ended_at IS NULL AND expires_at IS NOT NULL",
    )  # fmt: skip


def _members() -> None:
    op.create_table(
        "segment_members",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("segment_id", sa.Uuid(), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=True),
        sa.Column("rule_version", sa.Integer(), nullable=True),
        sa.Column("override_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(rule_version IS NULL) <> (override_id IS NULL)", name=op.f("ck_segment_members_one_reason")
        ),
        _foreign("segment_members", "customer_id", "customers"),
        _foreign("segment_members", "segment_id", "segments"),
        _foreign("segment_members", "override_id", "segment_overrides"),
        sa.PrimaryKeyConstraint("customer_id", "segment_id", "since", name=op.f("pk_segment_members")),
    )
    op.create_index(
        "uq_segment_members_now", "segment_members", ["segment_id", "customer_id"], unique=True,
        postgresql_where="until IS NULL",
    )  # fmt: skip
    op.create_table(
        "segment_rechecks",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        _foreign("segment_rechecks", "customer_id", "customers"),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_segment_rechecks")),
    )
    op.create_index(op.f("ix_segment_rechecks_at"), "segment_rechecks", ["at"])


def _jobs() -> None:
    op.create_table(
        "segment_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("run_at", _INSTANT, nullable=False),
        sa.Column("customers_since", _INSTANT, nullable=True),
        sa.Column("after_customer_id", sa.Uuid(), nullable=True),
        sa.Column("customers_seen", sa.Integer(), server_default="0", nullable=False),
        sa.Column("customers_total", sa.Integer(), nullable=True),
        sa.Column("added", sa.Integer(), server_default="0", nullable=False),
        sa.Column("removed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment_jobs")),
    )
    op.create_index("ix_segment_jobs_run_at", "segment_jobs", ["run_at"], postgresql_where="finished_at IS NULL")
    op.create_index("ix_segment_jobs_created_at", "segment_jobs", ["created_at", "id"])


def downgrade() -> None:
    """What the older release does not know goes with its tables: also exceptions that are for no single ticket."""
    op.execute("DELETE FROM sla_exceptions WHERE ticket_id IS NULL")
    for name in ("customer_id", "segment_id"):
        op.drop_column("sla_exceptions", name)
    op.alter_column("sla_exceptions", "ticket_id", nullable=False)
    for name in _MOVED:
        op.drop_column("customer_merges", name)
    op.drop_column("sla_jobs", "changed_since")
    op.drop_column("tickets", "segment")
    for table in (
        "segment_jobs", "segment_rechecks", "segment_members", "segment_overrides", "segment_revision",
        "segment_versions", "segments",
    ):  # fmt: skip
        op.drop_table(table)
