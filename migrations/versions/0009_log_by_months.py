"""The log by months, with an epoch that tells a restored database from the one it was dumped from, and the version of
the ticket in each event.

The table as it was becomes the first partition, and is neither copied nor looked through under a lock: that its rows
fit is checked beforehand. The way back copies what was written since under a lock of the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

_INSTANT = sa.DateTime(timezone=True)
_COLUMNS = (
    "id, xid, type, occurred_at, recorded_at, actor_kind, actor_id, subject_id, ticket_id, internal, imported, data"
)
_INDEXES = {
    "ticket_id": "(ticket_id, id) WHERE ticket_id IS NOT NULL",
    "subject_id": "(subject_id, id) WHERE ticket_id IS NULL",
}


def upgrade() -> None:
    # The months begin with the next one, or the one after it where that is too near, or where a clock went ahead.
    op.execute(_BEFORE)
    for column in ("epoch smallint DEFAULT 1 NOT NULL", "ticket_version integer"):
        op.execute(f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {column}")
    op.execute("ALTER TABLE event_readers ADD COLUMN IF NOT EXISTS epoch smallint DEFAULT 1 NOT NULL")
    with op.get_context().autocommit_block():
        op.drop_index("ix_events_before_position", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "ix_events_before_position", "events", ["xid", "id"], postgresql_concurrently=True, if_not_exists=True
        )
    # Everybody reads and writes on meanwhile.
    op.execute("ALTER TABLE events VALIDATE CONSTRAINT ck_events_before")
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.create_table(
        "event_log",
        sa.Column("one", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("epoch", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("written_by", sa.Text(), nullable=True),
        sa.Column("dropped_before", _INSTANT, nullable=True),
        sa.CheckConstraint("one", name=op.f("ck_event_log_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_event_log")),
    )
    op.execute("INSERT INTO event_log DEFAULT VALUES")
    op.create_table(
        "stream_tickets",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_stream_tickets")),
    )
    op.execute(_PARTITION)
    for function in (_MAKE, _DROP, _EPOCH):
        op.execute(function)
    op.execute(_CLOSED)
    op.execute("SELECT make_event_partitions(2)")


_BEFORE = """
DO $$
DECLARE latest timestamptz;
BEGIN
    -- Looked for before any lock is taken.
    SELECT greatest(max(recorded_at), now() + interval '3 days') INTO latest FROM events;
    ALTER TABLE events DROP CONSTRAINT IF EXISTS ck_events_before;
    EXECUTE format('ALTER TABLE events ADD CONSTRAINT ck_events_before CHECK (recorded_at < %L::timestamptz) NOT VALID',
        date_trunc('month', latest, 'UTC') + interval '1 month');
END $$"""

# The sequence goes on from where it was.
_PARTITION = """
DO $$
DECLARE next bigint; bound timestamptz;
BEGIN
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    SELECT nextval(pg_get_serial_sequence('events', 'id')) INTO next;
    SELECT substring(pg_get_constraintdef(oid) FROM '''([^'']+)''')::timestamptz INTO bound FROM pg_constraint
    WHERE conrelid = 'events'::regclass AND conname = 'ck_events_before';
    ALTER TABLE events DROP CONSTRAINT pk_events, ALTER COLUMN id DROP IDENTITY;
    ALTER TABLE events RENAME TO events_before;
    ALTER INDEX ix_events_ticket_id RENAME TO ix_events_before_ticket_id;
    ALTER INDEX ix_events_subject_id RENAME TO ix_events_before_subject_id;
    EXECUTE format('CREATE TABLE events (
        id bigint GENERATED ALWAYS AS IDENTITY (START WITH %s) NOT NULL,
        xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
        type text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        actor_kind text NOT NULL,
        actor_id uuid,
        subject_id uuid NOT NULL,
        ticket_id uuid,
        internal boolean DEFAULT false NOT NULL,
        imported boolean DEFAULT false NOT NULL,
        data jsonb NOT NULL,
        epoch smallint DEFAULT 1 NOT NULL,
        ticket_version integer
    ) PARTITION BY RANGE (recorded_at)', next);
    CREATE INDEX ix_events_position ON events (xid, id);
    CREATE INDEX ix_events_ticket_id ON events (ticket_id, id) WHERE ticket_id IS NOT NULL;
    CREATE INDEX ix_events_subject_id ON events (subject_id, id) WHERE ticket_id IS NULL;
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_before FOR VALUES FROM (MINVALUE) TO (%L)', bound);
    ALTER TABLE events_before DROP CONSTRAINT ck_events_before;
    -- What no month is there for: no write ever fails for want of one.
    CREATE TABLE events_default PARTITION OF events DEFAULT;
    REVOKE UPDATE, DELETE ON events FROM ninety_service;
    REVOKE ALL ON events_before, events_default FROM ninety_service;
    GRANT SELECT, INSERT ON events TO ninety_service;
    REVOKE INSERT, UPDATE, DELETE ON event_log FROM ninety_service;
    GRANT SELECT ON event_log TO ninety_service;
    GRANT SELECT, INSERT, UPDATE, DELETE ON stream_tickets TO ninety_service;
