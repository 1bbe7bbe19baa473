"""What a channel says of a message, snoozed tickets, and the number that the old system had for an imported one."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_INSTANT = sa.DateTime(timezone=True)
_EXTERNAL, _SNOOZED = "uq_messages_external_id", "ix_tickets_snoozed_until"


def upgrade() -> None:
    for name in ("channel", "external_id", "in_reply_to"):
        op.add_column("messages", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("sent_at", _INSTANT, nullable=True))
    op.add_column("tickets", sa.Column("snoozed_until", _INSTANT, nullable=True))
    op.add_column("tickets", sa.Column("snooze_reason", sa.Text(), nullable=True))
    op.add_column("tickets", sa.Column("old_number", sa.Text(), nullable=True))
    with op.get_context().autocommit_block():
        # One that was broken off is there, and invalid.
        op.drop_index(_EXTERNAL, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            _EXTERNAL, "messages", ["channel", "external_id"], unique=True,
            postgresql_concurrently=True, if_not_exists=True,
            postgresql_where=sa.text("external_id IS NOT NULL"),
        )  # fmt: skip
        op.drop_index(_SNOOZED, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            _SNOOZED, "tickets", ["snoozed_until"], postgresql_concurrently=True, if_not_exists=True,
            postgresql_where=sa.text("snoozed_until IS NOT NULL"),
        )  # fmt: skip


def downgrade() -> None:
    op.drop_index(_SNOOZED, "tickets")
    op.drop_index(_EXTERNAL, "messages")
    for name in ("old_number", "snooze_reason", "snoozed_until"):
        op.drop_column("tickets", name)
    for name in ("sent_at", "in_reply_to", "external_id", "channel"):
        op.drop_column("messages", name)
