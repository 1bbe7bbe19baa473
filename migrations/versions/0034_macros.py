"""Macros: prepared answers and changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.create_table(
        "macros",
        sa.Column("id", sa.Uuid),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("changes", JSONB, nullable=False),
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_macros"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("macros")
