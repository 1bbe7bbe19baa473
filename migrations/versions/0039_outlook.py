"""What is known of how long first answers take. It is worked out from the clocks: the worker begins with the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0039"
down_revision = "0038"

_INSTANT = sa.DateTime(timezone=True)
_LEARNT = "seconds IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "outlook_waits",
        sa.Column("clock_id", sa.Uuid, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("ended_at", _INSTANT),
        sa.Column("seconds", sa.Double),
        sa.Column("answered", sa.Boolean),
        sa.Column("ahead", sa.SmallInteger),
        sa.Column("idle", sa.SmallInteger),
        sa.Column("said", ARRAY(sa.Double)),
        sa.PrimaryKeyConstraint("clock_id", name="pk_outlook_waits"),
        sa.CheckConstraint("(seconds IS NULL) = (answered IS NULL)", name="ck_outlook_waits_learnt_in_whole"),
        if_not_exists=True,
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_outlook_waits_while ON outlook_waits"
        " USING gist (tstzrange(started_at, ended_at))"
    )
    for name, columns in (
        ("priority_ahead_idle", ["priority", "ahead", "idle"]),
        ("ahead_idle", ["ahead", "idle"]),
        ("ahead", ["ahead"]),
        ("ended_at", []),
    ):
        op.create_index(
            f"ix_outlook_waits_{name}", "outlook_waits", [*columns, "ended_at", "clock_id"],
            postgresql_where=sa.text(_LEARNT), if_not_exists=True,
        )  # fmt: skip
    op.create_table(
        "outlook_curves",
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("ahead", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("idle", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("waits", sa.Integer, nullable=False),
        sa.Column("seconds", ARRAY(sa.Double), nullable=False),
        sa.Column("shares", ARRAY(sa.Double), nullable=False),
        sa.PrimaryKeyConstraint("priority", "ahead", "idle", name="pk_outlook_curves"),
        if_not_exists=True,
    )
    op.create_index("ix_outlook_curves_revision", "outlook_curves", ["revision"], if_not_exists=True)
    op.create_table(
        "outlook_revision",
        sa.Column("id", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outlook_revision"),
        sa.CheckConstraint("id", name="ck_outlook_revision_one_row"),
        if_not_exists=True,
    )
    op.execute("INSERT INTO outlook_revision (revision) VALUES (0) ON CONFLICT DO NOTHING")
    op.create_table(
        "outlook_hands",
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("idle", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("at", name="pk_outlook_hands"),
        if_not_exists=True,
    )
    op.add_column(
        "sla_policy_versions",
        sa.Column("shown_to_customers", sa.Boolean, server_default=sa.true(), nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_column("sla_policy_versions", "shown_to_customers")
    for name in ("outlook_hands", "outlook_revision", "outlook_curves", "outlook_waits"):
        op.drop_table(name)
