"""A clock that has ended keeps whose it was and what it was about. For clocks that ended before, what the log says of
the ticket since is taken back: the first change of a field after the end says what it was before."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(
        ("responder_id", "assignee_id", "team_id", "organization_id", "customer_id", "ticket_policy_id"), sa.Uuid()
    ),
    **dict.fromkeys(("priority", "type", "channel", "product", "region"), sa.Text()),
    "tags": postgresql.ARRAY(sa.Text()),
}
_PLAIN = ("priority", "type", "channel", "product")


def _was(name: str) -> str:
    cast = "::uuid" if name.endswith("_id") else ""
    return f"{name} = CASE WHEN past.was ? '{name}' THEN (past.was ->> '{name}'){cast} ELSE t.{name} END"


# `stop` is the event that ended the clock: what the log says behind it, of the same instant too, came later.
_FILL = f"""
    WITH ended AS MATERIALIZED (
        SELECT c.id, c.ticket_id, c.ended_at, stop.id AS stop_id, stop.actor_id, stop.actor_kind,
            c.stopped_at IS NOT NULL AS stopped
        FROM sla_clocks c
        LEFT JOIN LATERAL (
            SELECT e.id, e.actor_id, e.actor_kind FROM events e
            WHERE e.ticket_id = c.ticket_id AND e.occurred_at = c.ended_at AND CASE
                WHEN c.stopped_at IS NOT NULL AND c.metric IN ('first_response', 'next_response', 'periodic_update')
                    THEN e.type = 'message.created' AND e.data ->> 'visibility' = 'public'
                        AND e.actor_kind IN ('agent', 'bot')
                WHEN c.metric = 'promise' THEN e.type IN ('promise.kept', 'promise.withdrawn', 'ticket.merged')
                ELSE e.type IN ('ticket.status_changed', 'ticket.merged') END
            ORDER BY e.id LIMIT 1
        ) AS stop ON true
        WHERE c.id = ANY(batch) AND c.ended_at IS NOT NULL AND c.customer_id IS NULL
    ), changed AS (
        SELECT DISTINCT ON (ended.id, field.key) ended.id, field.key, field.value -> 'before' AS before
        FROM ended
        JOIN events e ON e.ticket_id = ended.ticket_id AND e.type = 'ticket.updated'
            AND (e.occurred_at > ended.ended_at OR e.occurred_at = ended.ended_at AND e.id > ended.stop_id)
        CROSS JOIN LATERAL jsonb_each(e.data -> 'changes') AS field
        WHERE field.key IN ('assignee_id', 'team_id', 'organization_id', 'customer_id', 'priority', 'type', 'channel',
            'product', 'tags')
        ORDER BY ended.id, field.key, e.id
    ), past AS (
        SELECT ended.*, coalesce((SELECT jsonb_object_agg(changed.key, changed.before) FROM changed
            WHERE changed.id = ended.id), '{{}}') AS was
        FROM ended
    )
    UPDATE sla_clocks c SET
        responder_id = CASE WHEN past.stopped AND past.actor_kind IN ('agent', 'bot') THEN past.actor_id END,
        {", ".join(_was(name) for name in ("assignee_id", "team_id", "organization_id", "customer_id", *_PLAIN))},
        tags = CASE WHEN past.was ? 'tags' THEN ARRAY(SELECT jsonb_array_elements_text(past.was -> 'tags'))
            ELSE t.tags END,
        ticket_policy_id = coalesce(c.policy_id, (
            SELECT (e.data ->> 'policy_id')::uuid FROM events e
            WHERE e.ticket_id = c.ticket_id AND e.type IN ('ticket.created', 'sla.policy_applied')
                AND e.occurred_at <= c.ended_at AND (past.stop_id IS NULL OR e.id < past.stop_id)
            ORDER BY e.id DESC LIMIT 1)),
        region = coalesce((
            SELECT e.data -> 'changes' -> 'region' FROM events e
            WHERE e.ticket_id IS NULL AND e.subject_id = coalesce((past.was ->> 'customer_id')::uuid, t.customer_id)
                AND e.type = 'customer.updated' AND e.data -> 'changes' ? 'region'
                AND e.occurred_at > CASE WHEN t.imported THEN greatest(c.ended_at, t.imported_at) ELSE c.ended_at END
            ORDER BY e.id LIMIT 1
        ), jsonb_build_object('before', (
            SELECT region FROM customers WHERE id = coalesce((past.was ->> 'customer_id')::uuid, t.customer_id)
        ))) ->> 'before'
    FROM past, (SELECT tickets.*, CASE WHEN imported THEN (
        SELECT min(e.recorded_at) FROM events e WHERE e.ticket_id = tickets.id AND e.type = 'ticket.created'
    ) END AS imported_at FROM tickets) AS t
    WHERE c.id = past.id AND t.id = c.ticket_id"""

_IN_BATCHES = f"""
    DO $$
    DECLARE last uuid := '00000000-0000-0000-0000-000000000000'; batch uuid[];
    BEGIN
        LOOP
            SELECT array_agg(id ORDER BY id) INTO batch
            FROM (SELECT id FROM sla_clocks WHERE id > last ORDER BY id LIMIT 5000) AS chunk;
            EXIT WHEN batch IS NULL;
            {_FILL};
            last := batch[array_length(batch, 1)];
            COMMIT;
        END LOOP;
    END $$"""


def upgrade() -> None:
    for name, type_ in _COLUMNS.items():
        op.add_column("sla_clocks", sa.Column(name, type_, nullable=True))
    with op.get_context().autocommit_block():
        op.execute(_IN_BATCHES)


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("sla_clocks", name)
