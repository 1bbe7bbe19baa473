"""All that is held of one customer, page by page of their tickets. A page costs the same number of statements however
many tickets it has."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, func, literal_column, or_, select
from starlette.requests import Request
from starlette.responses import Response

from app.auth.guard import Actor
from app.auth.tables import api_keys
from app.customers.service.customers import CUSTOMERS
from app.customers.service.organizations import ORGANIZATIONS
from app.customers.tables import customers
from app.db import Query, Transaction, Values
from app.events.tables import events
from app.segments import members
from app.segments.tables import segment_members, segment_overrides
from app.sla import clocks
from app.sla.tables import sla_clocks, sla_exceptions
from app.tickets import attachments, exceptions, overrides, promises, queries
from app.tickets.erasing import check_privacy
from app.tickets.messages import version_shown
from app.tickets.tables import attachments as attachment_rows
from app.tickets.tables import message_versions, messages, ticket_links, tickets
from app.tickets.tables import promises as promise_rows
from app.web.paging import Listing, Order, PageQuery, is_any, page

_these = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_customer_id = bindparam("customer_id", type_=Uuid)
_NOW = func.clock_timestamp().label("now")
_MERGED = Query(select(customers).where(customers.c.merged_into == _customer_id).order_by(customers.c.id))
_KEYS = Query(
    select(*(column for column in api_keys.c if column.name != "secret_hash"))
    .where(api_keys.c.customer_id == _customer_id)
    .order_by(api_keys.c.id)
)
_MEMBERSHIPS = Query(members.ALL.where(segment_members.c.customer_id == _customer_id).order_by(segment_members.c.since))
_OVERRIDES = Query(
    select(segment_overrides)
    .where(segment_overrides.c.customer_id == _customer_id)
    .order_by(segment_overrides.c.created_at)
)
_OWN_EXCEPTIONS = Query(
    select(sla_exceptions, _NOW)
    .where(sla_exceptions.c.customer_id == _customer_id)
    .order_by(sla_exceptions.c.created_at)
)
_m, _v, _l, _e = messages.c, message_versions.c, ticket_links.c, events.c
_they = or_(customers.c.id == _customer_id, customers.c.merged_into == _customer_id)
_ELSEWHERE = Query(
    select(messages)
    .join(tickets, tickets.c.id == _m.ticket_id)
    .where(
        _m.author_kind == literal_column("'customer'"),
        _m.author_id.in_(select(customers.c.id).where(_they)),
        tickets.c.customer_id != _customer_id,
    )
    .order_by(_m.created_at, _m.id)
)


def _of(statement: Select[Any], ticket_id: Any, *order: Any) -> Query:
    return Query(statement.where(ticket_id == _these).order_by(*order))


_MESSAGES = _of(select(messages), _m.ticket_id, _m.created_at, _m.id)
_VERSIONS = _of(
    select(message_versions).join(messages, _m.id == _v.message_id), _m.ticket_id, _v.message_id, _v.version
)
_CLOCKS = _of(select(sla_clocks, _NOW), sla_clocks.c.ticket_id, sla_clocks.c.started_at, sla_clocks.c.id)
_EVENTS = _of(select(events), _e.ticket_id, _e.id)
_PROMISES = _of(promises.WITH_CLOCK, promise_rows.c.ticket_id, promise_rows.c.cycle)
_EXCEPTIONS = _of(select(sla_exceptions, _NOW), sla_exceptions.c.ticket_id, sla_exceptions.c.created_at)
_ATTACHMENTS = _of(select(attachment_rows), attachment_rows.c.ticket_id, attachment_rows.c.created_at)
_FROM = _of(select(ticket_links, _l.source_id.label("ticket_id")), _l.source_id, _l.id)
_TO = _of(select(ticket_links, _l.target_id.label("ticket_id")), _l.target_id, _l.id)

_TICKETS = Listing(
    "customer_export",
    select(*queries.TICKET_COLUMNS),
    {"customer_id": is_any(tickets.c.customer_id)},
    {"created_at": Order((tickets.c.created_at, tickets.c.id))},
)
Things = dict[UUID, list[dict[str, Any]]]


async def export(
    request: Request, response: Response, tx: Transaction, actor: Actor, id: UUID, query: PageQuery
) -> dict[str, Any]:
    check_privacy(actor)
    customer = await CUSTOMERS.get(tx, id)
    organization_id = customer["organization_id"]
    found = await page(request, response, tx, _TICKETS, query, {"customer_id": id}, "created_at")
    return {
        "customer": dict(customer),
        "organization": dict(await ORGANIZATIONS.get(tx, organization_id)) if organization_id else None,
        "merged_customers": _each(dict, await tx.rows(_MERGED, customer_id=id)),
        "api_keys": _each(dict, await tx.rows(_KEYS, customer_id=id)),
        "segments": _each(members.shown, await tx.rows(_MEMBERSHIPS, customer_id=id)),
        "overrides": _each(overrides.shown, await tx.rows(_OVERRIDES, customer_id=id)),
        "exceptions": _each(exceptions.shown, await tx.rows(_OWN_EXCEPTIONS, customer_id=id)),
        "tickets": await _whole(tx, found["items"]),
        "messages_elsewhere": [] if query.cursor else _each(
            queries.message_shown, await tx.rows(_ELSEWHERE, customer_id=id)
        ),
        "next_cursor": found["next_cursor"],
    }  # fmt: skip


async def _whole(tx: Transaction, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = [ticket["id"] for ticket in found]

    async def read(query: Query) -> list[Any]:
        return await tx.rows(query, ticket_ids=ids)

    versions = _by("message_id", _each(version_shown, await read(_VERSIONS)))
    said = _by("ticket_id", _each(queries.message_shown, await read(_MESSAGES)))
    its_clocks = _by("ticket_id", await clocks.all_shown(tx, await read(_CLOCKS)))
    promised = _by("ticket_id", _each(promises.shown, await read(_PROMISES)))
    excepted = _by("ticket_id", _each(exceptions.shown, await read(_EXCEPTIONS)))
    files = _by("ticket_id", _each(attachments.shown, await read(_ATTACHMENTS)))
    links = _by("ticket_id", _each(dict, [*await read(_FROM), *await read(_TO)]))
    told = _by("ticket_id", _each(queries.event_shown, await read(_EVENTS)))
    return [
        {
            "ticket": ticket,
            "messages": [{**message, "versions": versions[message["id"]]} for message in said[ticket["id"]]],
            "clocks": its_clocks[ticket["id"]],
            "promises": promised[ticket["id"]],
            "exceptions": excepted[ticket["id"]],
            "attachments": files[ticket["id"]],
            "links": links[ticket["id"]],
            "events": told[ticket["id"]],
        }
        for ticket in found
    ]


def _each(shown: Callable[[Values], dict[str, Any]], rows: Iterable[Values]) -> list[dict[str, Any]]:
    return [shown(row) for row in rows]


def _by(name: str, rows: Iterable[Any]) -> Things:
    things: Things = defaultdict(list)
    for row in rows:
        things[row[name]].append(row)
    return things
