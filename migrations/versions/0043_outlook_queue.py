"""Who waits is found by deadline, so that an urgent newcomer costs no look at a long queue behind them."""

from alembic import op

revision = "0043"
down_revision = "0042"

_INDEX = "ix_outlook_waits_due_at"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_INDEX} ON outlook_waits (due_at, clock_id)"
            " WHERE ended_at IS NULL AND due_at IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
