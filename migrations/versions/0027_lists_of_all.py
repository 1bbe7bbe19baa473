"""The promises of all tickets, and what was given up of all webhooks, are listed. The indexes are built beside the
writers."""

from alembic import op

revision = "0027"
down_revision = "0026"

_INDEXES = {
    "ix_promises_due_at": "promises (due_at, id)",
    "ix_webhook_deliveries_dead": "webhook_deliveries (created_at, id) WHERE state = 'dead'",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, on in _INDEXES.items():
            # A build that broke off leaves an index that is not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {on}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in _INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
