from typing import Any, TypedDict

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

# So many a caller has at a time: each takes one of these places.
PLACES = 5

# What-if runs over the past. A row is a job with its progress and its figures; they expire.
sla_simulations = Table(
    "sla_simulations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    # The caller's.
    Column("subject_id", Uuid, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("run_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # Policies, calendars and exceptions as they were sent; policies name the version of a stored calendar.
    Column("drafts", JSONB, nullable=False),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("to_at", DateTime(timezone=True), nullable=False),
    Column("filter", JSONB, nullable=False),
    Column("after_ticket_id", Uuid),
    Column("tickets_total", Integer),
    Column("tickets_seen", Integer, nullable=False, server_default="0"),
    Column("tickets_replayed", Integer, nullable=False, server_default="0"),
    Column("tickets_unknown", Integer, nullable=False, server_default="0"),
    Column("tickets_changed", Integer, nullable=False, server_default="0"),
    # By metric and segment (`""` is none), before and after: see `figures.py`.
    Column("figures", JSONB, nullable=False, server_default="{}"),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("subject_id", "place", name="uq_sla_simulations_place"),
    CheckConstraint(f"place BETWEEN 1 AND {PLACES}", name="place_of_a_caller"),
    CheckConstraint("from_at < to_at", name="from_before_to"),
    Index("ix_sla_simulations_run_at", "run_at", postgresql_where="finished_at IS NULL"),
    Index("ix_sla_simulations_created_at", "created_at", "id"),
)

# The tickets of which a clock ends otherwise: the first so many by id.
sla_simulation_tickets = Table(
    "sla_simulation_tickets",
    metadata,
    Column("simulation_id", Uuid, ForeignKey("sla_simulations.id", ondelete="CASCADE"), primary_key=True),
    Column("ticket_id", Uuid, primary_key=True),
    Column("metrics", ARRAY(Text), nullable=False),
    Column("breaches_before", SmallInteger, nullable=False),
    Column("breaches_after", SmallInteger, nullable=False),
)


class DraftsRow(TypedDict):
    policies: list[dict[str, Any]]
    calendars: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
