"""Where the contents of attachments are kept: here in PostgreSQL, so that a content commits with what tells of it.
Nobody else reads or writes them; another place for them is another three functions."""

from collections.abc import AsyncIterator, Collection
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Uuid, any_, bindparam, func, insert, select
from sqlalchemy import delete as delete_from

from app.db import Database, Query, Transaction
from app.tickets.tables import attachment_contents as contents

_PUT = Query(insert(contents), ["attachment_id", "content"])
_PIECE_BYTES = 512 * 1024
_one = contents.c.attachment_id == bindparam("attachment_id")
# Contents are stored as they are, so that a piece is read without the rest.
_piece = func.substring(contents.c.content, bindparam("first", type_=Integer), _PIECE_BYTES)
_GET = Query(select(_piece.label("piece")).where(_one))
_EXISTS = Query(select(contents.c.attachment_id).where(_one))
_DELETE = Query(
    delete_from(contents).where(contents.c.attachment_id == any_(bindparam("attachment_ids", type_=ARRAY(Uuid))))
)


class ContentGone(Exception):
    """Deleted while it was being sent."""


def put(tx: Transaction, attachment_id: UUID, content: bytes) -> None:
    """Queue the content of a new attachment."""
    tx.write(_PUT, attachment_id=attachment_id, content=content)


async def pieces(db: Database, attachment_id: UUID, size: int) -> AsyncIterator[bytes]:
    """All of it, half a megabyte at a time, each with a connection of its own: whoever reads slowly holds none. Raises
    ContentGone where it is deleted meanwhile."""
    for first in range(0, size, _PIECE_BYTES):
        async with db.transaction(reads=True) as tx:
            row = await tx.row(_GET, attachment_id=attachment_id, first=first + 1)
        if row is None:
            raise ContentGone
        yield row["piece"]


async def exists(tx: Transaction, attachment_id: UUID) -> bool:
    return await tx.row(_EXISTS, attachment_id=attachment_id) is not None


def delete(tx: Transaction, attachment_ids: Collection[UUID]) -> None:
    """Queue it. What is gone already stays gone."""
    tx.write(_DELETE, attachment_ids=list(attachment_ids))
