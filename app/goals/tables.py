from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

_NOW = func.clock_timestamp()

service_goals = Table(
    "service_goals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("key_folded", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("statistic", Text, nullable=False),
    Column("target_seconds", Integer, nullable=False),
    Column("target_percent", Double),
    Column("fairness", JSONB(none_as_null=True)),
    Column("filter", JSONB, nullable=False),
    # Of a goal for the calendar day: a whole one.
    Column("rolling_seconds", Integer, nullable=False),
    Column("calendar_day", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("key_folded"),
    CheckConstraint("target_seconds > 0 AND rolling_seconds > 0", name="positive"),
    CheckConstraint("(statistic = 'attainment') = (target_percent IS NOT NULL)", name="percent_of_attainment"),
    CheckConstraint("(statistic = 'fairness') = (fairness IS NOT NULL)", name="groups_of_fairness"),
)

# What a goal asked for, and from when on: a day of the past is judged by what was asked for then.
service_goal_versions = Table(
    "service_goal_versions",
    metadata,
    Column("goal_id", Uuid, ForeignKey("service_goals.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("metric", Text, nullable=False),
    Column("statistic", Text, nullable=False),
    Column("target_seconds", Integer, nullable=False),
    Column("target_percent", Double),
    Column("fairness", JSONB(none_as_null=True)),
    Column("filter", JSONB, nullable=False),
    Column("rolling_seconds", Integer, nullable=False),
    Column("calendar_day", Text),
)

# From when until when it stood missed, written with the events that tell of it.
service_goal_misses = Table(
    "service_goal_misses",
    metadata,
    Column("goal_id", Uuid, ForeignKey("service_goals.id", ondelete="CASCADE"), primary_key=True),
    Column("missed_at", DateTime(timezone=True), primary_key=True),
    Column("recovered_at", DateTime(timezone=True)),
)

# How a goal stood when it was last judged; locked by whoever judges it anew.
service_goal_states = Table(
    "service_goal_states",
    metadata,
    Column("goal_id", Uuid, ForeignKey("service_goals.id", ondelete="CASCADE"), primary_key=True),
    Column("standing", Text, nullable=False, server_default="met"),
    Column("crosses_at", DateTime(timezone=True)),
    Column("judged_at", DateTime(timezone=True)),
    # In the unit of the target; none where there was nothing to judge.
    Column("value", Double),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=text("'1970-01-01 00:00:00+00'")),
)
