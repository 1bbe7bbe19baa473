"""What reports are added up from: facts, changes of facts that are not in the cubes yet, and cubes."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    true,
)

from app.cubes.dimensions import DIMENSIONS
from app.db import metadata

# Beyond every quarter of an hour: from here on nothing is filled.
NOTHING_FILLED = 2**31 - 1
# Before every quarter of an hour: all is filled.
ALL_FILLED = -(2**31)


def _contribution() -> list[Column[Any]]:
    """What a clock that has ended adds to the figures."""
    return [
        # In the clock's own time.
        Column("elapsed_us", BigInteger, nullable=False),
        # The quarter of an hour in which it started, counted from 1970 in UTC.
        Column("slot", Integer, nullable=False),
        *(Column(name, Integer, nullable=False) for name in DIMENSIONS),
        Column("metric", SmallInteger, nullable=False),
        Column("outcome", SmallInteger, nullable=False),
        # Of an answered one, where it is not `elapsed_us`: by every hour, and with the time that was frozen.
        Column("wall_us", BigInteger),
        Column("waited_us", BigInteger),
    ]


# One row for each clock that has ended, as long as it has. Whoever writes here holds the position of the reader, so
# that no two do at once: a unique index would take a quarter of all that reports take. The index is for spans, and
# finds a clock among those that started in the same quarter of an hour.
report_facts = Table(
    "report_facts",
    metadata,
    Column("clock_id", Uuid, nullable=False),
    *_contribution(),
    Index("ix_report_facts_slot", "metric", "slot"),
    postgresql_partition_by="RANGE (slot)",
)

# What was taken from the facts (-1) and added to them (1) since the cubes were last brought up to date.
report_deltas = Table(
    "report_deltas",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("n", SmallInteger, nullable=False),
    *_contribution(),
)

# Sums over facts: by day or month of a zone (`grain`), by none, one or two dimensions (`cube`, whose bits say which),
# whose codes are `a` and `b`.
report_cubes = Table(
    "report_cubes",
    metadata,
    Column("zone", SmallInteger, primary_key=True, autoincrement=False),
    Column("cube", SmallInteger, primary_key=True, autoincrement=False),
    Column("grain", SmallInteger, primary_key=True, autoincrement=False),
    Column("metric", SmallInteger, primary_key=True, autoincrement=False),
    # The quarter of an hour in which the day or month begins.
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("a", Integer, primary_key=True, autoincrement=False),
    Column("b", Integer, primary_key=True, autoincrement=False),
    Column("outcome", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("elapsed_us", Numeric, nullable=False),
    Column("wall_us", Numeric, nullable=False),
    Column("waited_us", Numeric, nullable=False),
    # How many of the answered were in each bucket: 2048 times the count, plus the bucket.
    Column("waits", ARRAY(BigInteger)),
)

# The words and ids that facts and cubes name by number; 0 is none.
report_codes = Table(
    "report_codes",
    metadata,
    Column("code", Integer, Identity(always=True), primary_key=True),
    Column("dimension", SmallInteger, nullable=False),
    Column("value", Text, nullable=False),
    UniqueConstraint("dimension", "value"),
)

# Of which zones there are cubes, and from which quarter of an hour on.
report_zones = Table(
    "report_zones",
    metadata,
    Column("id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("filled_from", Integer, nullable=False, server_default=str(NOTHING_FILLED)),
    UniqueConstraint("name"),
)

# From which quarter of an hour on there are facts: those of the past are made by the worker, the newest first.
report_filling = Table(
    "report_filling",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=true()),
    Column("filled_from", Integer, nullable=False, server_default=str(NOTHING_FILLED)),
    CheckConstraint("one", name="one_row"),
)
