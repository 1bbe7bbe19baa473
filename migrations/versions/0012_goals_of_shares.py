"""Goals for percentiles and attainments, and for the calendar day. A goal for the day keeps a whole day as its rolling
seconds: the release before judges it by those."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_CHECK = "(statistic = 'attainment') = (target_percent IS NOT NULL)"


def upgrade() -> None:
    named = f"CONSTRAINT ck_service_goals_percent_of_attainment CHECK ({_CHECK})"
    op.execute(f"ALTER TABLE service_goals ADD COLUMN target_percent double precision {named}")
    op.add_column("service_goals", sa.Column("calendar_day", sa.Text(), nullable=True))


def downgrade() -> None:
    # The release before would take them for means.
    op.execute("DELETE FROM service_goals WHERE statistic <> 'mean'")
    op.drop_column("service_goals", "calendar_day")
    op.drop_column("service_goals", "target_percent")
