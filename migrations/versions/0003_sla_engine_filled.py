"""What 0002 added is filled, checked and indexed, in steps that hold no lock for long."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_QUEUE = "coalesce(due_at, '2200-01-01 00:00:00+00'::timestamptz)"
_VALIDATED = {
    "sla_policy_versions": "fk_sla_policy_versions_calendar_id",
    "sla_clocks": "ck_sla_clocks_deadline_needs_target",
    "tickets": "fk_tickets_merged_into",
}


def _in_batches(table: str, change: str) -> str:
    """SQL that runs `change` over `batch`, the ids of some thousand rows, and commits, until it has been everywhere."""
    return f"""
        DO $$
        DECLARE last uuid := '00000000-0000-0000-0000-000000000000'; batch uuid[];
        BEGIN
            LOOP
                SELECT array_agg(id ORDER BY id) INTO batch
                FROM (SELECT id FROM {table} WHERE id > last ORDER BY id LIMIT 5000) AS chunk;
                EXIT WHEN batch IS NULL;
                {change};
                last := batch[array_length(batch, 1)];
                COMMIT;
            END LOOP;
        END $$"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(
            _in_batches(
                "sla_clocks",
                "UPDATE sla_clocks SET promised_seconds = target_seconds, unrelieved_due_at = due_at,"
                " elapsed = ended_at - started_at WHERE id = ANY(batch)",
            )
        )
        op.execute(
            _in_batches(
                "tickets",
                "UPDATE tickets SET policy_id = c.policy_id, policy_version = c.policy_version FROM sla_clocks c"
                " WHERE tickets.id = ANY(batch) AND c.ticket_id = tickets.id AND c.policy_id IS NOT NULL",
            )
        )
        # A build that broke off leaves an index that is not valid.
        op.drop_index("ix_sla_clocks_queue", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "ix_sla_clocks_queue",
            "sla_clocks",
            [sa.text(_QUEUE), "id"],
            postgresql_where="ended_at IS NULL AND target_seconds IS NOT NULL",
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index("ix_sla_clocks_due_at", postgresql_concurrently=True, if_exists=True)
    for table, constraint in _VALIDATED.items():
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_sla_clocks_due_at", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "ix_sla_clocks_due_at",
            "sla_clocks",
            ["due_at", "id"],
            postgresql_where="ended_at IS NULL AND due_at IS NOT NULL",
            postgresql_concurrently=True,
        )
        op.drop_index("ix_sla_clocks_queue", postgresql_concurrently=True, if_exists=True)
