"""Goals of fairness: between whom, and how many points."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0041"
down_revision = "0040"

_TABLES = ("service_goals", "service_goal_versions")
_CHECK = "ck_service_goals_groups_of_fairness"


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("fairness", postgresql.JSONB()), if_not_exists=True)
    op.execute(
        f"ALTER TABLE service_goals ADD CONSTRAINT {_CHECK}"
        " CHECK ((statistic = 'fairness') = (fairness IS NOT NULL)) NOT VALID"
    )
    # Of a few rows.
    op.execute(f"-- squawk-ignore constraint-missing-not-valid\nALTER TABLE service_goals VALIDATE CONSTRAINT {_CHECK}")


def downgrade() -> None:
    # The release before knows no such goal.
    op.execute("DELETE FROM service_goals WHERE statistic = 'fairness'")
    op.execute(f"ALTER TABLE service_goals DROP CONSTRAINT {_CHECK}")
    for table in _TABLES:
        op.drop_column(table, "fairness")
