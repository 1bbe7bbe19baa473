from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
    true,
)

from app.db import metadata

_LEARNT = "seconds IS NOT NULL"

# What each who waited for a first answer met, what was said, and how long it was: made of the clocks, and to be made
# anew from them. Of a key of its own the last waits are kept, and whoever waits.
outlook_waits = Table(
    "outlook_waits",
    metadata,
    Column("clock_id", Uuid, primary_key=True),
    Column("priority", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    # In the clock's own time. Null while somebody waits, and where nothing is to be learnt: of spam.
    Column("seconds", Double),
    Column("answered", Boolean),
    # The classes of `sla/core/outlook.py`; null until they are worked out, in the same transaction.
    Column("ahead", SmallInteger),
    Column("idle", SmallInteger),
    # The seconds that were said when the wait began, as sure as `SAID`; null where too little was known.
    Column("said", ARRAY(Double)),
    # The whole wait, as sure as the last of `SAID`, that was told last because it had become much longer.
    Column("told_seconds", Double),
    CheckConstraint("(seconds IS NULL) = (answered IS NULL)", name="learnt_in_whole"),
    # Who waits, by deadline; and who waited at an instant.
    Index("ix_outlook_waits_due_at", "due_at", "clock_id", postgresql_where="ended_at IS NULL AND due_at IS NOT NULL"),
    Index(
        "ix_outlook_waits_then", text("tstzrange(started_at, ended_at)"),
        postgresql_using="gist", postgresql_where="ended_at IS NOT NULL AND due_at IS NOT NULL",
    ),
    Index(
        "ix_outlook_waits_priority_ahead_idle", "priority", "ahead", "idle", "ended_at", "clock_id",
        postgresql_where=_LEARNT,
    ),
    Index("ix_outlook_waits_ahead_idle", "ahead", "idle", "ended_at", "clock_id", postgresql_where=_LEARNT),
    Index("ix_outlook_waits_ahead", "ahead", "ended_at", "clock_id", postgresql_where=_LEARNT),
    Index("ix_outlook_waits_ended_at", "ended_at", "clock_id", postgresql_where=_LEARNT),
)  # fmt: skip

# The curve of each key of which enough is known, and the revision in which it became so.
outlook_curves = Table(
    "outlook_curves",
    metadata,
    Column("priority", Text, primary_key=True),
    Column("ahead", SmallInteger, primary_key=True, autoincrement=False),
    Column("idle", SmallInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("waits", Integer, nullable=False),
    Column("seconds", ARRAY(Double), nullable=False),
    Column("shares", ARRAY(Double), nullable=False),
    Index("ix_outlook_curves_revision", "revision"),
)

# One row, counted up whenever a curve is another one: a process knows by it whether what it holds is current.
outlook_revision = Table(
    "outlook_revision",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="one_row"), primary_key=True, server_default=true()),
    Column("revision", BigInteger, nullable=False),
)

# How many hands were free from when on, in the classes of `sla/core/outlook.py`. No clock says it: it is looked at.
outlook_hands = Table(
    "outlook_hands",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("idle", SmallInteger, nullable=False),
)
