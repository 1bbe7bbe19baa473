"""What 0006 added to tables with rows is checked and indexed, in steps that hold no lock for long."""

from alembic import op

revision = "0007"
down_revision = "0006"

_INDEXES = [
    ("ix_tickets_segment", "tickets", ["segment", "created_at", "id"], "segment IS NOT NULL"),
    ("ix_sla_exceptions_customer_id", "sla_exceptions", ["customer_id"], "customer_id IS NOT NULL"),
    ("ix_sla_exceptions_segment_id", "sla_exceptions", ["segment_id"], "segment_id IS NOT NULL"),
]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, columns, where in _INDEXES:
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name, table, columns, postgresql_where=where, postgresql_concurrently=True, if_not_exists=True
            )
    for name in ("customer_id", "segment_id"):
        op.execute(f"ALTER TABLE sla_exceptions VALIDATE CONSTRAINT fk_sla_exceptions_{name}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, _, _, _ in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
