"""A part of a transaction that is taken back leaves nothing behind, and nothing else is lost with it."""

from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import bindparam, insert, select

from app.agents.tables import teams
from app.db import Database, Query, Transaction

_ADD = Query(insert(teams), ["id", "key", "key_folded", "name"])
_ONE = Query(select(teams.c.name).where(teams.c.key == bindparam("key")))
_INSERT = Query(insert(teams).returning(teams.c.id), ["id", "key", "key_folded", "name"])


class Refused(Exception):
    pass


def _team(number: int, key: str | None = None) -> dict[str, str]:
    key = key or f"k{number}"
    return {"id": f"00000000-0000-7000-8000-00000000000{number}", "key": key, "key_folded": key, "name": f"N{number}"}


async def _names(db: Database) -> list[str]:
    async with db.transaction() as tx:
        return [row["name"] for row in await tx.rows(Query(select(teams.c.name).order_by(teams.c.name)))]


@pytest.mark.parametrize("savepoint", [False, True])
async def test_what_a_refused_part_queued_is_forgotten_and_the_rest_is_written(db: Database, savepoint: bool) -> None:
    async with db.transaction() as tx:
        tx.write(_ADD, **_team(1))
        with suppress(Refused):
            async with tx.nested(savepoint=savepoint):
                tx.write(_ADD, **_team(2))
                raise Refused
        async with tx.nested(savepoint=savepoint):
            tx.write(_ADD, **_team(3))
        tx.write(_ADD, **_team(4))
    assert await _names(db) == ["N1", "N3", "N4"]


async def test_with_a_savepoint_what_was_sent_is_taken_back_too(db: Database) -> None:
    async with db.transaction() as tx:
        tx.write(_ADD, **_team(1))
        await tx.flush()
        tx.write(_ADD, **_team(2))
        with suppress(Refused):
            async with tx.nested(savepoint=True):
                tx.write(_ADD, **_team(3))
                await tx.flush()
                await tx.locked_row(_INSERT, **_team(4))
                raise Refused
        assert await tx.row(_ONE, key="k3") is None
    assert await _names(db) == ["N1", "N2"]


async def test_with_a_savepoint_a_constraint_refuses_the_part_and_no_other(db: Database) -> None:
    async with db.transaction() as tx:
        tx.write(_ADD, **_team(1))
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tx.nested(savepoint=True):
                tx.write(_ADD, **_team(2, "k1"))
        async with tx.nested(savepoint=True):
            tx.write(_ADD, **_team(3))
    assert await _names(db) == ["N1", "N3"]


async def test_a_refused_whole_takes_its_parts_with_it(db: Database) -> None:
    with suppress(Refused):
        async with db.transaction() as tx:
            async with tx.nested(savepoint=True):
                tx.write(_ADD, **_team(1))
            raise Refused
    assert await _names(db) == []


async def test_flushing_in_a_part_that_cannot_be_taken_back_is_a_bug_that_is_noticed(db: Database) -> None:
    with pytest.raises(AssertionError, match="flushed without a savepoint"):
        async with db.transaction() as tx:
            await _flushes_and_is_refused(tx)
    assert await _names(db) == []


async def _flushes_and_is_refused(tx: Transaction) -> None:
    async with tx.nested(savepoint=False):
        tx.write(_ADD, **_team(1))
        await tx.flush()
        raise Refused
