"""Whether agents are there: what each of them said last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "agent_availability",
        sa.Column("agent_id", sa.Uuid, sa.ForeignKey("agents.id", name="fk_agent_availability_agent_id")),
        sa.Column("state", sa.Text, server_default="offline", nullable=False),
        sa.Column("capacity", sa.Integer, server_default="0", nullable=False),
        sa.Column("channels", postgresql.JSONB),
        sa.Column("skills", postgresql.ARRAY(sa.Text), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("until", _INSTANT),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("heard_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT),
        sa.PrimaryKeyConstraint("agent_id", name="pk_agent_availability"),
        sa.CheckConstraint(
            "(state = 'offline') = (expires_at IS NULL)", name="ck_agent_availability_expires_unless_offline"
        ),
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_availability_expires_at", "agent_availability", ["expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL"), if_not_exists=True,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("agent_availability")
