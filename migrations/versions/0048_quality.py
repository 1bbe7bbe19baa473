"""Resolutions, requests for a person and handled messages, with whose they were and what they were about. Of what was
before, the log and the messages tell when; what it was about is what a clock kept that ended then, else what the ticket
is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0048"
down_revision = "0047"

_ABOUT = (
    "customer_id, organization_id, assignee_id, team_id, ticket_policy_id, priority, type, channel, product, region, "
    "segment, tags, spam"
)
# As the clock kept it that ended then, else as the ticket is.
_THEN = """
    CASE WHEN c.id IS NULL THEN t.customer_id ELSE c.customer_id END,
    CASE WHEN c.id IS NULL THEN t.organization_id ELSE c.organization_id END,
    CASE WHEN c.id IS NULL THEN t.assignee_id ELSE c.assignee_id END,
    CASE WHEN c.id IS NULL THEN t.team_id ELSE c.team_id END,
    CASE WHEN c.id IS NULL THEN t.policy_id ELSE c.ticket_policy_id END,
    CASE WHEN c.id IS NULL THEN t.priority ELSE c.priority END,
    CASE WHEN c.id IS NULL THEN t.type ELSE c.type END,
    CASE WHEN c.id IS NULL THEN t.channel ELSE c.channel END,
    CASE WHEN c.id IS NULL THEN t.product ELSE c.product END,
    CASE WHEN c.id IS NULL THEN (SELECT coalesce(region, erased_region) FROM customers WHERE id = t.customer_id)
        ELSE c.region END,
    t.segment,
    CASE WHEN c.id IS NULL THEN t.tags ELSE c.tags END,
    t.spam_at IS NOT NULL"""


def _clock(instant: str) -> str:
    return f"""LEFT JOIN LATERAL (
        SELECT * FROM sla_clocks WHERE ticket_id = t.id AND ended_at = {instant} AND customer_id IS NOT NULL
        ORDER BY metric LIMIT 1
    ) AS c ON true"""


# What a merge or marking spam closed was not resolved.
_RESOLUTIONS = f"""
    WITH moved AS (
        SELECT e.*, data #>> '{{changes,status,after}}' IN ('resolved', 'closed') AS done
        FROM events e
        WHERE e.ticket_id = ANY(batch) AND e.type = 'ticket.status_changed'
            AND (data #>> '{{changes,status,before}}' IN ('resolved', 'closed'))
                <> (data #>> '{{changes,status,after}}' IN ('resolved', 'closed'))
            AND NOT EXISTS (SELECT FROM events o WHERE o.ticket_id = e.ticket_id AND o.occurred_at = e.occurred_at
                AND o.type IN ('ticket.merged', 'ticket.unmerged', 'ticket.marked_spam', 'ticket.unmarked_spam'))
    ), told AS (
        SELECT moved.*, lead(moved.occurred_at) OVER (PARTITION BY moved.ticket_id ORDER BY moved.occurred_at, moved.id)
            AS next_at
        FROM moved
    )
    INSERT INTO ticket_resolutions (id, ticket_id, resolved_at, resolved_by_kind, resolved_by_id, solved_by,
        reopened_at, {_ABOUT})
    SELECT gen_random_uuid(), t.id, told.occurred_at, told.actor_kind, told.actor_id,
        CASE WHEN told.actor_kind = 'agent' OR EXISTS (SELECT FROM messages m WHERE m.ticket_id = t.id
                AND m.author_kind = 'agent' AND m.visibility = 'public' AND m.created_at <= told.occurred_at)
            THEN 'person'
        WHEN t.self_service = 'deflected' AND told.next_at IS NULL THEN 'article'
        WHEN EXISTS (SELECT FROM messages m WHERE m.ticket_id = t.id
                AND m.author_kind = 'bot' AND m.visibility = 'public' AND m.created_at <= told.occurred_at)
            THEN 'bot'
        ELSE 'nobody' END,
        told.next_at, {_THEN}
    FROM told JOIN tickets t ON t.id = told.ticket_id {_clock("told.occurred_at")}
    WHERE told.done"""
_REQUESTS = f"""
    WITH asked AS (
        SELECT DISTINCT ON (e.ticket_id, answer.created_at) e.ticket_id, e.occurred_at AS asked_at,
            answer.created_at AS ended_at, answer.author_id
        FROM events e
        LEFT JOIN LATERAL (
            SELECT m.created_at, m.author_id FROM messages m
            WHERE m.ticket_id = e.ticket_id AND m.author_kind = 'agent' AND m.visibility = 'public'
                AND m.created_at >= e.occurred_at
            ORDER BY m.created_at, m.id LIMIT 1
        ) AS answer ON true
        WHERE e.ticket_id = ANY(batch) AND e.type = 'ticket.handed_off'
        ORDER BY e.ticket_id, answer.created_at, e.occurred_at
    )
    INSERT INTO person_requests (id, ticket_id, asked_at, ended_at, responder_id, answered, {_ABOUT})
    SELECT gen_random_uuid(), t.id, asked.asked_at,
        CASE WHEN asked.ended_at IS NOT NULL OR t.needs_human AND t.resolved_at IS NULL AND t.closed_at IS NULL
            THEN asked.ended_at ELSE greatest(coalesce(t.resolved_at, t.closed_at, t.updated_at), asked.asked_at) END,
        asked.author_id, asked.ended_at IS NOT NULL, {_THEN}
    FROM asked JOIN tickets t ON t.id = asked.ticket_id {_clock("asked.ended_at")}"""
_HANDLINGS = f"""
    INSERT INTO handlings (ticket_id, message_id, handled_at, author_kind, author_id, seconds, {_ABOUT})
    SELECT t.id, m.id, m.created_at, m.author_kind, m.author_id, m.handling_seconds, {_THEN}
    FROM messages m JOIN tickets t ON t.id = m.ticket_id {_clock("m.created_at")}
    WHERE m.ticket_id = ANY(batch) AND m.handling_seconds IS NOT NULL"""
_IN_BATCHES = f"""
    DO $$
    DECLARE last uuid := '00000000-0000-0000-0000-000000000000'; batch uuid[];
    BEGIN
        LOOP
            SELECT array_agg(id ORDER BY id) INTO batch
            FROM (SELECT id FROM tickets WHERE id > last ORDER BY id LIMIT 5000) AS chunk;
            EXIT WHEN batch IS NULL;
            -- What a run that broke off, or this release, wrote of them is there already.
            SELECT array_agg(ticket) FILTER (WHERE
                    NOT EXISTS (SELECT FROM ticket_resolutions WHERE ticket_id = ticket)
                    AND NOT EXISTS (SELECT FROM person_requests WHERE ticket_id = ticket)
                    AND NOT EXISTS (SELECT FROM handlings WHERE ticket_id = ticket)),
                (array_agg(ticket ORDER BY ticket DESC))[1]
                INTO batch, last FROM unnest(batch) AS each (ticket);
            {_RESOLUTIONS};
            {_REQUESTS};
            {_HANDLINGS};
            COMMIT;
        END LOOP;
    END $$"""


def _about() -> list[sa.Column[object]]:
    return [
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("organization_id", sa.Uuid),
        sa.Column("assignee_id", sa.Uuid),
        sa.Column("team_id", sa.Uuid),
        sa.Column("ticket_policy_id", sa.Uuid),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("product", sa.Text),
        sa.Column("region", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("tags", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("spam", sa.Boolean, nullable=False, server_default=sa.false()),
    ]


def _id_of_ticket(*, key: bool = False) -> sa.Column[object]:
    return sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.id"), nullable=False, primary_key=key)


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "ticket_resolutions",
        sa.Column("id", sa.Uuid, primary_key=True),
        _id_of_ticket(),
        _instant("resolved_at", nullable=False),
        sa.Column("resolved_by_kind", sa.Text, nullable=False),
        sa.Column("resolved_by_id", sa.Uuid),
        sa.Column("solved_by", sa.Text, nullable=False),
        _instant("reopened_at"),
        sa.Column("score", sa.SmallInteger),
        sa.Column("comment", sa.Text),
        sa.Column("met", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("missed", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        _instant("rated_at"),
        *_about(),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        sa.CheckConstraint("(score IS NULL) = (rated_at IS NULL)", name="rated_whole"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_ticket_resolutions_ticket_id", "ticket_resolutions", ["ticket_id", "resolved_at", "id"], if_not_exists=True
    )
    op.create_index("ix_ticket_resolutions_resolved_at", "ticket_resolutions", ["resolved_at"], if_not_exists=True)
    op.create_table(
        "person_requests",
        sa.Column("id", sa.Uuid, primary_key=True),
        _id_of_ticket(),
        _instant("asked_at", nullable=False),
        _instant("ended_at"),
        sa.Column("responder_id", sa.Uuid),
        sa.Column("answered", sa.Boolean, nullable=False, server_default=sa.false()),
        *_about(),
        sa.CheckConstraint("ended_at >= asked_at", name="ends_after_it_was_asked"),
        if_not_exists=True,
    )
    op.create_index("ix_person_requests_ticket_id", "person_requests", ["ticket_id"], if_not_exists=True)
    op.create_index("ix_person_requests_asked_at", "person_requests", ["asked_at"], if_not_exists=True)
    op.create_table(
        "handlings",
        _id_of_ticket(key=True),
        sa.Column("message_id", sa.Uuid, primary_key=True),
        _instant("handled_at", nullable=False),
        sa.Column("author_kind", sa.Text, nullable=False),
        sa.Column("author_id", sa.Uuid),
        sa.Column("seconds", sa.Float, nullable=False),
        *_about(),
        if_not_exists=True,
    )
    op.create_index("ix_handlings_handled_at", "handlings", ["handled_at"], if_not_exists=True)
    with op.get_context().autocommit_block():
        op.execute(_IN_BATCHES)


def downgrade() -> None:
    for table in ("handlings", "person_requests", "ticket_resolutions"):
        op.drop_table(table)
