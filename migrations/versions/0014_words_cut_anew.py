"""Words are cut in another way: the worker makes the documents of all tickets and articles anew, batch by batch, while
searches go on. Until it is done, what is older is found by the words that it was read as before."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        "INSERT INTO event_readers (name, xid, event_id, within)"
        " SELECT 'search rebuild', '0', 0, '00000000-0000-0000-0000-000000000000'"
        " WHERE EXISTS (SELECT FROM tickets) OR EXISTS (SELECT FROM articles) ON CONFLICT (name) DO NOTHING"
    )


def downgrade() -> None:
    op.execute("DELETE FROM event_readers WHERE name = 'search rebuild'")
