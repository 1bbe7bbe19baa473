"""Readiness, and the heartbeat by which a worker is seen."""

import asyncio
import time
from uuid import UUID

import asyncpg
from pydantic import BaseModel
from sqlalchemy import Interval, bindparam, cast, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.db import FAULTS, Database, Query, Transaction
from app.errors import Unavailable
from app.operations.tables import schema_support
from app.operations.tables import worker_heartbeats as heartbeats
from app.release import can_work_on
from app.web.admission import Admission

_STANDS_SECONDS = 0.5
_ALIVE = cast(literal_column("'10 seconds'"), Interval)
_CHECK = Query(
    select(
        select(func.max(column("version_num"))).select_from(table("alembic_version")).scalar_subquery().label("schema"),
        select(schema_support.c.not_below).scalar_subquery().label("not_below"),
        (func.max(heartbeats.c.seen_at) > func.clock_timestamp() - _ALIVE).label("worker"),
    )
)
_beat = pg_insert(heartbeats).values(worker_id=bindparam("worker"), seen_at=func.clock_timestamp())
_BEAT = Query(_beat.on_conflict_do_update(index_elements=["worker_id"], set_={"seen_at": _beat.excluded.seen_at}))


class NotReady(Unavailable):
    """The service cannot take work yet, or any more: the database does not answer, the schema is older than this
    release or one that it cannot work on, no worker has been seen for 10 seconds, or the process is about to end."""

    code = "not_ready"
    title = "Not ready"


class Check(BaseModel):
    name: str
    ok: bool


class Readiness(BaseModel):
    checks: list[Check]


class Health:
    """Whether this process can take work. Anybody may ask, so an answer stands for half a second, and whoever asks
    meanwhile waits for the one that is being found out."""

    def __init__(self, db: Database, schema_head: str, admission: Admission) -> None:
        self._db = db
        self._schema_head = schema_head
        self._admission = admission
        self._asking = asyncio.Lock()
        self._until = 0.0

    async def readiness(self) -> Readiness:
        async with self._asking:
            if time.monotonic() >= self._until:
                self._found = await _readiness(self._db, self._schema_head)
                self._until = time.monotonic() + _STANDS_SECONDS
            accepting = Check(name="accepting", ok=not self._admission.draining)
            return Readiness(checks=[*self._found.checks, accepting])


async def _readiness(db: Database, schema_head: str) -> Readiness:
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
    return Readiness(checks=[Check(name=name, ok=ok) for name, ok in checks.items()])


async def record_heartbeat(tx: Transaction, worker_id: UUID) -> None:
    tx.write(_BEAT, worker=worker_id)
