#!/bin/sh
# Run by Patroni once, on the first primary; $1 is a URL of the superuser. Makes the login and the database.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$NINETY_DATABASE_PASSWORD" --dbname "$1" <<'SQL'
CREATE ROLE ninety LOGIN CREATEROLE CREATEDB PASSWORD :'password';
CREATE DATABASE ninety OWNER ninety;
-- PgBouncer takes no guard rails with a connection: they belong to the login.
ALTER ROLE ninety SET statement_timeout = '30s';
ALTER ROLE ninety SET lock_timeout = '5s';
ALTER ROLE ninety SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE ninety SET tcp_keepalives_idle = 30;
ALTER ROLE ninety SET tcp_keepalives_interval = 5;
ALTER ROLE ninety SET tcp_keepalives_count = 3;
SQL
