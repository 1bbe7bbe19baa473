"""Reminders that were told of. Those of the past are over."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"

_INDEX = "ix_promises_reminders"
_REMINDER = "text = 'To remind the customer, who has not confirmed.'"


def upgrade() -> None:
    op.add_column("promises", sa.Column("reminded_at", sa.DateTime(timezone=True)), if_not_exists=True)
    op.execute(f"UPDATE promises SET reminded_at = due_at WHERE {_REMINDER} AND due_at < now()")
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_INDEX} ON promises (due_at)"
            f" WHERE {_REMINDER} AND reminded_at IS NULL AND kept_at IS NULL AND withdrawn_at IS NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
    op.drop_column("promises", "reminded_at")
