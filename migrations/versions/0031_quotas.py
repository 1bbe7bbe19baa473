"""What a ticket holds and a customer stores in a day is counted, and bounded. It is counted from now on.
Answers kept for a repeat are kept without the long texts of their requests."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_table(
        "ticket_bytes",
        sa.Column("ticket_id", sa.Uuid),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("most", sa.BigInteger),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket_bytes")),
        sa.CheckConstraint("bytes <= most", name=op.f("ck_ticket_bytes_within")),
        if_not_exists=True,
    )
    op.create_table(
        "customer_bytes",
        sa.Column("customer_id", sa.Uuid),
        sa.Column("day", sa.Date),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("most", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "day", name=op.f("pk_customer_bytes")),
        sa.CheckConstraint("bytes <= most", name=op.f("ck_customer_bytes_within")),
        if_not_exists=True,
    )
    cuts: sa.Column[list[int]] = sa.Column("cuts", sa.ARRAY(sa.Integer), server_default="{}", nullable=False)
    op.add_column("idempotency_records", cuts, if_not_exists=True)
    op.create_index("ix_customer_bytes_day", "customer_bytes", ["day"], if_not_exists=True)


def downgrade() -> None:
    # What was cut is told of by nobody else.
    op.execute("DELETE FROM idempotency_records WHERE cuts <> '{}'")
    op.drop_column("idempotency_records", "cuts")
    op.drop_table("customer_bytes")
    op.drop_table("ticket_bytes")
