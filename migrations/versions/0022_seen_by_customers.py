"""What customers see of tickets and of custom fields. Tickets count the changes that their customer sees nothing of,
definitions say whether customers read and set a field, and tags are searched by the staff alone: the worker makes the
documents anew."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("ALTER TABLE tickets ADD hidden_changes integer NOT NULL DEFAULT 0, ADD seen_updated_at timestamptz")
    op.execute(
        "ALTER TABLE custom_fields ADD visible_to_customers boolean NOT NULL DEFAULT false,"
        " ADD writable_by_customers boolean NOT NULL DEFAULT false"
    )
    op.execute(
        "INSERT INTO event_readers (name, xid, event_id, within)"
        " SELECT 'search rebuild', '0', 0, '00000000-0000-0000-0000-000000000000'"
        " WHERE EXISTS (SELECT FROM tickets) ON CONFLICT (name) DO UPDATE SET within = excluded.within"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE custom_fields DROP writable_by_customers, DROP visible_to_customers")
    op.execute("ALTER TABLE tickets DROP seen_updated_at, DROP hidden_changes")
