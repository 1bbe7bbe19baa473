"""Clocks that ended are listed by deadline from the latest one on, past which very many may still run. The index is
built beside the writers."""

from alembic import op

revision = "0030"
down_revision = "0029"

_NAME = "ix_sla_clocks_ended_deadline"
_ON = (
    "sla_clocks (coalesce(due_at, '2200-01-01 00:00:00+00'::timestamptz), id) "
    "WHERE ended_at IS NOT NULL AND target_seconds IS NOT NULL"
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_NAME} ON {_ON}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")
