"""What waits to be done, as the database tells it: readers of the log, deadlines, webhooks, jobs, goals. The worker
publishes it, `/readyz` and `ninety doctor` warn of it. Every count is bounded, and found by an index."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from app.cubes import facts
from app.db import Query, Transaction
from app.memberships import jobs as segment_jobs
from app.outlook import learning
from app.segments.service import READER as SEGMENTS
from app.tickets import search_index
from app.webhooks import planning

COUNTED = 10_000
"""No count goes on after so many."""
_GOALS = 200
_STANDS_STILL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of the log that has something to read. `behind_seconds`: the age of the first event that it has not
    read; None where it has read all. `held_up`: a transaction that is open on the server keeps that event from it."""

    name: str
    epoch: int
    unread: int
    behind_seconds: float | None
    still_seconds: float | None
    held_up: bool

    @property
    def stands_still(self) -> bool:
        """It has not moved for a minute, and there was something to read all the while."""
        if self.behind_seconds is None or self.behind_seconds < _STANDS_STILL_SECONDS:
            return False
        return self.still_seconds is None or self.still_seconds >= _STANDS_STILL_SECONDS

    @property
    def explanation(self) -> str:
        cause = (
            "a transaction that is open on the server holds it up: end it"
            if self.held_up
            else "see round_failed in the worker's log"
        )
        return f"the reader {self.name} stands still, {self.behind_seconds:.0f} s behind: {cause}"


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Goal:
    """`target` is in the unit of `value`: seconds, or percent of an attainment."""

    key: str
    standing: str
    value: float | None
    target: float
    crosses_in_seconds: float | None


@dataclass(frozen=True, slots=True)
class Backlogs:
    """`log_ends_in_seconds`: for so long the log has a partition for each month; `unsorted_events`: those for which
    there was none."""

    now: datetime
    epoch: int
    schema: str
    due_clocks: int
    due_clocks_seconds: float
    log_ends_in_seconds: float
    unsorted_events: int
    pending_deliveries: int
    dead_deliveries: int
    webhooks_open: int
    webhooks_disabled: int
    due_deliveries_seconds: float


_READERS = Query(
    text("""
SELECT r.name, r.epoch, extract(epoch FROM clock_timestamp() - r.moved_at)::float8 AS still_seconds,
    extract(epoch FROM clock_timestamp() - first.recorded_at)::float8 AS behind_seconds,
    coalesce(first.xid >= pg_snapshot_xmin(pg_current_snapshot()), false) AS held_up,
    CASE WHEN first.xid IS NULL THEN 0 ELSE (SELECT count(*) FROM (SELECT FROM events e
        WHERE (e.epoch, e.xid, e.id) > (r.epoch, r.xid, r.event_id) LIMIT 10000) AS few) END AS unread
FROM event_readers r LEFT JOIN LATERAL (
    SELECT e.recorded_at, e.xid FROM events e WHERE (e.epoch, e.xid, e.id) > (r.epoch, r.xid, r.event_id)
    ORDER BY e.epoch, e.xid, e.id LIMIT 1) AS first ON true
WHERE r.name = ANY(:names) ORDER BY r.name""").bindparams(bindparam("names", type_=ARRAY(Text)))
)
_BACKLOGS = Query(
    text("""
SELECT clock_timestamp() AS now,
    (SELECT epoch FROM event_log) AS epoch,
    (SELECT max(version_num) FROM alembic_version) AS schema,
    (SELECT count(*) FROM (SELECT FROM sla_clocks WHERE next_at < statement_timestamp() LIMIT 10000) AS few)
        AS due_clocks,
    coalesce((SELECT extract(epoch FROM clock_timestamp() - min(next_at))::float8 FROM sla_clocks
        WHERE next_at < statement_timestamp()), 0) AS due_clocks_seconds,
    coalesce((SELECT extract(epoch FROM max(substring(pg_get_expr(c.relpartbound, c.oid)
        FROM $$TO \\('([^']+)'\\)$$)::timestamptz) - clock_timestamp())::float8
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events'::regclass), 0) AS log_ends_in_seconds,
    coalesce(pg_stat_get_live_tuples(to_regclass('events_default')), 0) AS unsorted_events,
    (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE state = 'pending' LIMIT 10000) AS few)
        AS pending_deliveries,
    (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE state = 'dead'
        AND created_at > statement_timestamp() - interval '1 day' LIMIT 10000) AS few) AS dead_deliveries,
    (SELECT count(*) FROM webhooks WHERE active AND open_until > statement_timestamp()) AS webhooks_open,
    (SELECT count(*) FROM webhooks WHERE NOT active AND disabled_reason IS NOT NULL) AS webhooks_disabled,
    coalesce((SELECT extract(epoch FROM clock_timestamp() - min(due.next_at))::float8
        FROM webhooks w CROSS JOIN LATERAL (
            SELECT next_at FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state = 'pending'
                AND d.next_at < statement_timestamp() ORDER BY next_at LIMIT 1) AS due
        WHERE w.active AND (w.open_until IS NULL OR w.open_until < statement_timestamp())), 0)
        AS due_deliveries_seconds""")
)
_QUEUES = Query(
    text(
        " UNION ALL ".join(
            f"SELECT '{table}' AS name, count(*) AS waiting,"  # noqa: S608 - names of ours  # nosec B608
            " coalesce(extract(epoch FROM clock_timestamp() - min(run_at)), 0)::float8 AS oldest_seconds"
            f" FROM {table} WHERE finished_at IS NULL AND run_at < statement_timestamp()"
            for table in ("sla_jobs", "segment_jobs", "incident_jobs")
        )
    )
)
_STANDINGS = Query(
    text("""
SELECT g.key, s.standing, s.value,
    coalesce(g.target_percent, (g.fairness->>'max_gap_points')::float8, g.target_seconds) AS target,
    extract(epoch FROM s.crosses_at - clock_timestamp())::float8 AS crosses_in_seconds
FROM service_goals g JOIN service_goal_states s ON s.goal_id = g.id ORDER BY g.key LIMIT :most""")
)


async def readers(tx: Transaction) -> list[Reader]:
    """Those that read at all: where there is no webhook, and no rule of a segment that reads the log, theirs rest."""
    names = [learning.READER, search_index.READER, facts.READER]
    names += [planning.READER] if await planning.is_wanted(tx) else []
    names += [SEGMENTS] if await segment_jobs.reads_log(tx) else []
    return [Reader(**row) for row in await tx.rows(_READERS, names=names)]


async def queues(tx: Transaction) -> list[Queue]:
    return [Queue(**row) for row in await tx.rows(_QUEUES)]


async def goals(tx: Transaction) -> list[Goal]:
    """The first two hundred by their keys."""
    return [Goal(**row) for row in await tx.rows(_STANDINGS, most=_GOALS)]


async def backlogs(tx: Transaction) -> Backlogs:
    row: Any = await tx.row(_BACKLOGS)
    return Backlogs(**row)
