"""Indexes for the list of clocks, built without a lock that writers wait for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_DEADLINE = sa.text("coalesce(due_at, '2200-01-01 00:00:00+00'::timestamptz)")
_OPEN, _TARGET = "ended_at IS NULL", "target_seconds IS NOT NULL"
_INDEXES: list[tuple[str, list[Any], str]] = [
    ("ix_sla_clocks_deadline", [_DEADLINE, "id"], _TARGET),
    ("ix_sla_clocks_metric_queue", ["metric", _DEADLINE, "id"], f"{_OPEN} AND {_TARGET}"),
    ("ix_sla_clocks_waiting", ["started_at", "id"], _OPEN),
    ("ix_sla_clocks_metric_waiting", ["metric", "started_at", "id"], _OPEN),
    ("ix_sla_clocks_ended", ["started_at", "id"], "ended_at IS NOT NULL"),
]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, columns, where in _INDEXES:
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name, "sla_clocks", columns, postgresql_where=where, postgresql_concurrently=True, if_not_exists=True
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, _, _ in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
