"""Facts of clocks that have ended, and cubes that reports are added up from. The worker fills them; until it has,
reports read the clocks."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0044"
down_revision = "0043"

_DIMENSIONS = (
    "segment", "team", "agent", "assignee", "priority", "channel", "type", "region", "product", "policy"
)  # fmt: skip
_TABLES = ("report_facts", "report_deltas", "report_cubes", "report_codes", "report_zones", "report_filling")
_NOTHING_FILLED = str(2**31 - 1)


def _contribution() -> list[sa.Column[Any]]:
    return [
        sa.Column("elapsed_us", sa.BigInteger, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _DIMENSIONS),
        sa.Column("metric", sa.SmallInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("wall_us", sa.BigInteger),
        sa.Column("waited_us", sa.BigInteger),
    ]


def upgrade() -> None:
    op.create_table(
        "report_facts", sa.Column("clock_id", sa.Uuid, nullable=False), *_contribution(),
        postgresql_partition_by="RANGE (slot)", if_not_exists=True,
    )  # fmt: skip
    op.create_index("ix_report_facts_slot", "report_facts", ["metric", "slot"], if_not_exists=True)
    op.create_table(
        "report_deltas",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("n", sa.SmallInteger, nullable=False),
        *_contribution(),
        sa.PrimaryKeyConstraint("id", name="pk_report_deltas"),
        if_not_exists=True,
    )
    key = ("zone", "cube", "grain", "metric", "start", "a", "b", "outcome")
    op.create_table(
        "report_cubes",
        *(
            sa.Column(name, sa.Integer if name in ("start", "a", "b") else sa.SmallInteger, nullable=False)
            for name in key
        ),
        sa.Column("n", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Numeric, nullable=False) for name in ("elapsed_us", "wall_us", "waited_us")),
        sa.Column("waits", ARRAY(sa.BigInteger)),
        sa.PrimaryKeyConstraint(*key, name="pk_report_cubes"),
        if_not_exists=True,
    )
    op.create_table(
        "report_codes",
        sa.Column("code", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("dimension", sa.SmallInteger, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_report_codes"),
        sa.UniqueConstraint("dimension", "value", name="uq_report_codes_dimension_value"),
        if_not_exists=True,
    )
    op.create_table(
        "report_zones",
        sa.Column("id", sa.SmallInteger, sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("filled_from", sa.Integer, server_default=_NOTHING_FILLED, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report_zones"),
        sa.UniqueConstraint("name", name="uq_report_zones_name"),
        if_not_exists=True,
    )
    op.create_table(
        "report_filling",
        sa.Column("one", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("filled_from", sa.Integer, server_default=_NOTHING_FILLED, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_report_filling"),
        sa.CheckConstraint("one", name="ck_report_filling_one_row"),
        if_not_exists=True,
    )
    op.execute("INSERT INTO report_filling DEFAULT VALUES ON CONFLICT DO NOTHING")
    op.execute(_ADD_WAITS)
    op.execute(_PARTITION)
    op.execute(_CLOSED)
    # The service reaches the months by the table alone.
    for table in _TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ninety_service")


# Of two lists of waits by bucket (2048 times the count, plus the bucket) the one that holds both.
_ADD_WAITS = """
CREATE OR REPLACE FUNCTION add_waits(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE
PARALLEL SAFE AS $$
    SELECT array_agg(n * 2048 + bucket ORDER BY bucket)
    FROM (
        SELECT wait & 2047 AS bucket, sum(wait >> 11)::bigint AS n FROM unnest(one || other) AS wait
        GROUP BY 1 HAVING sum(wait >> 11) <> 0
    ) AS counted
$$"""

# The month that a quarter of an hour lies in, where it is not there yet; 1 where it was made.
_PARTITION = """
CREATE OR REPLACE FUNCTION make_report_partition(slot integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', to_timestamp(slot * 900::bigint));
    name text := to_char(month, '"report_facts_"YYYY_MM');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN RETURN 0; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE report_facts)', name);
    EXECUTE format('ALTER TABLE report_facts ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name,
        extract(epoch FROM month)::bigint / 900, extract(epoch FROM month + interval '1 month')::bigint / 900);
    EXECUTE format('REVOKE ALL ON %I FROM ninety_service', name);
    RETURN 1;
END $$"""

_CLOSED = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION make_report_partition(integer) SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION make_report_partition(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION make_report_partition(integer) TO ninety_service;
END $$"""


def downgrade() -> None:
    op.execute("DELETE FROM event_readers WHERE name = 'reports'")
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION make_report_partition(integer)")
    op.execute("DROP FUNCTION add_waits(bigint[], bigint[])")
