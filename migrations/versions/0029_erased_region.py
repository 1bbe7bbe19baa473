"""An erased customer's region stays with the figures of what still runs."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("customers", sa.Column("erased_region", sa.Text, nullable=True), if_not_exists=True)


def downgrade() -> None:
    op.drop_column("customers", "erased_region")
