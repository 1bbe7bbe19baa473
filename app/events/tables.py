"""The event log: what happened, in order, appended by the transaction that did it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from app.db import metadata


class Xid8(UserDefinedType[int]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


class Snapshot(UserDefinedType[tuple[int, int, tuple[int, ...]]]):
    """Which transactions were over: the oldest that was not, the first that had not begun, and those between that were
    not."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "pg_snapshot"


events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    # An id is given at insert and seen at commit: readers that follow the log order by (xid, id) and stay below the
    # oldest running transaction, or they would skip the slow ones.
    Column("xid", Xid8, nullable=False, server_default=func.pg_current_xact_id()),
    Column("type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Uuid),
    Column("subject_id", Uuid, nullable=False),
    # No foreign key: the log outlives what it tells of.
    Column("ticket_id", Uuid),
    Column("internal", Boolean, nullable=False, server_default=false()),
    Column("imported", Boolean, nullable=False, server_default=false()),
    Column("data", JSONB, nullable=False),
    # Transaction ids are those of one server on one timeline. What was restored elsewhere, or failed over, goes on in
    # an epoch of its own: the log is in the order of (epoch, xid, id).
    Column("epoch", SmallInteger, nullable=False, server_default="1"),
    Column("ticket_version", Integer),
    # Of the request that caused it, where that was traced.
    Column("traceparent", Text),
    # No key: the identity alone makes `id` unique, a partitioned table has no unique index without the instant in it,
    # and nobody looks by it.
    Index("ix_events_order", "epoch", "xid", "id"),
    # What the release before 0013 follows.
    Index("ix_events_position", "xid", "id"),
    Index("ix_events_ticket_id", "ticket_id", "id", postgresql_where="ticket_id IS NOT NULL"),
    Index("ix_events_subject_id", "subject_id", "id", postgresql_where="ticket_id IS NULL"),
    postgresql_partition_by="RANGE (recorded_at)",
)

# The epoch in force, the server and timeline that it belongs to, and what retention has dropped. Written by functions
# of the owner's only (migration 0009).
event_log = Table(
    "event_log",
    metadata,
    Column("one", Boolean, primary_key=True, server_default="true"),
    Column("epoch", SmallInteger, nullable=False, server_default="1"),
    Column("written_by", Text),
    Column("dropped_before", DateTime(timezone=True)),
    CheckConstraint("one", name="one_row"),
)

# How far each reader of the log has come. A position commits with what was made of the events before it.
event_readers = Table(
    "event_readers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("xid", Xid8, nullable=False),
    Column("event_id", BigInteger, nullable=False),
    # Of the event after it, where that concerns very many things: how far it was worked off.
    Column("within", Uuid),
    Column("epoch", SmallInteger, nullable=False, server_default="1"),
    # When it last moved; none of one that a release before 0045 has moved.
    Column("moved_at", DateTime(timezone=True)),
)

# Who is writing an answer just now, until when that holds.
answering = Table(
    "answering",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("caller_id", Uuid, primary_key=True),
    Column("agent_id", Uuid),
    Column("until", DateTime(timezone=True), nullable=False),
)

# What opens one stream, once. The secret itself is nowhere.
stream_tickets = Table(
    "stream_tickets",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("actor", JSONB, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
