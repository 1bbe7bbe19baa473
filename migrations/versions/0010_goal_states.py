"""How each goal stood when it was last judged, so that what changes is told once."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "service_goal_states",
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("standing", sa.Text(), server_default="met", nullable=False),
        sa.Column("crosses_at", _INSTANT, nullable=True),
        sa.Column("judged_at", _INSTANT, nullable=True),
        sa.Column("next_at", _INSTANT, server_default=sa.text("'1970-01-01 00:00:00+00'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["service_goals.id"], name=op.f("fk_service_goal_states_goal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("goal_id", name=op.f("pk_service_goal_states")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON service_goal_states TO ninety_service")


def downgrade() -> None:
    op.drop_table("service_goal_states")
