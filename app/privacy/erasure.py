"""A customer is erased: what they are called, what was said to them and by them, and every copy of it. Figures stay:
tickets keep their place, their clocks, and what those are recomputed from; tags and products stay, too. Only one to
whom nothing refers is removed altogether.

Everything finds by itself what is there to erase, so that erasing again erases what came since, or does nothing."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.auth.dependencies import Actor, check_lead
from app.auth.tables import api_keys
from app.customer_merges.service import check_not_merged
from app.customers.service.customers import CUSTOMERS
from app.customers.tables import customers
from app.db import Query, Row, RunAgain, Transaction
from app.errors import Conflict
from app.events import log
from app.memberships.service import refresh_memberships
from app.search.tables import ticket_search
from app.segments.tables import segment_members, segment_overrides, segment_rechecks
from app.sla.tables import sla_exceptions
from app.tickets import storage
from app.tickets.quality_tables import ticket_resolutions
from app.tickets.tables import REMINDER, attachments, message_versions, messages, promises, ticket_participants, tickets
from app.web.idempotency import erase_answers
from app.webhooks import service as webhooks

ERASED = "[erased]"
_t, _c, _k, _m, _p, _a = tickets.c, customers.c, api_keys.c, messages.c, promises.c, attachments.c
_NOW = func.clock_timestamp()
_customers = any_(bindparam("customer_ids", type_=ARRAY(Uuid)))
_tickets = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_erased = literal(ERASED)
# The word is in the statement, where the planner sees that the index fits.
_theirs = and_(_m.author_kind == literal_column("'customer'"), _m.author_id == _customers)
_said = or_(_m.ticket_id == _tickets, _theirs)

_MERGED = Query(select(_c.id).where(_c.merged_into == bindparam("customer_id")).order_by(_c.id))
_LOCK_CUSTOMERS = Query(select(_c.id).where(_c.id == _customers).order_by(_c.id).with_for_update())
_LOCK_TICKETS = Query(select(_t.id).where(_t.customer_id == _customers).order_by(_t.id).with_for_update())
# What it cost is a figure.
_cost_field = bindparam("cost_field", type_=Text)
_cost = _t.custom_fields[_cost_field]
_fields = case(
    (func.jsonb_typeof(_cost) == literal("number"), func.jsonb_build_object(_cost_field, _cost)),
    else_=cast({}, JSONB),
)
_TICKETS = Query(
    update(tickets)
    .where(_t.id == _tickets, or_(_t.subject != _erased, _t.external_id.is_not(None), _t.custom_fields != _fields))
    .values(
        subject=_erased, external_id=null(), custom_fields=_fields, version=_t.version + 1,
        updated_at=func.greatest(_NOW, _t.updated_at), seen_updated_at=null(),
    )
    .returning(_t.id.label("ticket_id"))
)  # fmt: skip
# Two who wrote on each other's tickets may be erased at once: in order.
_saying = select(_m.id).where(_said).order_by(_m.id).with_for_update(key_share=True).cte("saying")
# What was deleted has no text any more, and stays as it is.
_MESSAGES = Query(
    update(messages)
    .where(_m.id == _saying.c.id, _m.body != literal(""), _m.body != _erased)
    .values(body=_erased, version=_m.version + 1)
    .returning(_m.id, _m.ticket_id)
)
_VERSIONS = Query(
    update(message_versions)
    .where(message_versions.c.message_id == _m.id, _said, message_versions.c.body != _erased)
    .values(body=_erased)
    .returning(_m.ticket_id)
)
# The text of a reminder is the system's own, and the promise is found by it.
_PROMISES = Query(
    update(promises)
    .where(
        _p.ticket_id == _tickets,
        or_(and_(_p.text != _erased, _p.text != literal(REMINDER)), _p.withdrawn_reason != _erased),
    )
    .values(
        text=case((_p.text == literal(REMINDER), _p.text), else_=_erased),
        withdrawn_reason=case((_p.withdrawn_reason.is_not(None), _erased)),
    )
    .returning(_p.ticket_id)
)
_COMMENTS = Query(
    update(ticket_resolutions)
    .where(ticket_resolutions.c.ticket_id == _tickets, ticket_resolutions.c.comment != _erased)
    .values(comment=_erased)
    .returning(ticket_resolutions.c.ticket_id)
)
_EXCEPTIONS = Query(
    update(sla_exceptions)
    .where(sla_exceptions.c.ticket_id == _tickets, sla_exceptions.c.reason != _erased)
    .values(reason=_erased)
    .returning(sla_exceptions.c.ticket_id)
)
# What was decided by hand of themselves.
_OWN_EXCEPTIONS = Query(
    update(sla_exceptions)
    .where(sla_exceptions.c.customer_id == _customers)
    .values(reason=_erased)
    .returning(sla_exceptions.c.id)
)
_OVERRIDES = Query(
    update(segment_overrides)
    .where(segment_overrides.c.customer_id == _customers)
    .values(reason=_erased, ended_at=func.coalesce(segment_overrides.c.ended_at, _NOW))
)
# On others' tickets: what they uploaded, and what came with their messages. It is as if deleted.
_uploaded = and_(_a.author_kind == literal_column("'customer'"), _a.author_id == _customers)
_attached = (
    select(_a.id)
    .where(or_(_a.ticket_id == _tickets, _a.message_id.in_(select(_m.id).where(_theirs)), _uploaded))
    .order_by(_a.id)
    .with_for_update(key_share=True)
    .cte("attached")
)
_ATTACHMENTS = Query(
    update(attachments)
    .where(
        _a.id == _attached.c.id,
        or_(_a.name != literal(""), _a.sha256 != literal(b"")),
    )
    .values(name=literal(""), sha256=literal(b""), deleted_at=func.coalesce(_a.deleted_at, _NOW))
    .returning(_a.id, _a.ticket_id)
)
_PARTICIPATIONS = Query(delete(ticket_participants).where(ticket_participants.c.customer_id == _customers))
# In the order in which the index writes them.
_documents = (
    select(ticket_search.c.ticket_id)
    .where(ticket_search.c.ticket_id == _tickets)
    .order_by(ticket_search.c.ticket_id)
    .with_for_update()
)
_SEARCH = Query(delete(ticket_search).where(ticket_search.c.ticket_id.in_(_documents)))
_KEYS = Query(select(_k.id).where(_k.customer_id == _customers))
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
_revoked = (
    update(api_keys)
    .where(_k.id == _ids, _k.revoked_at.is_(None))
    .values(revoked_at=_NOW)
    .returning(_k.id, _NOW.label("at"))
    .cte("changed")
)
_no_data = cast({}, JSONB)
_REVOKE = Query(log.record_for_rows(_revoked, "api_key.revoked", _no_data, internal=True))
_NAMELESS = Query(update(api_keys).where(_k.id == _ids, _k.name != _erased).values(name=_erased))
_personal = ("external_id", "name", "email", "email_folded", "region", "language", "organization_id")
_gone = (
    update(customers)
    .where(
        _c.id == _customers,
        or_(_c.erased_at.is_(None), *(_c[name].is_not(None) for name in _personal), _c.attributes != cast({}, JSONB)),
    )
    .values(
        {name: null() for name in _personal}
        | {"attributes": cast({}, JSONB), "erased_at": _NOW, "version": _c.version + 1, "updated_at": _NOW}
        | {"erased_region": func.coalesce(_c.region, _c.erased_region)}
    )
    .returning(_c.id, _NOW.label("at"))
    .cte("changed")
)
_CUSTOMERS = Query(log.record_for_rows(_gone, "customer.erased", _no_data))
_touched = select(_t.id, func.greatest(_NOW, _t.updated_at).label("at")).where(_t.id == _ids).cte("changed")
_TELL = Query(log.record_for_rows(_touched, "ticket.erased", _no_data, of_tickets=True, internal=True))
_LOG = Query(
    select(
        func.erase_from_events(bindparam("subject_ids", type_=ARRAY(Uuid)), bindparam("ticket_ids", type_=ARRAY(Uuid)))
    )
)


# What no foreign key says: that they wrote something, on whoever's ticket.
_WROTE = Query(select(_m.id).where(_theirs).limit(1))
# How they were grouped goes with them. In this order: a membership refers to the override that made it.
_GROUPED = [
    Query(delete(table).where(table.c.customer_id == bindparam("customer_id")))
    for table in (segment_members, segment_overrides, segment_rechecks)
]
_DELETE = Query(delete(customers).where(_c.id == bindparam("key_id")))
_STILL_REFERRED_TO = "23503"


class CustomerInUse(Conflict):
    """Only a customer to whom nothing refers is deleted: no ticket, no message, no key, no merge. Erase the others:
    their figures stay."""

    code = "customer_in_use"
    title = "Something refers to the customer"


def check_privacy(actor: Actor) -> None:
    """Whether somebody is forgotten or handed out whole is not for everybody who answers them."""
    check_lead(actor, "a lead erases and exports customers")


async def remove(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    """One who came by mistake: the row goes, and what the log and answers say of them. Raises CustomerInUse."""
    check_privacy(actor)
    now = (await CUSTOMERS.locked(tx, id, if_match))["now"]
    in_use = CustomerInUse(
        f"tickets, messages, keys or merges refer to them: erase them (POST /v1/customers/{id}/erase)"
    )
    if await tx.row(_WROTE, customer_ids=[id]):
        raise in_use
    for grouped in _GROUPED:
        await tx.locked_rows(grouped, customer_id=id)
    try:
        await tx.locked_row(_DELETE, key_id=id)
    except asyncpg.PostgresError as failed:
        if failed.sqlstate != _STILL_REFERRED_TO:
            raise
        raise in_use from None
    await tx.locked_rows(_LOG, subject_ids=[id], ticket_ids=[])
    await erase_answers(tx, [id], [])
    log.record(tx, log.actor_ref(actor), "customer.deleted", id, now, {})


async def erase(tx: Transaction, actor: Actor, id: UUID) -> Row:
    """With everybody who was merged into them. Their row as it is then."""
    check_privacy(actor)
    await CUSTOMERS.get(tx, id)
    merged = [row["id"] for row in await tx.rows(_MERGED, customer_id=id)]
    await tx.locked_rows(_LOCK_CUSTOMERS, customer_ids=[id, *merged])
    check_not_merged(await CUSTOMERS.get(tx, id))
    if [row["id"] for row in await tx.rows(_MERGED, customer_id=id)] != merged:
        raise RunAgain
    customer_ids = [id, *merged]
    ticket_ids = [row["id"] for row in await tx.locked_rows(_LOCK_TICKETS, customer_ids=customer_ids)]
    named = log.actor_params(log.actor_ref(actor))
    touched, subject_ids = await _texts(tx, customer_ids, ticket_ids)
    key_ids = [row["id"] for row in await tx.rows(_KEYS, customer_ids=customer_ids)]
    await tx.locked_rows(_REVOKE, ids=key_ids, **named)
    await tx.locked_rows(_NAMELESS, ids=key_ids)
    await tx.locked_rows(_SEARCH, ticket_ids=list(touched))
    await tx.locked_rows(_PARTICIPATIONS, customer_ids=customer_ids)
    await tx.locked_rows(_OVERRIDES, customer_ids=customer_ids)
    granted = [row["id"] for row in await tx.locked_rows(_OWN_EXCEPTIONS, customer_ids=customer_ids)]
    await tx.locked_rows(_LOG, subject_ids=[*customer_ids, *key_ids, *granted], ticket_ids=ticket_ids)
    await webhooks.erase_answers(tx, [*customer_ids, *key_ids, *ticket_ids, *touched])
    await erase_answers(tx, [*customer_ids, *ticket_ids, *subject_ids], key_ids)
    await tx.locked_rows(_TELL, ids=list(touched), **named)
    # Last, so that little time lies between the instant in the row and the commit.
    await tx.locked_rows(_CUSTOMERS, customer_ids=customer_ids, **named)
    # Somebody without a name belongs nowhere. What is promised on their open tickets stays: figures do not change.
    for customer_id in customer_ids:
        await refresh_memberships(tx, log.actor_ref(actor), customer_id)
    await tx.flush()
    return await CUSTOMERS.get(tx, id)


async def _texts(
    tx: Transaction, customer_ids: Sequence[UUID], ticket_ids: Sequence[UUID]
) -> tuple[set[UUID], set[UUID]]:
    """Erase what was written; the tickets that it was on, and the messages and attachments."""
    cost_field = tx.settings.cost_field
    ids: dict[str, Any] = {"customer_ids": customer_ids, "ticket_ids": ticket_ids, "cost_field": cost_field}
    # Messages before their versions: who is just editing one is waited for, and leaves a version.
    said = await tx.locked_rows(_MESSAGES, **ids)
    files = await tx.locked_rows(_ATTACHMENTS, **ids)
    storage.delete(tx, [row["id"] for row in files])
    rows = [*said, *files]
    for query in (_TICKETS, _VERSIONS, _PROMISES, _COMMENTS, _EXCEPTIONS):
        rows += await tx.locked_rows(query, **ids)
    return {row["ticket_id"] for row in rows}, {row["id"] for row in (*said, *files)}
