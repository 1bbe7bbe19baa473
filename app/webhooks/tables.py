from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from app.db import metadata
from app.events.tables import Snapshot, Xid8

_INSTANT = DateTime(timezone=True)
_NOW = func.clock_timestamp()

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    # Why we turned it off ourselves.
    Column("disabled_reason", Text),
    # The breaker: deliveries in a row that failed, and until when nothing goes out. Neither makes a version.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("open_until", _INSTANT),
    # What was committed when it was made, or last turned on: it hears of everything else. A webhook that the release
    # before this column made has none, and hears of what was written from its making on.
    Column("since_epoch", SmallInteger),
    Column("since_snapshot", Snapshot),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("updated_at", _INSTANT, nullable=False, server_default=_NOW),
    Index("ix_webhooks_created_at", "created_at", "id"),
)

# Apart from the webhooks, so that whoever reads those cannot read these by mistake.
webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("webhook_id", Uuid, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", _INSTANT, nullable=False, server_default=_NOW),
    Column("secret", LargeBinary, nullable=False),
    Column("sealed", Boolean, nullable=False),
    # Of the one that was rotated away: the end of the overlap.
    Column("expires_at", _INSTANT),
    PrimaryKeyConstraint("webhook_id", "created_at"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    # No foreign key: a webhook with a million deliveries is removed at once, and these go when their time comes.
    Column("webhook_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    # What is told of, in the log; none where it is only a test. What is sent is made from there each time.
    Column("event_epoch", SmallInteger),
    Column("event_xid", Xid8),
    Column("event_id", BigInteger),
    # When it was recorded: in which part of the log it is.
    Column("event_at", _INSTANT),
    Column("type", Text, nullable=False),
    # The ticket, or else the subject: whoever erases finds the answers by it.
    Column("about_id", Uuid, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Of a pending one: when it is tried next. While somebody tries it, when that one's lease ends.
    Column("next_at", _INSTANT, nullable=False),
    Column("give_up_at", _INSTANT, nullable=False),
    Column("created_at", _INSTANT, nullable=False),
    # The last attempt.
    Column("attempted_at", _INSTANT),
    Column("status", Integer),
    Column("answer", Text),
    Column("failure", Text),
    PrimaryKeyConstraint("webhook_id", "id"),
    # Each event once for each webhook, whatever becomes of the reader's position.
    UniqueConstraint("webhook_id", "event_epoch", "event_xid", "event_id", name="uq_webhook_deliveries_event"),
    CheckConstraint("num_nulls(event_epoch, event_xid, event_id, event_at) IN (0, 4)", name="whole_event"),
    Index("ix_webhook_deliveries_state", "webhook_id", "state", "id"),
    Index("ix_webhook_deliveries_due", "webhook_id", "next_at", postgresql_where=text("state = 'pending'")),
    Index("ix_webhook_deliveries_give_up_at", "give_up_at", postgresql_where=text("state = 'pending'")),
    Index("ix_webhook_deliveries_about_id", "about_id"),
    Index("ix_webhook_deliveries_created_at", "created_at"),
    Index("ix_webhook_deliveries_dead", "created_at", "id", postgresql_where=text("state = 'dead'")),
)
