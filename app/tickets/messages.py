"""Messages written differently afterwards, or taken back. Both keep what was there; no clock moves."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update

from app.auth.guard import Actor
from app.auth.roles import Role
from app.db import Query, Row, Transaction
from app.errors import Conflict, Forbidden, NotFound
from app.events import log
from app.tickets.queries import get_ticket, message_shown
from app.tickets.tables import message_versions as versions
from app.tickets.tables import messages
from app.web.etag import require


class MessageDeleted(Conflict):
    """A deleted message is not changed any more."""

    code = "message_deleted"
    title = "The message is deleted"


_LOCK = Query(
    select(messages, func.clock_timestamp().label("now"))
    .where(messages.c.id == bindparam("message_id"), messages.c.ticket_id == bindparam("ticket_id"))
    .with_for_update()
)
_CHANGE = Query(
    update(messages).where(messages.c.id == bindparam("key_id")), ["body", "version", "edited_at", "deleted_at"]
)
_KEEP = Query(insert(versions), ["message_id", "version", "body", "replaced_at", "replaced_by_kind", "replaced_by_id"])


async def edit_message(
    tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, body: str, if_match: str | None
) -> dict[str, Any]:
    before = await _locked(tx, actor, ticket_id, message_id, if_match)
    if before["body"] == body:
        return message_shown(before)
    return _replace(tx, actor, before, "edited", {"body": body, "edited_at": before["now"]})


async def delete_message(
    tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, if_match: str | None
) -> None:
    """Its place stays, without its text."""
    before = await _locked(tx, actor, ticket_id, message_id, if_match)
    _replace(tx, actor, before, "deleted", {"body": "", "deleted_at": before["now"]})


async def _locked(tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, if_match: str | None) -> Row:
    """Raises NotFound, Forbidden for what somebody else wrote, PreconditionFailed, MessageDeleted."""
    await get_ticket(tx, actor, ticket_id)
    row = await tx.locked_row(_LOCK, message_id=message_id, ticket_id=ticket_id)
    if row is None or (actor.is_customer and row["visibility"] != "public"):
        raise NotFound("there is no message with this id on the ticket")
    own = (row["author_kind"], row["author_id"]) == (actor.kind, actor.person_id)
    if actor.is_customer or (actor.role is Role.agent and not own):
        raise Forbidden("an agent changes their own messages, a lead everybody's, a customer none")
    require(if_match, row["version"])
    if row["deleted_at"] is not None:
        raise MessageDeleted("it was deleted before")
    return row


def _replace(tx: Transaction, actor: Actor, before: Row, verb: str, values: dict[str, Any]) -> dict[str, Any]:
    after = {**before, **values, "version": before["version"] + 1}
    who, now = log.by(actor), before["now"]
    tx.write(_CHANGE, key_id=before["id"], **{name: after[name] for name in _CHANGE.names if name in after})
    tx.write(
        _KEEP, message_id=before["id"], version=before["version"], body=before["body"], replaced_at=now,
        replaced_by_kind=who.kind, replaced_by_id=who.id,
    )  # fmt: skip
    log.record(
        tx, who, f"message.{verb}", before["id"], now, {"version": after["version"]}, ticket_id=before["ticket_id"],
        internal=before["visibility"] == "internal",
    )  # fmt: skip
    return message_shown(after)
