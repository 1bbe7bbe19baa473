"""Saved views: a filter and an order with a name. An agent's own, or shared by all staff. Keys that stand for no agent
have theirs together."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_

from app.auth.dependencies import Actor
from app.db import Row, Transaction
from app.errors import Forbidden, Invalid, NotFound
from app.events.resource import Resource
from app.ticket_lists import filters
from app.ticket_lists.permissions import check_sharing
from app.ticket_lists.schemas import TicketFilter, TicketOrder, ViewIn, ViewPatch
from app.ticket_lists.tables import views
from app.web.paging import Listing, Order, is_any

_NOBODY = UUID(int=0)
_owner = func.coalesce(views.c.agent_id, _NOBODY, type_=views.c.id.type)
VIEWS = Resource(views, "view", ["name", "filter", "sort", "shared"], derived=["agent_id"])
LISTING = Listing(
    "views",
    VIEWS.select,
    {"seen_by": lambda name, value: or_(views.c.shared, is_any(_owner)(name, value))},
    {"created_at": Order((views.c.created_at, views.c.id))},
)


def seen_by(actor: Actor) -> dict[str, object]:
    _check_staff(actor)
    return {"seen_by": actor.agent_id or _NOBODY}


async def get_view(tx: Transaction, actor: Actor, id: UUID) -> Row:
    _check_staff(actor)
    return _seen(actor, await VIEWS.get(tx, id))


async def create_view(tx: Transaction, actor: Actor, body: ViewIn) -> Row:
    _check_staff(actor)
    check_sharing(actor, body.shared)
    values = _values(body, {})
    _check_order(values)
    await _check_filter(tx, body, {})
    return await VIEWS.create(tx, actor, {**values, "agent_id": actor.agent_id})


async def change_view(tx: Transaction, actor: Actor, id: UUID, patch: ViewPatch, if_match: str | None) -> Row:
    before = await _locked(tx, actor, id, if_match)
    values = _values(patch, before["filter"])
    check_sharing(actor, values.get("shared", False))
    _check_order({**before, **values})
    await _check_filter(tx, patch, before["filter"])
    return await VIEWS.change(tx, actor, before, values)


async def delete_view(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    await _locked(tx, actor, id, if_match)
    await VIEWS.delete(tx, actor, id, if_match)


def _check_staff(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("views are the staff's")


async def _locked(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> Row:
    await get_view(tx, actor, id)
    view = _seen(actor, await VIEWS.locked(tx, id, if_match))
    check_sharing(actor, view["shared"])
    return view


def _seen(actor: Actor, view: Row) -> Row:
    """Raises NotFound where it is somebody else's."""
    if not view["shared"] and view["agent_id"] != actor.agent_id:
        raise NotFound("there is no view with this id")
    return view


def _values(body: ViewIn | ViewPatch, before: Mapping[str, Any]) -> dict[str, Any]:
    values = body.model_dump(exclude={"filter"})
    if isinstance(body.filter, TicketFilter):
        sent = body.filter.model_dump(mode="json", exclude_unset=True)
        values["filter"] = {name: value for name, value in {**before, **sent}.items() if value is not None}
    return values


async def _check_filter(tx: Transaction, body: ViewIn | ViewPatch, before: Mapping[str, Any]) -> None:
    """Raises Invalid for what no ticket can be. What the view asks for already stays, though it be gone since."""
    if isinstance(body.filter, TicketFilter):
        sent = body.filter.model_dump(mode="json", exclude_unset=True)
        fresh = {name for name, value in sent.items() if value != before.get(name)}
        await filters.check_possible(tx, body.filter, fresh)


def _check_order(values: dict[str, Any]) -> None:
    if values["sort"] == TicketOrder.relevant and "q" not in values["filter"]:
        raise Invalid.at("/sort", "needs_q", "by relevance only what is searched for can be sorted: give `q`")