END $$"""

# This month's and `ahead` more. What lies in the default partition moves into the month that it is of.
_MAKE = """
CREATE FUNCTION make_event_partitions(ahead integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz; name text; made integer := 0; ends timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7390091) THEN RETURN 0; END IF;
    FOR month IN
        SELECT generate_series(date_trunc('month', now()), now() + make_interval(months => ahead), interval '1 month')
    LOOP
        name := to_char(month, '"events_"YYYY_MM');
        ends := month + interval '1 month';
        CONTINUE WHEN to_regclass(name) IS NOT NULL OR month < (
            SELECT max(substring(pg_get_expr(relpartbound, oid) FROM $re$TO \\('([^']+)'\\)$re$)::timestamptz)
            FROM pg_class WHERE oid = to_regclass('events_before')
        );
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS)', name);
        LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM events_default WHERE recorded_at >= $1 AND recorded_at < $2
            RETURNING *) INSERT INTO %I SELECT * FROM moved', name) USING month, ends;
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, month, ends);
        EXECUTE format('REVOKE ALL ON %I FROM ninety_service', name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$"""

# Months that ended longer ago than `keep`, whole; never the last 31 days, whatever the service's role asks for.
_DROP = """
CREATE FUNCTION drop_event_partitions(keep interval) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    part record; dropped integer := 0;
BEGIN
    FOR part IN
        SELECT c.relname,
            substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$TO \\('([^']+)'\\)$re$)::timestamptz AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events'::regclass ORDER BY 2
    LOOP
        CONTINUE WHEN part.ends IS NULL OR part.ends > now() - greatest(keep, interval '31 days');
        EXECUTE format('DROP TABLE %I', part.relname);
        UPDATE event_log SET dropped_before = greatest(dropped_before, part.ends);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$"""

# Transaction ids mean something to the server that gave them, and only on its timeline. On another one a new epoch
# begins: changing the default waits for whoever still writes, so that all of an epoch is there before the next begins.
_EPOCH = """
CREATE FUNCTION settle_event_epoch() RETURNS smallint LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
DECLARE
    log event_log; server text;
BEGIN
    SELECT s.system_identifier || '/' || c.timeline_id INTO server
    FROM pg_control_system() AS s, pg_control_checkpoint() AS c;
    SELECT * INTO log FROM event_log;
    IF log.written_by = server THEN RETURN log.epoch; END IF;
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    SELECT * INTO log FROM event_log FOR UPDATE;
    IF log.written_by = server THEN RETURN log.epoch; END IF;
    IF log.written_by IS NOT NULL THEN
        log.epoch := log.epoch + 1;
        EXECUTE format('ALTER TABLE events ALTER COLUMN epoch SET DEFAULT %s', log.epoch);
    END IF;
    UPDATE event_log SET epoch = log.epoch, written_by = server;
    RETURN log.epoch;
END $$"""

_CLOSED = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY
        '{make_event_partitions(integer), drop_event_partitions(interval), settle_event_epoch()}'::text[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ninety_service', name);
    END LOOP;
END $$"""


def downgrade() -> None:
    for function in ("make_event_partitions", "drop_event_partitions", "settle_event_epoch"):
        op.execute(f"DROP FUNCTION {function}")
    # Where the months have dropped it, there is a first partition again.
    op.execute("CREATE TABLE IF NOT EXISTS events_before (LIKE events INCLUDING DEFAULTS)")
    for name, columns in _INDEXES.items():
        op.execute(f"CREATE INDEX IF NOT EXISTS ix_events_before_{name} ON events_before {columns}")
    with op.get_context().autocommit_block():
        op.drop_index("pk_events_new", postgresql_concurrently=True, if_exists=True)
        op.create_index("pk_events_new", "events_before", ["xid", "id"], unique=True, postgresql_concurrently=True)
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute(_ONE_TABLE.format(columns=_COLUMNS))
    op.drop_column("event_readers", "epoch")
    op.drop_table("stream_tickets")
    op.drop_table("event_log")


_ONE_TABLE = """
DO $$
DECLARE next bigint;
BEGIN
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    SELECT nextval(pg_get_serial_sequence('events', 'id')) INTO next;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'events_before'::regclass) THEN
        ALTER TABLE events DETACH PARTITION events_before;
    END IF;
    INSERT INTO events_before ({columns}) SELECT {columns} FROM events;
    DROP TABLE events;
    DROP INDEX IF EXISTS ix_events_before_position;
    ALTER TABLE events_before RENAME TO events;
    ALTER INDEX ix_events_before_ticket_id RENAME TO ix_events_ticket_id;
    ALTER INDEX ix_events_before_subject_id RENAME TO ix_events_subject_id;
    ALTER TABLE events DROP COLUMN epoch, DROP COLUMN ticket_version,
        ADD CONSTRAINT pk_events PRIMARY KEY USING INDEX pk_events_new;
    EXECUTE format('ALTER TABLE events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (START WITH %s)', next);
    GRANT SELECT, INSERT ON events TO ninety_service;
END $$"""
