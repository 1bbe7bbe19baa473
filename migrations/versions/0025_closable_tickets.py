"""The index of what closes by itself holds no ticket that nobody has touched since its import: there may be very many,
and none of them ever closes."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_OLD, _NEW = "ix_tickets_resolved_at", "ix_tickets_closable"
_RESOLVED = "status = 'resolved' AND NOT needs_human"


def upgrade() -> None:
    _replace(_OLD, _NEW, f"{_RESOLVED} AND NOT (imported AND version = 1)")


def downgrade() -> None:
    _replace(_NEW, _OLD, _RESOLVED)


def _replace(before: str, after: str, where: str) -> None:
    with op.get_context().autocommit_block():
        # One that was broken off is there, and invalid.
        op.drop_index(after, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            after,
            "tickets",
            ["resolved_at", "id"],
            postgresql_concurrently=True,
            if_not_exists=True,
            postgresql_where=sa.text(where),
        )
        op.drop_index(before, postgresql_concurrently=True, if_exists=True)
