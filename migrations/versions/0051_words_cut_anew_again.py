"""Words are cut in another way (telephone numbers, versions, signs, scripts without blanks): the worker makes the
documents of all tickets and articles anew, batch by batch, while searches go on; in either direction, since the release
before asks for words as it cut them."""

from alembic import op

revision = "0051"
down_revision = "0052"


def upgrade() -> None:
    op.execute(
        "INSERT INTO event_readers (name, xid, event_id, within)"
        " SELECT 'search rebuild', '0', 0, '00000000-0000-0000-0000-000000000000'"
        " WHERE EXISTS (SELECT FROM tickets) OR EXISTS (SELECT FROM articles)"
        " ON CONFLICT (name) DO UPDATE SET within = excluded.within"
    )


def downgrade() -> None:
    upgrade()
