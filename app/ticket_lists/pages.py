"""What the ticket list and a view's list have in common."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response
from sqlalchemy import Uuid, bindparam, select
from starlette.responses import StreamingResponse

from app.auth.dependencies import Actor
from app.db import Database, Query, Transaction
from app.events.ticket_readers import others_seen
from app.ticket_lists import filters
from app.ticket_lists.listing import OWN_TICKETS, TICKETS, OwnTickets
from app.ticket_lists.permissions import check_list
from app.ticket_lists.schemas import TicketQuery
from app.ticket_lists.seen_tickets import SEEN_TICKETS
from app.tickets import side_loading
from app.tickets.queries import ticket_to_response
from app.tickets.schemas import TicketOut
from app.web.csv_rows import header, lines, wants_csv
from app.web.paging import page

_SEES_OTHERS = Query(select(others_seen(bindparam("customer_id", type_=Uuid)).label("others")))


async def _for_customer(tx: Transaction, actor: Actor, where: dict[str, Any]) -> tuple[OwnTickets, dict[str, Any]]:
    """What the caller sees; asking for somebody else's finds nothing. Most see their own alone, by an index."""
    own, asked = actor.customer_id, where["customer_id"]
    seen = await tx.row(_SEES_OTHERS, customer_id=own)
    if seen and seen["others"]:
        return SEEN_TICKETS, {**where, "reader_id": own}
    return OWN_TICKETS, {**where, "customer_id": (own,) if asked is None or own in asked else ()}


_COLUMNS = list(TicketOut.model_fields)
# Of what is sent along, what people know it by.
_BESIDE = {"customer": ("name", "email", "external_id"), "assignee": ("name",), "team": ("name",)}
_PAGE = 200


async def answered(request: Request, response: Response, tx: Transaction, actor: Actor, query: TicketQuery) -> Any:
    """A page as JSON; as CSV, all from there on. The document declares JSON alone: beside a second form, generated
    clients take every page for what may be a text."""
    if not wants_csv(request):
        return await listed(request, response, tx, actor, query)
    query = query.model_copy(update={"limit": _PAGE})
    # What is refused is refused before anything is sent.
    first = await listed(request, response, tx, actor, query)
    beside = [name for name in _BESIDE if name in (query.include or ())]
    columns = [*_COLUMNS, *(f"{name}_{field}" for name in beside for field in _BESIDE[name])]

    async def text() -> AsyncIterator[str]:
        yield header(columns, excel=query.excel)
        async for found in _pages(request, actor, query, first):
            yield lines(map(_flat, found["items"]), columns)

    return StreamingResponse(text(), media_type="text/csv")


async def _pages(
    request: Request, actor: Actor, query: TicketQuery, first: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """The first page and those after it, each in a transaction of its own: nobody holds one while a client reads."""
    db: Database = request.app.state.db
    found = first
    yield found
    while cursor := found["next_cursor"]:
        after = query.model_copy(update={"cursor": cursor})
        async with db.transaction(reads=True) as tx:
            found = await listed(request, Response(), tx, actor, after)
        yield found


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    beside = {
        f"{name}_{field}": item[name][field] for name, fields in _BESIDE.items() if item[name] for field in fields
    }
    return {**item, **beside}


async def listed(
    request: Request, response: Response, tx: Transaction, actor: Actor, query: TicketQuery
) -> dict[str, Any]:
    check_list(tx, actor, query)
    beside = query.include or ()
    side_loading.check(actor, beside)
    where = await filters.of(tx, actor, query)
    listing = TICKETS
    if actor.is_customer:
        listing, where = await _for_customer(tx, actor, where)
    answer = await page(request, response, tx, listing, query, where, query.sort)
    count = await listing.estimated_count(tx, where) if query.count else None
    shown = [await ticket_to_response(tx, actor, row) for row in answer["items"]]
    items = await side_loading.load(tx, actor, shown, beside)
    fits = side_loading.number_that_fits(items) if beside else len(items)
    if fits < len(items):
        return await listed(request, response, tx, actor, query.model_copy(update={"limit": fits}))
    return {**answer, "items": items, "estimated_count": count}
