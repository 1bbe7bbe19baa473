"""Customers who take part in another one's ticket, and organizations whose members read one another's."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

_UPLOADED = "ix_attachments_author_id"


def upgrade() -> None:
    shared = sa.Column("shared", sa.Boolean, server_default=sa.false(), nullable=False)
    op.add_column("organizations", shared, if_not_exists=True)
    op.create_table(
        "ticket_participants",
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.id", name="fk_ticket_participants_ticket_id")),
        sa.Column("customer_id", sa.Uuid, sa.ForeignKey("customers.id", name="fk_ticket_participants_customer_id")),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("from_ticket_id", sa.Uuid),
        sa.PrimaryKeyConstraint("ticket_id", "customer_id", name="pk_ticket_participants"),
        if_not_exists=True,
    )
    op.create_index("ix_ticket_participants_customer_id", "ticket_participants", ["customer_id"], if_not_exists=True)
    with op.get_context().autocommit_block():
        # A build that broke off leaves an index that is not valid.
        op.drop_index(_UPLOADED, postgresql_concurrently=True, if_exists=True)
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_UPLOADED} ON attachments (author_id)"
            " WHERE author_kind = 'customer'"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_UPLOADED, postgresql_concurrently=True, if_exists=True)
    op.drop_table("ticket_participants")
    op.drop_column("organizations", "shared")
