"""A ticket's row says since when its customer waits and when its first warning is due, beside its earliest deadline;
and its custom fields can be looked up. What is there is filled in batches; the indexes are built beside the writers."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_INSTANT = sa.DateTime(timezone=True)
_FILL = """
DO $$
DECLARE last uuid := '00000000-0000-0000-0000-000000000000'; batch uuid[];
BEGIN
    LOOP
        SELECT array_agg(id ORDER BY id) INTO batch
        FROM (SELECT id FROM tickets WHERE id > last ORDER BY id LIMIT 5000) AS chunk;
        EXIT WHEN batch IS NULL;
        UPDATE tickets SET waiting_since = c.waiting_since, at_risk_at = c.at_risk_at
        FROM (
            SELECT ticket_id, min(warnings[1]) AS at_risk_at,
                min(started_at) FILTER (WHERE metric IN ('first_response', 'next_response')) AS waiting_since
            FROM sla_clocks WHERE ticket_id = ANY(batch) AND ended_at IS NULL GROUP BY ticket_id
        ) AS c WHERE tickets.id = c.ticket_id AND (c.waiting_since IS NOT NULL OR c.at_risk_at IS NOT NULL);
        last := batch[array_length(batch, 1)];
        COMMIT;
    END LOOP;
END $$"""
_INDEXES = {
    "ix_tickets_waiting_since": "(coalesce(waiting_since, '2200-01-01 00:00:00+00'::timestamptz), id)",
    "ix_tickets_custom_fields": "USING gin (custom_fields jsonb_path_ops) WHERE custom_fields <> '{}'",
}


def upgrade() -> None:
    for name in ("waiting_since", "at_risk_at"):
        op.add_column("tickets", sa.Column(name, _INSTANT, nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        op.execute(_FILL)
        for name, on in _INDEXES.items():
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON tickets {on}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
    for name in ("waiting_since", "at_risk_at"):
        op.drop_column("tickets", name)
