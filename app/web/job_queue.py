"""Jobs that go through many rows a batch at a time, as rows of a table of their own: what makes one necessary queues it
in its own transaction. Whoever works on one commits its position with what the batch changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, func, insert, literal_column, select, update
from uuid_utils.compat import uuid7

from app.db import Query, Row, Transaction
from app.errors import NotFound
from app.web.paging import Listing, Order

# What was being written just before a change may be committed just after it, under what was in force before. A second
# job, so much later, finds it.
SETTLED_AFTER = timedelta(seconds=45)


class JobQueue:
    """`parameters` are columns that whoever queues a job may give. `progress` are columns that whoever works on it
    sets; the one named `total` is null until the work begins."""

    def __init__(
        self, table: Table, kinds: type[StrEnum], *, parameters: Sequence[str], progress: Sequence[str], total: str
    ) -> None:
        columns = table.c
        by_id = columns.id == bindparam("key_id")
        self._total = total
        self._parameters = tuple(parameters)
        self._insert = Query(insert(table), ["id", "kind", "subject_id", "created_at", "run_at", *parameters])
        self._get = Query(select(table).where(by_id))
        # What a newer release has queued is its own workers' to do.
        known = columns.kind.in_([literal_column(f"'{kind}'") for kind in kinds])
        due = columns.run_at <= func.clock_timestamp()
        self._next = Query(
            select(table, func.clock_timestamp().label("now"))
            .where(columns.finished_at.is_(None), due, known)
            .order_by(columns.run_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        self._advance = Query(update(table).where(by_id), [*progress, "finished_at"])
        self._forget = Query(delete(table).where(by_id))
        newest_first = Order((columns.created_at, columns.id), descending=True)
        self.listing = Listing(table.name, select(table), {}, {"-created_at": newest_first})

    async def get(self, tx: Transaction, id: UUID) -> Row:
        """Raises NotFound."""
        row = await tx.row(self._get, key_id=id)
        if row is None:
            raise NotFound("there is no job with this id")
        return row

    def queue(
        self, tx: Transaction, kind: StrEnum, subject_id: UUID, now: datetime, run_at: datetime, **parameters: Any
    ) -> UUID:
        """Queue a job; the id to follow it by."""
        id_ = uuid7()
        given = {name: parameters.get(name) for name in self._parameters}
        tx.write(self._insert, id=id_, kind=kind, subject_id=subject_id, created_at=now, run_at=run_at, **given)
        return id_

    async def claim(self, tx: Transaction) -> Row | None:
        """The job that is due, locked until the transaction ends; others go on to the next one."""
        return await tx.locked_row(self._next)

    def advance(self, tx: Transaction, id: UUID, **values: Any) -> None:
        tx.write(self._advance, key_id=id, **values)

    def forget(self, tx: Transaction, id: UUID) -> None:
        """A job that nobody asked for, and is over."""
        tx.write(self._forget, key_id=id)

    def to_response(self, row: Row) -> dict[str, Any]:
        state = "done" if row["finished_at"] else "waiting" if row[self._total] is None else "running"
        return {**row, "state": state}
