"""Who is writing an answer just now."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.create_table(
        "answering",
        sa.Column("ticket_id", sa.Uuid),
        sa.Column("caller_id", sa.Uuid),
        sa.Column("agent_id", sa.Uuid),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "caller_id", name="pk_answering"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("answering")
