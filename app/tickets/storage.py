"""Where the contents of attachments are kept: here in PostgreSQL, so that a content commits with what tells of it.
Nobody else reads or writes them; another place for them is another three functions."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, insert, select
from sqlalchemy import delete as delete_from

from app.db import Query, Transaction
from app.tickets.tables import attachment_contents as contents

_PUT = Query(insert(contents), ["attachment_id", "content"])
_GET = Query(select(contents.c.content).where(contents.c.attachment_id == bindparam("attachment_id")))
_DELETE = Query(
    delete_from(contents).where(contents.c.attachment_id == any_(bindparam("attachment_ids", type_=ARRAY(Uuid))))
)


def put(tx: Transaction, attachment_id: UUID, content: bytes) -> None:
    """Queue the content of a new attachment."""
    tx.write(_PUT, attachment_id=attachment_id, content=content)


async def get(tx: Transaction, attachment_id: UUID) -> bytes | None:
    """All of it at once; None where it was deleted."""
    row = await tx.row(_GET, attachment_id=attachment_id)
    return row["content"] if row else None


def delete(tx: Transaction, attachment_ids: Collection[UUID]) -> None:
    """Queue it. What is gone already stays gone."""
    tx.write(_DELETE, attachment_ids=list(attachment_ids))
