"""Which tickets were given to which agents, and how the queue of those who are nobody's yet stands. The indexes of that
queue are built beside the writers."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

_INSTANT = sa.DateTime(timezone=True)
_CLAIMABLE = "assignee_id IS NULL AND waiting_since IS NOT NULL"
_INDEXES = {
    "ix_tickets_claimable_waiting_since": "waiting_since, id",
    "ix_tickets_claimable_due_at": "due_at, id",
}


def upgrade() -> None:
    op.create_table(
        "ticket_claims",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.id", name="fk_ticket_claims_ticket_id"), nullable=False),
        sa.Column("agent_id", sa.Uuid, sa.ForeignKey("agents.id", name="fk_ticket_claims_agent_id"), nullable=False),
        sa.Column("claimed_at", _INSTANT, nullable=False),
        sa.Column("answer_by", _INSTANT, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ended_at", _INSTANT),
        sa.Column("outcome", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_claims"),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ck_ticket_claims_ends_somehow"),
        if_not_exists=True,
    )
    for name, columns, where in (
        ("ticket_id", ["ticket_id", "claimed_at"], None),
        ("agent_id", ["agent_id", "ended_at"], "outcome = 'released'"),
        ("claimed_at", ["claimed_at"], None),
        ("answer_by", ["answer_by"], "ended_at IS NULL"),
    ):
        op.create_index(
            f"ix_ticket_claims_{name}", "ticket_claims", columns,
            postgresql_where=sa.text(where) if where else None, if_not_exists=True,
        )  # fmt: skip
    op.create_table(
        "claim_queue",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("pace_seconds", sa.Double, nullable=False),
        sa.Column("worst_seconds", sa.Double, nullable=False),
        sa.Column("oldest_first_from", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_claim_queue"),
        sa.CheckConstraint("id = 1", name="ck_claim_queue_one_row"),
        if_not_exists=True,
    )
    with op.get_context().autocommit_block():
        for name, ordered in _INDEXES.items():
            # A build that broke off leaves an index that is not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON tickets ({ordered}) WHERE {_CLAIMABLE}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in _INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.drop_table("claim_queue")
    op.drop_table("ticket_claims")
