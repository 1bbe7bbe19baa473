from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, LargeBinary, Table, Text, Uuid, func

from app.db import metadata

# One row: what all processes on this database share. `set_up_at` is null until the stock set-up has been made.
installation = Table(
    "installation",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default="true"),
    Column("cursor_key", LargeBinary, nullable=False),
    Column("set_up_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

# The oldest release that works on this schema, by its newest migration. Migrations say it.
schema_support = Table(
    "schema_support",
    metadata,
    Column("one", Boolean, CheckConstraint("one", name="one_row"), primary_key=True, server_default="true"),
    Column("not_below", Text, nullable=False),
)

worker_heartbeats = Table(
    "worker_heartbeats",
    metadata,
    Column("worker_id", Uuid, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    # Of one that ended as it should.
    Column("stopped_at", DateTime(timezone=True)),
)
