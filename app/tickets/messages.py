"""Messages: written, and edited or deleted afterwards, which keeps what was there and moves no clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Forbidden, NotFound
from app.events import log
from app.tickets import attachments, quotas
from app.tickets.changes import TicketChange
from app.tickets.lifecycle import Visibility
from app.tickets.queries import get_ticket, message_shown, message_to_response
from app.tickets.tables import message_versions as versions
from app.tickets.tables import messages
from app.web.etag import require
from app.web.paging import Listing, Order, is_any


class MessageDeleted(Conflict):
    """A deleted message is not changed any more."""

    code = "message_deleted"
    title = "The message is deleted"


_NO_MESSAGE = "there is no message with this id on the ticket"
_FROM_CHANNEL = ("channel", "external_id", "in_reply_to", "sent_at")
INSERT = Query(
    insert(messages),
    [
        "id",
        "ticket_id",
        "author_kind",
        "author_id",
        "visibility",
        "body",
        "created_at",
        "handling_seconds",
        *_FROM_CHANNEL,
    ],
)
_BY_EXTERNAL_ID = Query(
    select(messages).where(
        messages.c.channel == bindparam("channel"), messages.c.external_id == bindparam("external_id")
    )
)
_LOCK = Query(
    select(messages, func.clock_timestamp().label("now"))
    .where(messages.c.id == bindparam("message_id"), messages.c.ticket_id == bindparam("ticket_id"))
    .with_for_update()
)
_CHANGE = Query(
    update(messages).where(messages.c.id == bindparam("key_id")), ["body", "version", "edited_at", "deleted_at"]
)
_KEEP = Query(insert(versions), ["message_id", "version", "body", "replaced_at", "replaced_by_kind", "replaced_by_id"])


VERSIONS = Listing(
    "message_versions",
    select(versions),
    {"message_id": is_any(versions.c.message_id)},
    {"version": Order((versions.c.version,))},
)
_GET = Query(
    select(messages.c.id).where(
        messages.c.id == bindparam("message_id"), messages.c.ticket_id == bindparam("ticket_id")
    )
)


async def check_history(tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID) -> None:
    """Raises Forbidden for customers: what was taken back is not theirs to read. Raises NotFound."""
    if actor.is_customer:
        raise Forbidden("what a message said before is the agents' to read")
    if await tx.row(_GET, message_id=message_id, ticket_id=ticket_id) is None:
        raise NotFound(_NO_MESSAGE)


def version_to_response(row: Values) -> dict[str, Any]:
    return {**row, "replaced_by": log.actor_of(row, "replaced_by")}


NOT_FROM_CHANNEL: Mapping[str, Any] = dict.fromkeys(_FROM_CHANNEL)


async def find_by_external_id(tx: Transaction, channel: str, external_id: str) -> Row | None:
    """The message that the channel calls so, on whichever ticket it is."""
    return await tx.row(_BY_EXTERNAL_ID, channel=channel, external_id=external_id)


async def get_by_external_id(tx: Transaction, actor: Actor, channel: str, external_id: str) -> dict[str, Any]:
    """Raises NotFound, also where it is not the caller's to read."""
    row = await find_by_external_id(tx, channel, external_id)
    # Not there and not yours are told in the same words.
    refused = NotFound("there is no message with this external_id on this channel, or it is not yours")
    if row is None or (actor.is_customer and row["visibility"] != "public"):
        raise refused
    try:
        await get_ticket(tx, actor, row["ticket_id"])
    except NotFound:
        raise refused from None
    return message_shown(actor, row)


