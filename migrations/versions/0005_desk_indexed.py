"""What 0004 added is filled, checked and indexed, in steps that hold no lock for long."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_DUE = "coalesce(due_at, '2200-01-01 00:00:00+00'::timestamptz)"
_INDEXES: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("ix_tickets_organization_id", "tickets", ["organization_id", "created_at", "id"],
     {"postgresql_where": "organization_id IS NOT NULL"}),
    ("ix_tickets_product", "tickets", ["product", "created_at", "id"], {"postgresql_where": "product IS NOT NULL"}),
    ("ix_tickets_needs_human", "tickets", ["created_at", "id"], {"postgresql_where": "needs_human"}),
    ("ix_tickets_tags", "tickets", ["tags"], {"postgresql_using": "gin", "postgresql_where": "tags <> '{}'"}),
    ("ix_tickets_due_at", "tickets", [sa.text(_DUE), "id"], {}),
    ("ix_tickets_urgency", "tickets", [sa.text("ticket_urgency(status, priority)"), "created_at", "id"], {}),
    ("ix_tickets_assignee_id_due_at", "tickets", ["assignee_id", sa.text(_DUE), "id"],
     {"postgresql_where": "assignee_id IS NOT NULL AND status <> 'resolved' AND status <> 'closed'"}),
    ("ix_customers_organization_id", "customers", ["organization_id", "created_at", "id"],
     {"postgresql_where": "organization_id IS NOT NULL"}),
    ("ix_customers_merged_into", "customers", ["merged_into"], {"postgresql_where": "merged_into IS NOT NULL"}),
    ("ix_messages_author_id", "messages", ["author_id"], {"postgresql_where": "author_kind = 'customer'"}),
    ("ix_api_keys_customer_id", "api_keys", ["customer_id"], {"postgresql_where": "customer_id IS NOT NULL"}),
    ("ix_events_subject_id", "events", ["subject_id", "id"], {"postgresql_where": "ticket_id IS NULL"}),
    ("ix_idempotency_records_subject_ids", "idempotency_records", ["subject_ids"], {"postgresql_using": "gin"}),
]  # fmt: skip
_VALIDATED = {
    "fk_tickets_organization_id": "tickets",
    "fk_customers_organization_id": "customers",
    "fk_customers_merged_into": "customers",
}
_FILL = """
DO $$
DECLARE last uuid := '00000000-0000-0000-0000-000000000000'; batch uuid[];
BEGIN
    LOOP
        SELECT array_agg(id ORDER BY id) INTO batch
        FROM (SELECT id FROM tickets WHERE id > last ORDER BY id LIMIT 5000) AS chunk;
        EXIT WHEN batch IS NULL;
        UPDATE tickets SET due_at = c.due_at
        FROM (
            SELECT ticket_id, min(due_at) AS due_at FROM sla_clocks
            WHERE ticket_id = ANY(batch) AND ended_at IS NULL GROUP BY ticket_id
        ) AS c WHERE tickets.id = c.ticket_id AND c.due_at IS NOT NULL;
        last := batch[array_length(batch, 1)];
        COMMIT;
    END LOOP;
END $$"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(_FILL)
        for name, table, columns, options in _INDEXES:
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.create_index(name, table, columns, postgresql_concurrently=True, if_not_exists=True, **options)
    _key_of_events("xid", "id")
    for constraint, table in _VALIDATED.items():
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")


def _key_of_events(*columns: str) -> None:
    """Another primary key, whose index is built beforehand."""
    with op.get_context().autocommit_block():
        op.drop_index("pk_events_new", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "pk_events_new", "events", list(columns), unique=True, postgresql_concurrently=True, if_not_exists=True
        )
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"
        "ALTER TABLE events DROP CONSTRAINT pk_events, ADD CONSTRAINT pk_events PRIMARY KEY USING INDEX pk_events_new"
    )


def downgrade() -> None:
    _key_of_events("id")
    with op.get_context().autocommit_block():
        for name, _, _, _ in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
