"""Merges that can be undone, and spam. What was merged before stays merged: nobody wrote down how it was, so it cannot
come back, but the tickets that it went into say so."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("tickets", sa.Column("merged_from", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False))
    op.add_column("tickets", sa.Column("spam_at", _INSTANT, nullable=True))
    op.add_column("tickets", sa.Column("status_before_spam", sa.Text(), nullable=True))
    op.add_column("sla_clocks", sa.Column("spam", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("ticket_followers", sa.Column("from_ticket_id", sa.Uuid(), nullable=True))
    op.create_table(
        "ticket_merges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("merged_at", _INSTANT, nullable=False),
        sa.Column("source_status", sa.Text(), nullable=False),
        sa.Column("source_waiting_since", _INSTANT, nullable=True),
        sa.Column("target_waiting_since", _INSTANT, nullable=True),
        sa.Column("target_status", sa.Text(), nullable=False),
        sa.Column("target_version", sa.Integer(), nullable=False),
        sa.Column("target_needed_human", sa.Boolean(), nullable=False),
        sa.Column("added_tags", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("undone_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["tickets.id"], name=op.f("fk_ticket_merges_source_id")),
        sa.ForeignKeyConstraint(["target_id"], ["tickets.id"], name=op.f("fk_ticket_merges_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_merges")),
    )
    op.create_index(
        "uq_ticket_merges_source_id", "ticket_merges", ["source_id"], unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )  # fmt: skip
    op.create_index("ix_ticket_merges_target_id", "ticket_merges", ["target_id"])
    op.execute(
        """
        WITH RECURSIVE way AS (
            SELECT id AS source_id, merged_into AS target_id FROM tickets WHERE merged_into IS NOT NULL
            UNION
            SELECT way.source_id, t.merged_into FROM way JOIN tickets t ON t.id = way.target_id
            WHERE t.merged_into IS NOT NULL
        )
        UPDATE tickets SET merged_from = came.ids
        FROM (SELECT target_id, array_agg(source_id ORDER BY source_id) AS ids FROM way GROUP BY target_id) AS came
        WHERE tickets.id = came.target_id
        """
    )


def downgrade() -> None:
    op.drop_table("ticket_merges")
    op.drop_column("ticket_followers", "from_ticket_id")
    op.drop_column("sla_clocks", "spam")
    op.drop_column("tickets", "status_before_spam")
    op.drop_column("tickets", "spam_at")
    op.drop_column("tickets", "merged_from")
