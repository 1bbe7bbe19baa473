"""How Alembic reaches the database. Migrations wait for locks only briefly, so that one stuck behind a long query fails
and can be repeated instead of holding up everybody behind it."""

import asyncio
import os
import re

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.events.tables import Snapshot, Xid8
from app.metadata import metadata

# One number for all migrations of this service; any will do as long as nothing else in the database takes it.
_LOCK = 7_390_090
_LIMITS = ("SET LOCAL lock_timeout = '4s'", "SET LOCAL statement_timeout = '10min'")

# So that comparing tables with the database knows the type.
ischema_names["xid8"] = Xid8
ischema_names["pg_snapshot"] = Snapshot
# The partitions of the log and of the facts come and go by themselves.
_PARTITION = re.compile(r"events_(before|default|\d{4}_\d{2})|report_facts_\d{4}_\d{2}")


def _url() -> str:
    url: str = context.config.attributes.get("database_url") or os.environ["DATABASE_URL"]
    return "postgresql+asyncpg" + url[url.index("://") :]


def _is_ours(name: str | None, type_: str, _: object) -> bool:
    return type_ != "table" or name is None or not _PARTITION.fullmatch(name)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, compare_server_default=True, include_name=_is_ours
    )
    with context.begin_transaction():
        for limit in _LIMITS:
            connection.execute(text(limit))
        context.run_migrations()


async def _online() -> None:
    engine = create_async_engine(_url(), poolclass=NullPool, connect_args={"timeout": 10, "statement_cache_size": 0})
    # Several processes that start at once migrate one after the other. The lock has a transaction of its own, because a
    # revision that builds an index ends the one it runs in; and it is asked for again and again, because a statement
    # that waits would in turn keep such a build waiting.
    async with engine.connect() as guard:
        while not (await guard.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})"))).scalar_one():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        # The last statement is one without a snapshot: a build waits for every one that is older than itself.
        await guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        for limit in _LIMITS:
            context.execute(limit)
        context.run_migrations()
else:
    asyncio.run(_online())
