"""When each reader of the log last moved, how a goal's value stood when it was last judged, and which workers ended as
they should: what an operator is told of."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.add_column("event_readers", sa.Column("moved_at", _INSTANT, nullable=True))
    op.add_column("service_goal_states", sa.Column("value", sa.Double(), nullable=True))
    op.add_column("worker_heartbeats", sa.Column("stopped_at", _INSTANT, nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.drop_column("worker_heartbeats", "stopped_at")
    op.drop_column("service_goal_states", "value")
    op.drop_column("event_readers", "moved_at")
