#!/bin/sh
# A dump each night, restored on trial into a database of its own before it counts. With `once` a single one.
# PGHOST, PGUSER, PGPASSWORD and PGDATABASE name the database; BACKUP_DIR and KEEP_DAYS where to and for how long.
set -eu

back_up() {
    at=$(date -u +%Y%m%dT%H%M%SZ)
    part="$BACKUP_DIR/part-$at.dump" trial="${PGDATABASE}_restore_trial"
    pg_dump --format=custom --file="$part"
    dropdb --if-exists "$trial"
    createdb "$trial"
    pg_restore --exit-on-error --dbname="$trial" "$part"
    # Each schema and each ticket that the dump holds is in the trial.
    counted='SELECT (SELECT max(version_num) FROM alembic_version) || chr(32) || (SELECT count(*) FROM tickets)'
    restored=$(psql -X -At --dbname="$trial" --command="$counted")
    dropdb "$trial"
    mv "$part" "$BACKUP_DIR/ninety-$at.dump"
    echo "backed up and restored on trial: ninety-$at.dump, schema and tickets $restored"
    find "$BACKUP_DIR" -name 'ninety-*.dump' -mtime "+$KEEP_DAYS" -delete
    find "$BACKUP_DIR" -name 'part-*.dump' -mmin +60 -delete
}

if [ "${1:-}" = once ]; then
    back_up
    exit
fi
while true; do
    # In a subshell of its own: what fails is said, and tried again in an hour.
    if sh "$0" once; then sleep 86400; else echo "the backup failed" >&2; sleep 3600; fi
done
