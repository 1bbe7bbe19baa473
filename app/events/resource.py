"""The one way in which plain resources (customers, agents, teams, goals …) are read, created and changed: by id, with
a version for ETags, under a lock, and with an event that says what was before and after."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.db import Query, Row, RunAgain, Transaction
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.web import taken
from app.web.etag import PreconditionFailed, require
from app.web.schemas import MOST_FIELDS, fold

_NOW = func.clock_timestamp()


class Resource:
    """`columns` are those that callers set; the table also has id, version, created_at and updated_at."""

    def __init__(
        self,
        table: Table,
        name: str,
        columns: Sequence[str],
        *,
        derived: Sequence[str] = (),
        beside: Sequence[ColumnElement[Any]] = (),
        alone: bool = False,
    ) -> None:
        """`derived` columns are set with the others and not told of; `beside` is read with the row. `alone`: while
        somebody changes a row, nothing that refers to it is written. Otherwise who writes such a thing, under locks of
        their own, does not wait for who changes it."""
        self.name = name
        self._columns = tuple(columns)
        by_id = table.c.id == bindparam("key_id")
        self.select = select(table, *beside)
        self._get = Query(self.select.where(by_id))
        self._lock = Query(select(table, _NOW.label("now")).where(by_id).with_for_update(key_share=not alone))
        settable = [*columns, *derived]
        self._table = table
        made = pg_insert(table).on_conflict_do_nothing().returning(table, _NOW.label("now"))
        self._insert = Query(made, ["id", *settable])
        changed = (
            update(table)
            .where(by_id)
            .values(version=table.c.version + 1, updated_at=literal_column("clock_timestamp()"))
        )
        self._update = Query(changed.returning(table), settable)
        self._delete = Query(delete(table).where(by_id))
        # What people call it by: a key of its own, or an id of theirs.
        self._called = next((name for name in ("key_folded", "external_id") if name in settable), None)
        self._get_called = self._getting_called(table) if self._called else None

    async def get(self, tx: Transaction, id: UUID) -> Row:
        row = await tx.row(self._get, key_id=id)
        if row is None:
            raise NotFound(f"there is no {self.name} with this id")
        return row

    async def get_called(self, tx: Transaction, name: str) -> Row:
        """By its key, whatever its case, width and form, or by its external id."""
        assert self._get_called is not None
        row = await tx.row(self._get_called, called=fold(name) if self._called == "key_folded" else name)
        if row is None:
            raise NotFound(f"there is no {self.name} that is called so")
        return row

    def _getting_called(self, table: Table) -> Query:
        return Query(self.select.where(table.c[self._called or ""] == bindparam("called")))

    async def create(self, tx: Transaction, actor: Actor | None, values: Mapping[str, Any]) -> Row:
        row = await tx.locked_row(self._insert, id=uuid7(), **values)
        if row is None:
            await taken.check(tx, self._table, values)
            raise Conflict("another one with the same unique value was there a moment ago: repeat it")
        self._record_created(tx, actor, row)
        return row

    async def locked(self, tx: Transaction, id: UUID, if_match: str | None = None) -> Row:
        """The row, locked, with `now`. Raises NotFound and PreconditionFailed."""
        row = await tx.locked_row(self._lock, key_id=id)
        if row is None:
            raise NotFound(f"there is no {self.name} with this id")
        require(if_match, row["version"], archived=row.get("archived_at") is not None)
        return row

    async def change(self, tx: Transaction, actor: Actor, before: Row, values: Mapping[str, Any]) -> Row:
        """Set `values` on a row that `locked` returned. What changes nothing makes no version and no event."""
        changes = log.changes(before, {name: values[name] for name in self._columns if name in values})
        if not changes:
            return before
        everything = {**{name: before[name] for name in self._update.names if name in before}, **values}
        if any(everything[name] != before[name] for name in taken.unique_columns(self._table) & everything.keys()):
            await taken.check(tx, self._table, {**before, **everything}, before["id"])
        row = await tx.locked_row(self._update, key_id=before["id"], **everything)
        assert row is not None
        log.record(tx, log.actor_ref(actor), f"{self.name}.updated", row["id"], before["now"], {"changes": changes})
        return row

    async def delete(self, tx: Transaction, actor: Actor, id: UUID, if_match: str | None = None) -> None:
        """Refused by the database with a conflict while something refers to it."""
        row = await self.locked(tx, id, if_match)
        tx.write(self._delete, key_id=id)
        data = {"before": {name: row[name] for name in self._columns}}
        log.record(tx, log.actor_ref(actor), f"{self.name}.deleted", id, row["now"], data)

    def _record_created(self, tx: Transaction, actor: Actor | None, row: Row) -> None:
        data = {"after": {name: row[name] for name in self._columns}}
        log.record(tx, log.actor_ref(actor), f"{self.name}.created", row["id"], row["now"], data)


class UpsertedResource(Resource):
    """One that others know by a unique `external_id` of theirs."""

    def __init__(
        self,
        table: Table,
        name: str,
        columns: Sequence[str],
        *,
        derived: Sequence[str] = (),
        stands_for: str | None = None,
    ) -> None:
        """`stands_for` is the column of a row that another one stands for: that one is changed in its place, and
        nothing that refers to it is written meanwhile."""
        self._stands_for = stands_for
        super().__init__(table, name, columns, derived=derived, alone=stands_for is not None)
        # Writes nothing where the row is there: an update would lock it, and upserts mostly repeat what is known.
        claim = pg_insert(table).on_conflict_do_nothing(index_elements=[table.c.external_id])
        self._claim = Query(claim.returning(table, _NOW.label("now")), ["id", *columns, *derived])
        by_external_id = table.c.external_id == bindparam("external_id")
        if stands_for:
            # Only the one that is changed is locked: locks of several are taken in the order of their ids.
            other = table.alias("other").c
            its_stand_in = select(other[stands_for]).where(other.external_id == bindparam("external_id"))
            itself = and_(by_external_id, table.c[stands_for].is_(None))
            by_external_id = or_(itself, table.c.id == its_stand_in.scalar_subquery())
        known = select(table, _NOW.label("now")).where(by_external_id)
        self._lock_known = Query(known.with_for_update(key_share=stands_for is None))

    def _getting_called(self, table: Table) -> Query:
        """Who was merged is the one who stands for them."""
        if not self._stands_for:
            return super()._getting_called(table)
        other = table.alias("other").c
        its = select(func.coalesce(other[self._stands_for], other.id)).where(other.external_id == bindparam("called"))
        return Query(self.select.where(table.c.id == its.scalar_subquery()))

    async def upsert(
        self, tx: Transaction, actor: Actor, external_id: str, values: Mapping[str, Any], if_match: str | None
    ) -> tuple[Row, bool]:
        """The row with this external id, with `values` set, and whether it is new. Callers at once make one."""
        values = {**values, "external_id": external_id}
        while True:
            made = await tx.locked_row(self._claim, id=uuid7(), **values)
            if made is not None:
                if if_match is not None:
                    raise PreconditionFailed(f"there was no such {self.name}")
                self._record_created(tx, actor, made)
                return made, True
            before = await tx.locked_row(self._lock_known, external_id=external_id)
            # Who made it may have removed it meanwhile, or given it another external id.
            if self._stands_for:
                if before is None or before[self._stands_for]:
                    raise RunAgain  # another row stands for it since, which may come before it in the order of locks
                values["external_id"] = before["external_id"]
            if before is not None:
                require(if_match, before["version"])
                return await self.change(tx, actor, before, values), False


def merged(pointer: str, before: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396 for the flat objects that resources hold: null takes a member away. Raises Invalid where patches add up
    to more than one body may hold."""
    after = {name: value for name, value in {**before, **patch}.items() if value is not None}
    if len(after) > MOST_FIELDS:
        raise Invalid.at(pointer, "too_long", f"at most {MOST_FIELDS} fields in all")
    return after
