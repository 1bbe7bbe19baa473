"""Goals for percentiles and attainments, and for the calendar day."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_CHECKS = {
    "one_window": "num_nonnulls(rolling_seconds, calendar_day) = 1",
    "percent_of_attainment": "(statistic = 'attainment') = (target_percent IS NOT NULL)",
}


def upgrade() -> None:
    op.add_column("service_goals", sa.Column("target_percent", sa.Double(), nullable=True))
    op.add_column("service_goals", sa.Column("calendar_day", sa.Text(), nullable=True))
    op.alter_column("service_goals", "rolling_seconds", nullable=True)
    for name, check in _CHECKS.items():
        op.execute(f"ALTER TABLE service_goals ADD CONSTRAINT ck_service_goals_{name} CHECK ({check}) NOT VALID")
        op.execute(f"ALTER TABLE service_goals VALIDATE CONSTRAINT ck_service_goals_{name}")


def downgrade() -> None:
    # The release before knows the mean over rolling seconds alone.
    op.execute("DELETE FROM service_goals WHERE statistic <> 'mean' OR rolling_seconds IS NULL")
    for name in _CHECKS:
        op.drop_constraint(f"ck_service_goals_{name}", "service_goals")
    op.alter_column("service_goals", "rolling_seconds", nullable=False)
    op.drop_column("service_goals", "calendar_day")
    op.drop_column("service_goals", "target_percent")
