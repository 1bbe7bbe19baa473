"""All that is held of one customer, page by page of their tickets, and sent as it is read: of each list no more than a
page of two megabytes is in memory, and whoever reads slowly holds no connection to the database meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Select, Uuid, bindparam, func, literal_column, or_, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.dependencies import Actor
from app.auth.tables import api_keys
from app.customers.schemas import CustomerOut, OrganizationOut
from app.customers.service.customers import CUSTOMERS
from app.customers.service.organizations import ORGANIZATIONS
from app.customers.tables import customers
from app.db import Database, Row, Transaction, Values
from app.events.catalogue import outward
from app.events.tables import events
from app.instants import with_z
from app.keys.schemas import ApiKeyOut
from app.memberships import overrides
from app.privacy.erasure import check_privacy
from app.privacy.schemas import ExportedEvent, ExportedLink, Participation
from app.segments import membership_rows
from app.segments.schemas import MembershipOut, OverrideOut
from app.segments.tables import segment_members, segment_overrides
from app.sla import clocks
from app.sla.schemas.clocks import SlaClockOut
from app.sla.schemas.exceptions import SlaExceptionOut
from app.sla.tables import sla_clocks, sla_exceptions
from app.sla_exceptions import service as exceptions
from app.tickets import attachments, promises, queries, satisfaction
from app.tickets.messages import version_to_response
from app.tickets.promise_schemas import PromiseOut
from app.tickets.quality_tables import ticket_resolutions
from app.tickets.satisfaction_schemas import SatisfactionOut
from app.tickets.schemas import AttachmentOut, MessageOut, MessageVersionOut, TicketOut
from app.tickets.tables import attachments as files
from app.tickets.tables import message_versions, messages, ticket_links, ticket_participants, tickets
from app.tickets.tables import promises as promise_rows
from app.web.paging import Key, Listing, Order, PageQuery, is_any, page
from app.web.slices import in_slices

Thing = dict[str, Any]
Shown = Callable[[Transaction, list[Row]], Awaitable[list[Thing]]]
_PAGE_ROWS = 200
_NOW = func.clock_timestamp().label("now")
_owner = bindparam("owner", type_=Uuid)
_TICKETS = Listing(
    "customer_export",
    select(*queries.TICKET_COLUMNS),
    {"customer_id": is_any(tickets.c.customer_id)},
    {"created_at": Order((tickets.c.created_at, tickets.c.id))},
)
_TICKET, _CUSTOMER, _ORGANIZATION = TypeAdapter(TicketOut), TypeAdapter(CustomerOut), TypeAdapter(OrganizationOut)


class _Part:
    """One of the lists: what belongs to an owner, in an order whose last column is unique; how it is shown, and in
    which shape."""

    def __init__(self, rows: Select[Any], owned: ColumnElement[bool], order: tuple[Any, ...], shown: Shown, model: Any):
        self._listing = Listing("export", rows, {"owner": lambda _name, _value: owned}, {"": Order(order)})
        self._shown = shown
        self._model: TypeAdapter[Any] = TypeAdapter(model)

    async def items(self, db: Database, owner: UUID) -> AsyncIterator[tuple[Thing, bytes]]:
        """Each with its JSON, read page by page."""
        after: Key | None = None
        while True:
            async with db.transaction(reads=True) as tx:
                rows, after = await self._listing.fetch(tx, {"owner": owner}, "", _PAGE_ROWS, after)
                found = await self._shown(tx, rows)
            async for item in in_slices(found):
                yield item, _json(self._model, item)
            if after is None:
                return

    async def whole(self, db: Database, owner: UUID) -> AsyncIterator[bytes]:
        """The list."""
        between = b"["
        async for _, item in self.items(db, owner):
            yield between + item
            between = b","
        yield b"[]" if between == b"[" else b"]"


def _each(shown: Callable[[Values], Thing]) -> Shown:
    async def show(_tx: Transaction, rows: list[Row]) -> list[Thing]:
        return [shown(row) for row in rows]

    return show


def _event(row: Values) -> Thing:
    return {**outward(row), "data": with_z(row["data"])}


_m, _v, _l, _e, _p = messages.c, message_versions.c, ticket_links.c, events.c, ticket_participants.c
_s, _o, _x, _q = segment_members.c, segment_overrides.c, sla_exceptions.c, ticket_resolutions.c
_they = select(customers.c.id).where(or_(customers.c.id == _owner, customers.c.merged_into == _owner))
_keys = select(*(column for column in api_keys.c if column.name != "secret_hash"))
_elsewhere = select(messages).join(tickets, tickets.c.id == _m.ticket_id)
_written_elsewhere = (
    (_m.author_kind == literal_column("'customer'")) & _m.author_id.in_(_they) & (tickets.c.customer_id != _owner)
)
_excepted = select(sla_exceptions, _NOW)

_MERGED = _Part(
    select(customers), customers.c.merged_into == _owner, (customers.c.id,), _each(dict), CustomerOut
)  # fmt: skip
_KEYS = _Part(_keys, api_keys.c.customer_id == _owner, (api_keys.c.id,), _each(dict), ApiKeyOut)
_MEMBERSHIPS = _Part(
    membership_rows.ALL, _s.customer_id == _owner, (_s.since, _s.segment_id), _each(membership_rows.to_response),
    MembershipOut,
)  # fmt: skip
_OVERRIDES = _Part(
    select(segment_overrides), _o.customer_id == _owner, (_o.created_at, _o.id), _each(overrides.to_response),
    OverrideOut,
)  # fmt: skip
_OWN_EXCEPTIONS = _Part(
    _excepted, _x.customer_id == _owner, (_x.created_at, _x.id), _each(exceptions.to_response), SlaExceptionOut
)
_PARTICIPATIONS = _Part(
    select(ticket_participants), _p.customer_id.in_(_they), (_p.created_at, _p.ticket_id, _p.customer_id),
    _each(dict), Participation,
)  # fmt: skip
_ELSEWHERE = _Part(
    _elsewhere, _written_elsewhere, (_m.created_at, _m.id), _each(queries.message_to_response), MessageOut
)
_MESSAGES = _Part(
    select(messages), _m.ticket_id == _owner, (_m.created_at, _m.id), _each(queries.message_to_response), MessageOut
)
_VERSIONS = _Part(
    select(message_versions), _v.message_id == _owner, (_v.version,), _each(version_to_response), MessageVersionOut
)
_OF_TICKET = {
    "clocks": _Part(
        select(sla_clocks, _NOW), sla_clocks.c.ticket_id == _owner, (sla_clocks.c.started_at, sla_clocks.c.id),
        clocks.all_shown, SlaClockOut,
    ),
    "promises": _Part(
        promises.WITH_CLOCK, promise_rows.c.ticket_id == _owner, (promise_rows.c.cycle,),
        _each(promises.to_response), PromiseOut,
    ),
    "satisfaction": _Part(
        satisfaction.ROWS, _q.ticket_id == _owner, (_q.resolved_at, _q.id), _each(satisfaction.to_response),
        SatisfactionOut,
    ),
    "exceptions": _Part(
        _excepted, _x.ticket_id == _owner, (_x.created_at, _x.id), _each(exceptions.to_response), SlaExceptionOut
    ),
    "attachments": _Part(
        select(files), files.c.ticket_id == _owner, (files.c.created_at, files.c.id), _each(attachments.to_response),
        AttachmentOut,
    ),
    "links": _Part(
        select(ticket_links), or_(_l.source_id == _owner, _l.target_id == _owner), (_l.id,), _each(dict), ExportedLink
    ),
    "events": _Part(select(events), _e.ticket_id == _owner, (_e.id,), _each(_event), ExportedEvent),
}  # fmt: skip


async def export(request: Request, tx: Transaction, actor: Actor, id: UUID, query: PageQuery) -> Response:
    """What is refused is refused before anything is sent."""
    check_privacy(actor)
    customer = dict(await CUSTOMERS.get(tx, id))
    organization_id = customer["organization_id"]
    organization = dict(await ORGANIZATIONS.get(tx, organization_id)) if organization_id else None
    head = Response()
    found = await page(request, head, tx, _TICKETS, query, {"customer_id": id}, "created_at")
    link = {"Link": head.headers["Link"]} if "Link" in head.headers else {}
    pieces = _pieces(request.app.state.db, actor, customer, organization, found, first=not query.cursor)
    return StreamingResponse(pieces, headers=link, media_type="application/json")


async def _pieces(
    db: Database, actor: Actor, customer: Thing, organization: Thing | None, found: Thing, *, first: bool
) -> AsyncIterator[bytes]:
    id_: UUID = customer["id"]
    yield b'{"customer":' + _json(_CUSTOMER, customer)
    yield b',"organization":' + (_json(_ORGANIZATION, organization) if organization else b"null")
    with_keys = "keys:read" in actor.scopes
    lists: dict[str, _Part | bytes] = {
        "merged_customers": _MERGED,
        "api_keys": _KEYS if with_keys else b"null",
        "segments": _MEMBERSHIPS,
        "overrides": _OVERRIDES,
        "exceptions": _OWN_EXCEPTIONS,
        "participations": _PARTICIPATIONS if first else b"[]",
        "messages_elsewhere": _ELSEWHERE if first else b"[]",
    }
    for name, part in lists.items():
        yield f',"{name}":'.encode()
        if isinstance(part, bytes):
            yield part
        else:
            async for piece in part.whole(db, id_):
                yield piece
    between = b',"tickets":['
    for ticket in found["items"]:
        yield between + b'{"ticket":' + _json(_TICKET, ticket)
        async for piece in _hanging_on(db, ticket["id"]):
            yield piece
        between = b"},"
    yield b"}]" if found["items"] else b',"tickets":[]'
    yield b',"next_cursor":' + orjson.dumps(found["next_cursor"]) + b"}"


async def _hanging_on(db: Database, ticket_id: UUID) -> AsyncIterator[bytes]:
    between = b',"messages":['
    async for message, shown in _MESSAGES.items(db, ticket_id):
        yield between + shown[:-1] + b',"versions":'
        if message["version"] == 1:
            yield b"[]"
        else:
            async for piece in _VERSIONS.whole(db, message["id"]):
                yield piece
        between = b"},"
    yield b',"messages":[]' if between == b',"messages":[' else b"}]"
    for name, part in _OF_TICKET.items():
        yield f',"{name}":'.encode()
        async for piece in part.whole(db, ticket_id):
            yield piece


def _json(model: TypeAdapter[Any], thing: Thing) -> bytes:
    return model.dump_json(model.validate_python(thing))
