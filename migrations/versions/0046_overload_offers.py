"""What is offered to who opens a ticket while a goal is about to be missed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision = "0045"

_INSTANT = sa.DateTime(timezone=True)
# Off: it says more to customers than anybody has asked for.
_RULE = """
INSERT INTO automations (id, key, enabled, settings) VALUES
    (gen_random_uuid(), 'overload_offer', false,
        '{"before_seconds": 60, "choices": ["article", "call_back", "wait"], "segment_choices": {}, "most": 2,
          "min_score": 0.3}')
ON CONFLICT (key) DO NOTHING"""


def upgrade() -> None:
    op.create_table(
        "overload_offers",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("choices", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("offered_at", _INSTANT, nullable=False),
        sa.Column("chosen", sa.Text()),
        sa.Column("chosen_at", _INSTANT),
        sa.Column("call_back_by", _INSTANT),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_overload_offers"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_overload_offers_ticket_id"),
    )
    op.create_index("ix_overload_offers_offered_at", "overload_offers", ["offered_at"])
    op.execute(_RULE)


def downgrade() -> None:
    op.execute("DELETE FROM automations WHERE key = 'overload_offer'")
    op.execute(
        "DELETE FROM sla_exceptions WHERE automations && ARRAY['overload_offer'] AND cardinality(automations) = 1"
    )
    op.execute(
        "UPDATE sla_exceptions SET automations = array_remove(automations, 'overload_offer')"
        " WHERE 'overload_offer' = ANY (automations)"
    )
    op.drop_table("overload_offers")
