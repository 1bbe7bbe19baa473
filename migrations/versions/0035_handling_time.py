"""How long the staff worked: at messages, added up at tickets, and since when an assignee has a ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

_HANDLED = "ix_messages_handled"


def upgrade() -> None:
    total = sa.Column("handling_seconds", sa.Float, server_default="0", nullable=False)
    op.add_column("tickets", sa.Column("assigned_at", sa.DateTime(timezone=True)), if_not_exists=True)
    op.add_column("tickets", total, if_not_exists=True)
    op.add_column("messages", sa.Column("handling_seconds", sa.Float), if_not_exists=True)
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.drop_index(_HANDLED, postgresql_concurrently=True, if_exists=True)
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_HANDLED} ON messages (created_at)"
            " WHERE handling_seconds IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_HANDLED, postgresql_concurrently=True, if_exists=True)
    op.drop_column("messages", "handling_seconds")
    op.drop_column("tickets", "handling_seconds")
    op.drop_column("tickets", "assigned_at")
