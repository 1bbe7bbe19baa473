"""What was told of a wait when its outlook became much worse."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.add_column("outlook_waits", sa.Column("told_seconds", sa.Double()), if_not_exists=True)


def downgrade() -> None:
    op.drop_column("outlook_waits", "told_seconds")
