"""Webhooks, their secrets and their deliveries. The reader of the log that makes deliveries begins with what happens
from now on: there was nobody to tell of the past."""

import sqlalchemy as sa
from alembic import op

from app.events.tables import Xid8

revision = "0011"
down_revision = "0010"

_INSTANT = sa.DateTime(timezone=True)
_NOW = sa.text("clock_timestamp()")
_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open_until", _INSTANT, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("updated_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_created_at", "webhooks", ["created_at", "id"])
    op.create_table(
        "webhook_secrets",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_secrets_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", "created_at", name=op.f("pk_webhook_secrets")),
    )
    _deliveries()
    op.execute(
        "INSERT INTO event_readers (name, epoch, xid, event_id)"
        " SELECT 'webhooks', epoch, pg_snapshot_xmin(pg_current_snapshot()), 0 FROM event_log ON CONFLICT DO NOTHING"
    )


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_epoch", sa.SmallInteger(), nullable=True),
        sa.Column("event_xid", Xid8(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("event_at", _INSTANT, nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("about_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _INSTANT, nullable=False),
        sa.Column("give_up_at", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("attempted_at", _INSTANT, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nulls(event_epoch, event_xid, event_id, event_at) IN (0, 4)",
            name=op.f("ck_webhook_deliveries_whole_event"),
        ),
        sa.PrimaryKeyConstraint("webhook_id", "id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint(
            "webhook_id",
            "event_epoch",
            "event_xid",
            "event_id",
            name=op.f("uq_webhook_deliveries_event"),
        ),
    )
    for name, columns, where in (
        ("state", ["webhook_id", "state", "id"], None),
        ("due", ["webhook_id", "next_at"], _PENDING),
        ("give_up_at", ["give_up_at"], _PENDING),
        ("about_id", ["about_id"], None),
        ("created_at", ["created_at"], None),
    ):
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", columns, postgresql_where=where)


def downgrade() -> None:
    op.execute("DELETE FROM event_readers WHERE name = 'webhooks'")
    for table in ("webhook_deliveries", "webhook_secrets", "webhooks"):
        op.drop_table(table)
