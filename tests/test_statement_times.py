"""A statement that takes long is told of by its name, with the request that asked for it and nothing that it held."""

import pytest
from sqlalchemy import Text, bindparam, cast, func, insert, select
from structlog.testing import capture_logs

from app.db import Database, Query
from app.operations.tables import worker_heartbeats
from app.settings import Settings
from app.tickets import queries

_SLEEP = Query(select(func.pg_sleep(bindparam("seconds")), cast(bindparam("secret"), Text)))
_KEPT = {True: Query(select(func.now()))}
_BEAT = Query(
    insert(worker_heartbeats).from_select(
        ["worker_id", "seen_at"],
        select(func.gen_random_uuid(), func.clock_timestamp()).where(func.pg_sleep(0.3) != None),  # noqa: E711
    )
)


async def test_what_takes_long_is_told_of_by_name(database_url: str) -> None:
    async with Database.open(Settings(database_url=database_url, slow_statement_seconds=0.2)) as db:
        with capture_logs() as logs:
            async with db.transaction() as tx:
                await tx.row(_SLEEP, seconds=0.25, secret="a note")
                await tx.rows(_SLEEP, seconds=0, secret="another")
    [line] = logs
    assert (line["event"], line["statement"]) == ("slow_statement", f"{__name__}._SLEEP")
    assert line["ms"] >= 250
    assert "note" not in str(line)


async def test_one_that_is_given_up_is_told_of_as_well(database_url: str) -> None:
    settings = Settings(database_url=database_url, slow_statement_seconds=0.1, statement_timeout_seconds=0.2)
    async with Database.open(settings) as db:
        with capture_logs() as logs, pytest.raises(TimeoutError):
            async with db.transaction() as tx:
                await tx.row(_SLEEP, seconds=5, secret="")
    assert [line["statement"] for line in logs if line["event"] == "slow_statement"] == [f"{__name__}._SLEEP"]


async def test_writes_are_told_of_by_the_names_of_all_that_left_together(database_url: str) -> None:
    async with Database.open(Settings(database_url=database_url, slow_statement_seconds=0.2)) as db:
        with capture_logs() as logs:
            async with db.transaction() as tx:
                tx.write(_BEAT)
    assert [line["statement"] for line in logs] == [f"{__name__}._BEAT"]


def test_a_statement_that_is_kept_in_a_table_of_them_has_its_name() -> None:
    assert _KEPT[True].name == f"{__name__}._KEPT"


def test_most_statements_have_a_name_of_their_own() -> None:
    named = [value for value in vars(queries).values() if isinstance(value, Query)]
    assert named
    assert all(query.name.startswith("tickets.queries.") for query in named)
