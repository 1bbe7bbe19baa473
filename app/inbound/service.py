"""An e-mail becomes a ticket, a message on one, or nothing.

It is an answer where it names a message or a ticket that its sender sees: their own, one that they take part in, or
any, where they are an agent. What somebody else sends to a ticket opens one of their own: a number can be guessed, and
nothing of one customer reaches another."""

import asyncio
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, func, select

from app.agents.tables import agents
from app.auth.dependencies import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.events.ticket_readers import READERS
from app.inbound import mail
from app.inbound.parts import Unreadable
from app.inbound.schemas import InboundOutcome
from app.sla.core.enums import AuthorKind, Channel
from app.tickets import attachments, opening, service
from app.tickets.lifecycle import Visibility
from app.tickets.schemas import AuthorIn, CustomerRef, MessageIn, TicketIn
from app.tickets.tables import messages, tickets
from app.web.schemas import fold

_m, _t, _c = messages.c, tickets.c, customers.c
_ids = bindparam("ids", type_=ARRAY(Text))
# What was answered by e-mail may have begun elsewhere.
_CALLED = Query(
    select(_m.id, _m.external_id, _m.ticket_id, _m.created_at, _t.customer_id)
    .join(tickets, _t.id == _m.ticket_id)
    .where(_m.external_id == any_(_ids), _m.channel == any_(bindparam("channels", type_=ARRAY(Text))))
)
_NUMBERED = Query(
    select(_t.id.label("ticket_id"), _t.customer_id).where(
        _t.number == any_(bindparam("numbers", type_=ARRAY(BigInteger)))
    )
)
_SENDER = Query(select(func.coalesce(_c.merged_into, _c.id).label("id")).where(_c.email_folded == bindparam("email")))
_AGENT = Query(
    select(agents.c.id)
    .where(func.lower(agents.c.email) == bindparam("email"), agents.c.active)
    .order_by(agents.c.created_at)
    .limit(1)
)
_CHANNELS = [channel.value for channel in Channel]


async def take(tx: Transaction, actor: Actor, raw: bytes) -> dict[str, Any]:
    """Raises Invalid."""
    try:
        # Beside the loop: it may have megabytes.
        found = await asyncio.to_thread(mail.read, raw)
    except Unreadable as unreadable:
        raise Invalid(str(unreadable)) from None
    if found.unanswered:
        return _answer(InboundOutcome.none, found.unanswered)
    named = await tx.rows(_CALLED, ids=[found.id, *found.answers], channels=_CHANNELS)
    first = next((row for row in named if row["external_id"] == found.id), None)
    if first:
        return _answer(InboundOutcome.none, mail.NothingMade.seen_before, first["ticket_id"], first["id"])
    answered = await _answered(tx, found, named)
    outcome = InboundOutcome.message if answered else InboundOutcome.ticket
    await (_reply(tx, actor, found, *answered) if answered else _open(tx, actor, found))
    await tx.flush()
    [said] = await tx.rows(_CALLED, ids=[found.id], channels=_CHANNELS)
    author = answered[1] if answered else log.ActorRef(AuthorKind.customer, said["customer_id"])
    for file in found.files:
        attachments.attach(tx, author, said, file.name, Visibility.public, file.content)
    # Whole, for the staff: what was cut from the text, and all its headers.
    attachments.attach(tx, author, said, "message.eml", Visibility.internal, raw)
    return _answer(outcome, None, said["ticket_id"], said["id"])


def _answer(
    outcome: InboundOutcome,
    reason: mail.NothingMade | None,
    ticket_id: UUID | None = None,
    message_id: UUID | None = None,
) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "ticket_id": ticket_id, "message_id": message_id}


async def _answered(tx: Transaction, found: mail.Mail, named: list[Row]) -> tuple[UUID, log.ActorRef] | None:
    """The ticket that it answers, and as whom: its customer, an agent, or another customer who sees it."""
    by_id = {row["external_id"]: row for row in named}
    rows = [by_id[id_] for id_ in found.answers if id_ in by_id]
    if found.numbers:
        rows += await tx.rows(_NUMBERED, numbers=list(found.numbers))
    if not rows:
        return None
    sender = await tx.row(_SENDER, email=fold(found.address))
    own = next((row for row in rows if sender and row["customer_id"] == sender["id"]), None)
    agent = await tx.row(_AGENT, email=found.address.lower()) if own is None else None
    if agent:
        return rows[0]["ticket_id"], log.ActorRef(AuthorKind.agent, agent["id"])
    if own is None and sender:
        ids = [row["ticket_id"] for row in rows]
        seen = {row["id"] for row in await tx.rows(READERS, ids=ids, among=[sender["id"]])}
        own = next((row for row in rows if row["ticket_id"] in seen), None)
    return (own["ticket_id"], log.ActorRef(AuthorKind.customer, sender["id"])) if own and sender else None


async def _reply(tx: Transaction, actor: Actor, found: mail.Mail, ticket_id: UUID, author: log.ActorRef) -> None:
    body = MessageIn(
        body=found.text,
        author=AuthorIn(kind=AuthorKind(author.kind), id=author.id),
        external_id=found.id,
        in_reply_to=found.answers[0] if found.answers else None,
        sent_at=found.sent_at,
    )
    await service.reply(tx, actor, ticket_id, body)


async def _open(tx: Transaction, actor: Actor, found: mail.Mail) -> None:
    try:
        customer = CustomerRef(email=found.address, name=found.name)
    except ValidationError:
        raise Invalid.at("/header/From", "invalid", "an e-mail names one address that it is from") from None
    body = TicketIn(subject=found.subject, description=found.text, channel=Channel.email, customer=customer)
    in_reply_to = found.answers[0] if found.answers else None
    said = {"external_id": found.id, "in_reply_to": in_reply_to, "sent_at": found.sent_at}
    await opening.open_ticket(tx, actor, body, from_channel={"channel": Channel.email, **said})
