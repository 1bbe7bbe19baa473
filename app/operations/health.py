"""Readiness, and the heartbeat by which a worker is seen."""

import asyncio
import time
from enum import StrEnum
from uuid import UUID

import asyncpg
from pydantic import BaseModel, Field
from sqlalchemy import Interval, bindparam, cast, column, delete, func, literal_column, select, table, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.db import FAULTS, Database, Query, Transaction
from app.errors import Unavailable
from app.instants import written
from app.operations.backlogs import readers
from app.operations.tables import schema_support
from app.operations.tables import worker_heartbeats as heartbeats
from app.release import can_work_on
from app.web.admission import Admission

_STANDS_SECONDS = 0.5
_WARNED_SECONDS = 5.0
_ALIVE = cast(literal_column("'10 seconds'"), Interval)
_CHECK = Query(
    select(
        select(func.max(column("version_num"))).select_from(table("alembic_version")).scalar_subquery().label("schema"),
        select(schema_support.c.not_below).scalar_subquery().label("not_below"),
        (func.max(heartbeats.c.seen_at) > func.clock_timestamp() - _ALIVE).label("worker"),
    )
)
_beat = pg_insert(heartbeats).values(worker_id=bindparam("worker"), seen_at=func.clock_timestamp())
# What ended, or died, longer ago than a worker may be silent. It takes no lock that a worker waits for.
_LOST = Query(
    delete(heartbeats)
    .where(
        heartbeats.c.worker_id.in_(
            select(heartbeats.c.worker_id)
            .where(
                heartbeats.c.seen_at < func.clock_timestamp() - _ALIVE, heartbeats.c.worker_id != bindparam("worker")
            )
            .with_for_update(skip_locked=True)
        )
    )
    .returning(heartbeats)
)
_STOP = Query(
    update(heartbeats).where(heartbeats.c.worker_id == bindparam("worker")).values(stopped_at=func.clock_timestamp())
)
_BEAT = Query(_beat.on_conflict_do_update(index_elements=["worker_id"], set_={"seen_at": _beat.excluded.seen_at}))


class NotReady(Unavailable):
    """The service cannot take work yet, or any more: the database does not answer, the schema is older than this
    release or one that it cannot work on, no worker has been seen for 10 seconds, or the process is about to end."""

    code = "not_ready"
    title = "Not ready"


class Check(BaseModel):
    name: str
    ok: bool


class ReadyState(StrEnum):
    ready = "ready"
    degraded = "degraded"


class Readiness(BaseModel):
    """`degraded`: it takes work, and somebody should look: `warnings` say why."""

    status: ReadyState
    checks: list[Check]
    warnings: list[str] = Field(description="Why somebody should look.")


class Health:
    """Whether this process can take work. Anybody may ask, so an answer stands for half a second, and whoever asks
    meanwhile waits for the one that is being found out."""

    def __init__(self, db: Database, schema_head: str, admission: Admission) -> None:
        self._db = db
        self._schema_head = schema_head
        self._admission = admission
        self._asking = asyncio.Lock()
        self._until = self._warned_until = 0.0
        self._warnings: list[str] = []

    async def readiness(self) -> Readiness:
        async with self._asking:
            if time.monotonic() >= self._until:
                self._found = await _checks(self._db, self._schema_head)
                if all(check.ok for check in self._found) and time.monotonic() >= self._warned_until:
                    self._warnings = await _warnings(self._db)
                    self._warned_until = time.monotonic() + _WARNED_SECONDS
                self._until = time.monotonic() + _STANDS_SECONDS
            accepting = Check(name="accepting", ok=not self._admission.draining)
            return Readiness(
                status=ReadyState.degraded if self._warnings else ReadyState.ready,
                checks=[*self._found, accepting],
                warnings=self._warnings,
            )


async def _warnings(db: Database) -> list[str]:
    """What takes no work away from this process. What cannot be found out now is a check's to say."""
    try:
        async with db.transaction(reads=True) as tx:
            return [reader.explanation for reader in await readers(tx) if reader.stands_still]
    except (*FAULTS, Unavailable):
        return []


async def _checks(db: Database, schema_head: str) -> list[Check]:
    reachable, schema, worker = False, False, False
    try:
        async with db.transaction(reads=True) as tx:
            row = await tx.row(_CHECK)
        assert row is not None
        reachable, worker = True, bool(row["worker"])
        schema = can_work_on(schema_head, row["schema"], row["not_below"])
    except asyncpg.UndefinedTableError:
        reachable = True
    except (*FAULTS, Unavailable):
        reachable = False
    checks = {"database": reachable, "schema": schema, "worker": worker}
    return [Check(name=name, ok=ok) for name, ok in checks.items()]


async def record_heartbeat(tx: Transaction, worker_id: UUID) -> list[dict[str, str]]:
    """Which workers died without a word, each told of once: what they did others do now."""
    lost = await tx.locked_rows(_LOST, worker=worker_id)
    tx.write(_BEAT, worker=worker_id)
    return [
        {"from_worker": str(row["worker_id"]), "last_seen": written(row["seen_at"])}
        for row in lost
        if row["stopped_at"] is None
    ]


def record_stop(tx: Transaction, worker_id: UUID) -> None:
    tx.write(_STOP, worker=worker_id)