def write_message(
    tx: Transaction,
    ticket_id: UUID,
    author: log.ActorRef,
    visibility: Visibility,
    body: str,
    now: datetime,
    *,
    opening: bool = False,
    attached: Sequence[Row] = (),
    extra_data: Mapping[str, Any] | None = None,
    from_channel: Mapping[str, Any] = NOT_FROM_CHANNEL,
    handling_seconds: float | None = None,
    change: TicketChange | None = None,
) -> dict[str, Any]:
    """Queue a message and its event, which gets the `extra_data` as well and is part of the `change`, if the ticket
    was there before. The caller moves the clocks. The message as
    it is shown. `attached` are `attachments.waiting`. Of two at once with one external id the second is run again."""
    message: dict[str, Any] = {
        "id": uuid7(), "ticket_id": ticket_id, "author_kind": author.kind, "author_id": author.id,
        "visibility": visibility, "body": body, "created_at": now, "handling_seconds": handling_seconds, **from_channel,
    }  # fmt: skip
    quotas.count(tx, ticket_id, author, len(body.encode()), now, opening=opening)
    tx.write(INSERT, retry_on="uq_messages_external_id" if message["external_id"] else None, **message)
    # The text stays out of the log: a log entry outlives an erased customer.
    data: dict[str, Any] = {"visibility": visibility, "opening": opening, **(extra_data or {})}
    if attached:
        attachments.take(tx, author, attached, message["id"], visibility, now)
        data["attachment_ids"] = [row["id"] for row in attached]
    internal = visibility is Visibility.internal
    if change:
        change.record("message.created", data, who=author, subject_id=message["id"], internal=internal)
    else:
        log.record(tx, author, "message.created", message["id"], now, data, ticket_id=ticket_id, internal=internal)
    return message_to_response({**message, "edited_at": None, "deleted_at": None, "version": 1})


async def edit_message(
    tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, body: str, if_match: str | None
) -> dict[str, Any]:
    before = await _locked(tx, actor, ticket_id, message_id, if_match)
    if before["body"] == body:
        return message_to_response(before)
    return _replace(tx, actor, before, "edited", {"body": body, "edited_at": before["now"]})


async def delete_message(
    tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, if_match: str | None
) -> None:
    """Its place stays, without its text and its attachments."""
    before = await _locked(tx, actor, ticket_id, message_id, if_match)
    await attachments.delete_of_message(tx, log.actor_ref(actor), message_id, before["now"])
    _replace(tx, actor, before, "deleted", {"body": "", "deleted_at": before["now"]})


async def _locked(tx: Transaction, actor: Actor, ticket_id: UUID, message_id: UUID, if_match: str | None) -> Row:
    """Raises NotFound, Forbidden for what somebody else wrote, PreconditionFailed, MessageDeleted."""
    await get_ticket(tx, actor, ticket_id)
    row = await tx.locked_row(_LOCK, message_id=message_id, ticket_id=ticket_id)
    if row is None or (actor.is_customer and row["visibility"] != "public"):
        raise NotFound(_NO_MESSAGE)
    own = (row["author_kind"], row["author_id"]) == (actor.kind, actor.person_id)
    if actor.is_customer or (actor.role is Role.agent and not own):
        raise Forbidden("an agent changes their own messages, a lead everybody's, a customer none")
    require(if_match, row["version"])
    if row["deleted_at"] is not None:
        raise MessageDeleted("it was deleted before")
    return row


def _replace(tx: Transaction, actor: Actor, before: Row, verb: str, values: dict[str, Any]) -> dict[str, Any]:
    after = {**before, **values, "version": before["version"] + 1}
    who, now = log.actor_ref(actor), before["now"]
    # What it said before is kept.
    quotas.count(tx, before["ticket_id"], who, len(after["body"].encode()), now)
    tx.write(_CHANGE, key_id=before["id"], **{name: after[name] for name in _CHANGE.names if name in after})
    tx.write(
        _KEEP, message_id=before["id"], version=before["version"], body=before["body"], replaced_at=now,
        replaced_by_kind=who.kind, replaced_by_id=who.id,
    )  # fmt: skip
    log.record(
        tx, who, f"message.{verb}", before["id"], now, {"version": after["version"]}, ticket_id=before["ticket_id"],
        internal=before["visibility"] == "internal",
    )  # fmt: skip
    return message_to_response(after)
