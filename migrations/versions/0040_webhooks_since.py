"""What was committed when a webhook was made: it hears of everything else, however long that takes to be committed."""

from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    op.execute("ALTER TABLE webhooks ADD COLUMN IF NOT EXISTS since_epoch smallint")
    op.execute("ALTER TABLE webhooks ADD COLUMN IF NOT EXISTS since_snapshot pg_snapshot")


def downgrade() -> None:
    op.drop_column("webhooks", "since_snapshot")
    op.drop_column("webhooks", "since_epoch")
