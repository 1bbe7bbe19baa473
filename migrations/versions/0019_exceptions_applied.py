"""Which clocks an exception reaches. Those that were granted before reach what runs, as they did."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column(
        "sla_exceptions", sa.Column("applies_to", sa.Text(), nullable=False, server_default=sa.text("'running'"))
    )
    for name in ("reached_clocks", "reached_tickets"):
        op.add_column("sla_exceptions", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for name in ("reached_tickets", "reached_clocks"):
        op.drop_column("sla_exceptions", name)
    op.drop_column("sla_exceptions", "applies_to")
