"""What goals asked for, from when on, and from when until when they stood missed, as the log still knows it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"

_INSTANT = sa.DateTime(timezone=True)
_DEFINITION = "metric, statistic, target_seconds, target_percent, filter, rolling_seconds, calendar_day"


def _of_goal(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_goal_id")
    return sa.ForeignKeyConstraint(["goal_id"], ["service_goals.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "service_goal_versions",
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("statistic", sa.Text(), nullable=False),
        sa.Column("target_seconds", sa.Integer(), nullable=False),
        sa.Column("target_percent", sa.Double(), nullable=True),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("rolling_seconds", sa.Integer(), nullable=False),
        sa.Column("calendar_day", sa.Text(), nullable=True),
        _of_goal("service_goal_versions"),
        sa.PrimaryKeyConstraint("goal_id", "version", name=op.f("pk_service_goal_versions")),
    )
    op.create_table(
        "service_goal_misses",
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("missed_at", _INSTANT, nullable=False),
        sa.Column("recovered_at", _INSTANT, nullable=True),
        _of_goal("service_goal_misses"),
        sa.PrimaryKeyConstraint("goal_id", "missed_at", name=op.f("pk_service_goal_misses")),
    )
    for table in ("service_goal_versions", "service_goal_misses"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ninety_service")
    # Of a goal that was changed, what it asked for before is not known any more.
    op.execute(
        f"INSERT INTO service_goal_versions (goal_id, version, from_at, {_DEFINITION})"
        f" SELECT id, version, created_at, {_DEFINITION} FROM service_goals"
    )
    op.execute("""
        INSERT INTO service_goal_misses (goal_id, missed_at, recovered_at)
        SELECT g.id, m.occurred_at, min(r.occurred_at)
        FROM service_goals g
        JOIN events m ON m.ticket_id IS NULL AND m.subject_id = g.id AND m.type = 'goal.missed'
        LEFT JOIN events r ON r.ticket_id IS NULL AND r.subject_id = g.id AND r.type = 'goal.recovered' AND r.id > m.id
        GROUP BY g.id, m.occurred_at
        ON CONFLICT DO NOTHING""")


def downgrade() -> None:
    op.drop_table("service_goal_misses")
    op.drop_table("service_goal_versions")
