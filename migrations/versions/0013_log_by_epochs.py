"""The log's index in the order of the log, (epoch, xid, id): who enters an epoch looks at no row of another one. The
release before follows (xid, id), so that index stays as long as it may run.

The timeline comes from the position in the write-ahead log: the control file names the new one only after the first
checkpoint behind a promotion."""

from collections.abc import Iterable

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"

# Of no partition yet, so that nothing is built; from here on a new month gets its own when it is attached.
_OF_ALL = """-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS ix_events_order ON ONLY events (epoch, xid, id)"""

_PARTITIONS = text("""
SELECT c.relname, 'ix_' || c.relname || '_order' AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_inherits of ON of.inhrelid = x.indexrelid
    WHERE x.indrelid = c.oid AND of.inhparent = 'ix_events_order'::regclass
) ORDER BY 1""")


def upgrade() -> None:
    _settle_by(_OF_THE_LOG)
    op.execute(_OF_ALL)
    with op.get_context().autocommit_block():
        for table, name in _partitions():
            # A build that broke off leaves an index that is not valid.
            op.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
            op.execute(f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{name}" ON "{table}" (epoch, xid, id)')
            op.execute(f'ALTER INDEX ix_events_order ATTACH PARTITION "{name}"')


def _partitions() -> Iterable[tuple[str, str]]:
    """Those without the index, and what theirs is called. A script (`--sql`) knows those that are always there."""
    if op.get_context().as_sql:
        return [(table, f"ix_{table}_order") for table in ("events_before", "events_default")]
    return [(row.relname, row.name) for row in op.get_bind().execute(_PARTITIONS)]


def downgrade() -> None:
    op.execute("DROP INDEX ix_events_order")
    _settle_by(_OF_THE_CONTROL_FILE)


def _settle_by(timeline: str) -> None:
    op.execute(_EPOCH.format(timeline=timeline))
    # Replacing a function forgets what was set for it.
    op.execute(_PATH)


_OF_THE_CONTROL_FILE = "(SELECT timeline_id FROM pg_control_checkpoint())"
# As the control file names it: in decimal.
_OF_THE_LOG = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"

_EPOCH = """
CREATE OR REPLACE FUNCTION settle_event_epoch() RETURNS smallint LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '2s' AS $$
DECLARE
    log event_log; server text;
BEGIN
    SELECT system_identifier || '/' || {timeline} INTO server FROM pg_control_system();
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

_PATH = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION settle_event_epoch() SET search_path = %I, pg_temp', current_schema());
END $$"""
