#!/bin/sh
# PgBouncer with the login's password from the environment.
set -eu
umask 077
printf '"ninety" "%s"\n' "$NINETY_DATABASE_PASSWORD" > "${1:-/tmp}/users.txt"
exec pgbouncer "${2:-/etc/ninety/pgbouncer.ini}"
