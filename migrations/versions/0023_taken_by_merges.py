"""A merge of customers keeps what the target took of the source, so that it can go back."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("ALTER TABLE customer_merges ADD taken text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE customer_merges DROP taken")
