"""How often the oldest may be passed over; since when a ticket's customer waited when it was claimed."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"

_INDEX = "ix_ticket_claims_waiting_since"


def upgrade() -> None:
    op.add_column("claim_queue", sa.Column("spare_claims", sa.Integer()), if_not_exists=True)
    op.alter_column("claim_queue", "pace_seconds", server_default="0")
    op.add_column("ticket_claims", sa.Column("waiting_since", sa.DateTime(timezone=True)), if_not_exists=True)
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_INDEX} ON ticket_claims (waiting_since)"
            " WHERE waiting_since IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_INDEX, postgresql_concurrently=True, if_exists=True)
    op.drop_column("ticket_claims", "waiting_since")
    op.alter_column("claim_queue", "pace_seconds", server_default=None)
    op.drop_column("claim_queue", "spare_claims")
