"""Which release is the oldest that works on this schema. A migration that takes something away says so:
`UPDATE schema_support SET not_below = '00NN'`, the newest migration of the oldest release that does without."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "schema_support",
        sa.Column("one", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("not_below", sa.Text(), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_schema_support_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_schema_support")),
    )
    # All before this one ask for their own schema, and for no other.
    op.execute(f"INSERT INTO schema_support (not_below) VALUES ('{revision}')")
    op.execute("REVOKE INSERT, UPDATE, DELETE ON schema_support FROM ninety_service")


def downgrade() -> None:
    op.drop_table("schema_support")
