"""What a request sends to the database, seen at the connections themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.db import Database


@contextmanager
def sent_by(db: Database) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    """The statements that are sent meanwhile through the connections that are open already, and what with; a batch is
    one."""
    sent: list[tuple[str, tuple[object, ...]]] = []

    def log(record: Any) -> None:
        sent.append((record.query.strip(), tuple(record.args or ())))

    holders: Any = getattr(db.connections.pool, "_holders")  # noqa: B009 - asyncpg shows its connections in no other way
    connections = [holder._con for holder in holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(log)
    yield sent
    for connection in connections:
        connection.remove_query_logger(log)
