"""Simulations: jobs that replay the past under other policies, and the tickets that would change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0049"
down_revision = "0048"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sla_simulations",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("place", sa.SmallInteger, nullable=False),
        sa.Column("created_at", _INSTANT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("run_at", _INSTANT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("drafts", JSONB, nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("to_at", _INSTANT, nullable=False),
        sa.Column("filter", JSONB, nullable=False),
        sa.Column("after_ticket_id", sa.Uuid),
        sa.Column("tickets_total", sa.Integer),
        sa.Column("tickets_seen", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tickets_replayed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tickets_unknown", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tickets_changed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("figures", JSONB, nullable=False, server_default="{}"),
        sa.Column("finished_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_sla_simulations"),
        sa.UniqueConstraint("subject_id", "place", name="uq_sla_simulations_place"),
        sa.CheckConstraint("place BETWEEN 1 AND 5", name=op.f("ck_sla_simulations_place_of_a_caller")),
        sa.CheckConstraint("from_at < to_at", name=op.f("ck_sla_simulations_from_before_to")),
    )
    op.create_index(
        "ix_sla_simulations_run_at", "sla_simulations", ["run_at"], postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_index("ix_sla_simulations_created_at", "sla_simulations", ["created_at", "id"])
    op.create_table(
        "sla_simulation_tickets",
        sa.Column("simulation_id", sa.Uuid, nullable=False),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("metrics", ARRAY(sa.Text), nullable=False),
        sa.Column("breaches_before", sa.SmallInteger, nullable=False),
        sa.Column("breaches_after", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("simulation_id", "ticket_id", name="pk_sla_simulation_tickets"),
        sa.ForeignKeyConstraint(
            ["simulation_id"],
            ["sla_simulations.id"],
            name="fk_sla_simulation_tickets_simulation_id_sla_simulations",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("sla_simulation_tickets")
    op.drop_table("sla_simulations")
