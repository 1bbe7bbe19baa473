"""Who waits is found by deadline and who waited by instant, so that an urgent newcomer costs no look at a long queue
behind them."""

from alembic import op

revision = "0043"
down_revision = "0042"

_WHILE = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_outlook_waits_while ON outlook_waits"
_INDEXES = {
    "ix_outlook_waits_due_at": "(due_at, clock_id) WHERE ended_at IS NULL AND due_at IS NOT NULL",
    "ix_outlook_waits_then": (
        "USING gist (tstzrange(started_at, ended_at)) WHERE ended_at IS NOT NULL AND due_at IS NOT NULL"
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, columns in _INDEXES.items():
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON outlook_waits {columns}")
        op.drop_index("ix_outlook_waits_while", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"{_WHILE} USING gist (tstzrange(started_at, ended_at))")
        for name in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
