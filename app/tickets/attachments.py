"""Attachments: uploaded to a ticket, taken along by a message, deleted. Their contents are `storage`'s."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Uuid, and_, any_, bindparam, func, insert, or_, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.sla.core.enums import Status
from app.tickets import quotas, storage
from app.tickets.files import content_type, safe_name
from app.tickets.lifecycle import TicketClosed, Visibility, no_such_ticket
from app.tickets.queries import FOR_CUSTOMER, get_ticket, marked
from app.tickets.tables import attachments, tickets
from app.web.paging import Listing, Order, is_any


class AttachmentDeleted(Conflict):
    """A deleted attachment is not deleted once more."""

    code = "attachment_deleted"
    title = "The attachment is deleted"


MOST_BYTES = 10 * 2**20

_a = attachments.c
_NOW = func.clock_timestamp().label("now")
# A ticket that is being closed is waited for; other uploads are not.
_OPEN = Query(
    select(tickets.c.status, _NOW)
    .where(tickets.c.id == bindparam("ticket_id"), FOR_CUSTOMER)
    .with_for_update(read=True)
)
_INSERT = Query(insert(attachments), [column.name for column in _a if column.name != "deleted_at"])
_one = and_(
    _a.id == bindparam("attachment_id"),
    _a.ticket_id == bindparam("ticket_id"),
    or_(bindparam("internal_too", type_=Boolean), _a.visibility == Visibility.public.value),
)
_GET = Query(select(attachments).where(_one))
_LOCK = Query(select(attachments, _NOW).where(_one).with_for_update())
_ids = bindparam("attachment_ids", type_=ARRAY(Uuid))
_WAITING = Query(
    select(attachments)
    .where(
        _a.id == any_(_ids),
        _a.ticket_id == bindparam("ticket_id"),
        _a.message_id.is_(None),
        _a.deleted_at.is_(None),
        or_(
            bindparam("by_customer", type_=Uuid).is_(None),
            and_(_a.author_kind == "customer", _a.author_id == bindparam("by_customer", type_=Uuid)),
        ),
    )
    .order_by(_a.id)
    .with_for_update()
)
_OF_MESSAGE = Query(
    select(attachments)
    .where(_a.message_id == bindparam("message_id"), _a.deleted_at.is_(None))
    .order_by(_a.id)
    .with_for_update()
)
_TAKE = Query(update(attachments).where(_a.id == any_(_ids)), ["message_id", "visibility"])
_EMPTY = Query(update(attachments).where(_a.id == any_(_ids)), ["name", "deleted_at"])
LISTING = Listing(
    "attachments",
    select(attachments),
    {"ticket_id": is_any(_a.ticket_id), "visibility": is_any(_a.visibility)},
    {"created_at": Order((_a.created_at, _a.id))},
)


async def upload(
    tx: Transaction, actor: Actor, ticket_id: UUID, name: str, asked: Visibility | None, content: bytes
) -> dict[str, Any]:
    """The type is what the content says, the name what is harmless of it. A message may take it along later; as long as
    nobody has said that it is for the customer, what staff uploaded may be for a note."""
    if actor.is_customer and asked is Visibility.internal:
        raise Forbidden("a customer's attachments are public")
    visibility = asked or (Visibility.public if actor.is_customer else Visibility.internal)
    ticket = await tx.locked_row(_OPEN, ticket_id=ticket_id, for_customer=actor.customer_id)
    if ticket is None:
        raise no_such_ticket()
    if ticket["status"] == Status.closed:
        raise TicketClosed("open a new ticket")
    author = log.ActorRef(actor.kind, actor.person_id)
    row = _add(tx, log.actor_ref(actor), author, ticket_id, name, visibility, content, ticket["now"])
    return to_response({**row, "deleted_at": None})


def attach(
    tx: Transaction, author: log.ActorRef, message: Row, name: str, visibility: Visibility, content: bytes
) -> None:
    """Queue a file that came with a message, which is there and new: a row with `id`, `ticket_id` and `created_at`."""
    _add(tx, author, author, message["ticket_id"], name, visibility, content, message["created_at"], message["id"])


def _add(
    tx: Transaction,
    who: log.ActorRef,
    author: log.ActorRef,
    ticket_id: UUID,
    name: str,
    visibility: Visibility,
    content: bytes,
    now: datetime,
    message_id: UUID | None = None,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": uuid7(), "ticket_id": ticket_id, "visibility": visibility, "name": safe_name(name),
        "content_type": content_type(content), "size_bytes": len(content), "sha256": hashlib.sha256(content).digest(),
        "author_kind": author.kind, "author_id": author.id, "created_at": now, "message_id": message_id,
    }  # fmt: skip
    quotas.count(tx, ticket_id, author, len(content), now)
    tx.write(_INSERT, **row)
    storage.put(tx, row["id"], content)
    _record_event(tx, who, "added", row, now)
    return row


async def waiting(tx: Transaction, actor: Actor, ticket_id: UUID, ids: Sequence[UUID]) -> list[Row]:
    """Raises Invalid unless all of them may go with a message now. Locks them."""
    if not ids:
        return []
    found = await tx.locked_rows(_WAITING, attachment_ids=list(ids), ticket_id=ticket_id, by_customer=actor.customer_id)
    known = {row["id"] for row in found}
    for index, id_ in enumerate(ids):
        if id_ not in known:
            detail = "an attachment of this ticket and of yours that no message has yet"
            raise Invalid.at(f"/attachment_ids/{index}", "unknown", detail)
    return found


def take(
    tx: Transaction, who: log.ActorRef, rows: Sequence[Row], message_id: UUID, visibility: Visibility, now: datetime
) -> None:
    """Queue that a message has them: who sees it sees them. Customers hear now of what they see now."""
    tx.write(_TAKE, attachment_ids=[row["id"] for row in rows], message_id=message_id, visibility=visibility)
    for row in rows:
        if visibility is Visibility.public and row["visibility"] == Visibility.internal:
            _record_event(tx, who, "published", {**row, "visibility": visibility}, now)


async def get(tx: Transaction, actor: Actor, ticket_id: UUID, id: UUID) -> Row:
    """Raises NotFound, also where it is internal and a customer asks."""
    await get_ticket(tx, actor, ticket_id)
    return _found(await tx.row(_GET, attachment_id=id, ticket_id=ticket_id, internal_too=not actor.is_customer))


async def delete(tx: Transaction, actor: Actor, ticket_id: UUID, id: UUID) -> None:
    """One's own, or anybody's by a lead. Its place stays, without name and content."""
    await get_ticket(tx, actor, ticket_id)
    asked = {"attachment_id": id, "ticket_id": ticket_id, "internal_too": not actor.is_customer}
    row = _found(await tx.locked_row(_LOCK, **asked))
    own = (row["author_kind"], row["author_id"]) == (actor.kind, actor.person_id)
    if actor.role in (Role.customer, Role.agent) and not own:
        raise Forbidden("you delete your own attachments, a lead everybody's")
    if row["deleted_at"] is not None:
        raise AttachmentDeleted("it was deleted before")
    _empty(tx, log.actor_ref(actor), [row], row["now"])


async def delete_of_message(tx: Transaction, who: log.ActorRef, message_id: UUID, now: datetime) -> None:
    """What went with a message goes with it."""
    if rows := await tx.locked_rows(_OF_MESSAGE, message_id=message_id):
        _empty(tx, who, rows, now)


def to_response(row: Values, ticket_id: UUID | None = None) -> dict[str, Any]:
    """A file, on the ticket that it was asked for with."""
    author = log.actor_of(row, "author")
    came_with = marked(row, ticket_id) if ticket_id else None
    return {**row, "author": author, "sha256": row["sha256"].hex(), "from_ticket_id": came_with}


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound("there is no attachment with this id on the ticket")
    return row


def _empty(tx: Transaction, who: log.ActorRef, rows: Sequence[Row], now: datetime) -> None:
    ids = [row["id"] for row in rows]
    tx.write(_EMPTY, attachment_ids=ids, name="", deleted_at=now)
    storage.delete(tx, ids)
    quotas.give_back(tx, rows[0]["ticket_id"], sum(row["size_bytes"] for row in rows))
    for row in rows:
        _record_event(tx, who, "deleted", row, now)


def _record_event(tx: Transaction, who: log.ActorRef, verb: str, row: Mapping[str, Any] | Row, now: datetime) -> None:
    # The name stays out of the log: an entry outlives an erased customer.
    data = {name: row[name] for name in ("size_bytes", "content_type", "visibility")}
    internal = row["visibility"] == Visibility.internal
    log.record(tx, who, f"attachment.{verb}", row["id"], now, data, ticket_id=row["ticket_id"], internal=internal)
