"""Macros: a prepared message and prepared changes, applied to a ticket as if whoever applies them had made them by
hand. What they may not do themselves no macro does for them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.agents.service import AGENTS
from app.auth.dependencies import Actor, check_lead
from app.custom_fields.values import check_prepared
from app.customers.service.customers import CUSTOMERS
from app.db import Row, Transaction, Values
from app.errors import AppError, Conflict, Forbidden, Invalid
from app.events.resource import Resource
from app.macros import places
from app.macros.schemas import MacroChanges, MacroIn, MacroPatch
from app.macros.tables import macros
from app.sla.core.enums import Status
from app.tickets.lifecycle import TicketClosed
from app.tickets.queries import get_ticket, ticket_to_response
from app.tickets.references import check_there
from app.tickets.schemas import MessageIn, TicketPatch
from app.tickets.service import change_ticket, reply
from app.web.paging import Listing, Order, Room
from app.web.problems import as_problem
from app.web.query import Oneself
from app.web.schemas import fold, tags_once

MACROS = Resource(macros, "macro", ["name", "body", "visibility", "changes"])
LISTING = Listing("macros", MACROS.select, {}, {"name": Order((macros.c.name, macros.c.id))})
_LONGEST = 100_000


class MacroDoesNotFit(Conflict):
    """With what is known of this ticket the macro's text is empty or longer than a message may be."""

    code = "macro_does_not_fit"
    title = "The macro makes no message here"


class _Undone(Exception):
    """Takes back what a preview did."""


def check_staff(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("macros are the staff's")


async def create_macro(tx: Transaction, actor: Actor, body: MacroIn) -> Row:
    _check_writer(actor)
    await _check_changes(tx, body)
    return await MACROS.create(tx, actor, _checked(_values(body), {}))


async def change_macro(tx: Transaction, actor: Actor, id: UUID, patch: MacroPatch, if_match: str | None) -> Row:
    _check_writer(actor)
    before = await MACROS.locked(tx, id, if_match)
    if _values(patch).get("changes", before["changes"]) != before["changes"]:
        await _check_changes(tx, patch)
    return await MACROS.change(tx, actor, before, _checked(_values(patch), before))


async def delete_macro(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    _check_writer(actor)
    await MACROS.delete(tx, actor, id, if_match)


async def apply(
    tx: Transaction, actor: Actor, macro_id: UUID, ticket_id: UUID, if_match: str | None, *, preview: bool
) -> dict[str, Any]:
    """All of it or nothing."""
    check_staff(actor)
    macro = await MACROS.get(tx, macro_id)
    return await _applied(tx, actor, macro, ticket_id, if_match, preview=preview)


async def apply_to_many(
    tx: Transaction, actor: Actor, macro_id: UUID, ticket_ids: Sequence[UUID], *, preview: bool
) -> list[dict[str, Any]]:
    """Each as it would be by itself, in the order named. Tickets are locked in the order of their ids, as everybody
    locks them."""
    check_staff(actor)
    macro = await MACROS.get(tx, macro_id)
    for index, id_ in enumerate(ticket_ids):
        if id_ in ticket_ids[:index]:
            raise Invalid.at(f"/ticket_ids/{index}", "repeated", "each ticket once")
    room = Room()
    done = {id_: await _result(tx, actor, macro, id_, room, preview=preview) for id_ in sorted(ticket_ids)}
    return [done[id_] for id_ in ticket_ids]


async def _result(
    tx: Transaction, actor: Actor, macro: Row, ticket_id: UUID, room: Room, *, preview: bool
) -> dict[str, Any]:
    try:
        async with tx.nested(savepoint=True):
            applied = await _applied(tx, actor, macro, ticket_id, None, preview=preview)
    except AppError as refused:
        if refused.status >= 500:
            raise
        problem = as_problem(refused, f"/v1/tickets/{ticket_id}/macros/{macro['id']}/apply")
        return {"ticket_id": ticket_id, "status": refused.status, "applied": None, "problem": problem}
    applied_or_none = applied if room.holds(applied) else None
    return {"ticket_id": ticket_id, "status": 200, "applied": applied_or_none, "problem": None}


async def _applied(
    tx: Transaction, actor: Actor, macro: Row, ticket_id: UUID, if_match: str | None, *, preview: bool
) -> dict[str, Any]:
    if not preview:
        return await _do(tx, actor, macro, ticket_id, if_match)
    done: dict[str, Any] = {}
    try:
        # It is really done and taken back: a preview is refused what the macro would be refused.
        async with tx.nested(savepoint=True):
            done = await _do(tx, actor, macro, ticket_id, if_match)
            raise _Undone
    except _Undone:
        return {**done, "message_id": None}


async def _do(tx: Transaction, actor: Actor, macro: Row, ticket_id: UUID, if_match: str | None) -> dict[str, Any]:
    ticket = await get_ticket(tx, actor, ticket_id)
    if ticket["status"] == Status.closed:
        raise TicketClosed("a macro is for tickets that go on")
    body = await _filled(tx, actor, macro, ticket)
    values = _patch(actor, macro["changes"], ticket)
    # The message is said first, and then the status set: one that it brings about would be set over.
    moves = {"status": values.pop("status")} if "status" in values and body is not None else {}
    changed: Values = ticket
    if values or if_match:
        changed = await change_ticket(tx, actor, ticket_id, TicketPatch(**values), if_match)
        await tx.flush()
    message_id = None
    if body is not None:
        said = MessageIn(body=body, visibility=macro["visibility"], **moves)
        message_id = (await reply(tx, actor, ticket_id, said))["id"]
        await tx.flush()
        changed = await get_ticket(tx, actor, ticket_id)
    return {
        "ticket": dict(await ticket_to_response(tx, actor, changed)),
        "body": body,
        "visibility": macro["visibility"],
        "message_id": message_id,
    }


async def _filled(tx: Transaction, actor: Actor, macro: Row, ticket: Values) -> str | None:
    if macro["body"] is None:
        return None
    if "customer" in places.nouns(macro["body"]) and "customers:read" not in actor.scopes:
        raise Forbidden("this macro says who the customer is: it needs the scope customers:read")
    facts = {"ticket": dict(ticket), "customer": dict(await CUSTOMERS.get(tx, ticket["customer_id"]))}
    if actor.agent_id:
        facts["agent"] = dict(await AGENTS.get(tx, actor.agent_id))
    body = places.filled(macro["body"], facts).strip()
    if not 0 < len(body) <= _LONGEST:
        raise MacroDoesNotFit(f"its text has {len(body)} characters here; a message has 1 to {_LONGEST}")
    return body


def _patch(actor: Actor, changes: Mapping[str, Any], ticket: Values) -> dict[str, Any]:
    values = {name: value for name, value in changes.items() if name not in ("add_tags", "remove_tags")}
    if values.get("assignee_id") == Oneself.me:
        if actor.agent_id is None:
            raise Invalid.at("/changes/assignee_id", "nobody", "the caller stands for no agent: `me` is nobody")
        values["assignee_id"] = actor.agent_id
    if "add_tags" in changes or "remove_tags" in changes:
        removed = {fold(tag) for tag in changes.get("remove_tags", ())}
        kept = [tag for tag in ticket["tags"] if fold(tag) not in removed]
        values["tags"] = tags_once([*kept, *changes.get("add_tags", ())])
    return values


def _check_writer(actor: Actor) -> None:
    check_lead(actor, "a lead or an administrator writes macros")


def _values(body: MacroIn | MacroPatch) -> dict[str, Any]:
    """As they are stored: changes only where they were given."""
    values = body.model_dump(exclude={"changes"})
    if "changes" in body.model_fields_set or isinstance(body, MacroIn):
        values["changes"] = body.model_dump(mode="json", include={"changes"}, exclude_unset=True).get("changes", {})
    return values


async def _check_changes(tx: Transaction, body: MacroIn | MacroPatch) -> None:
    """Raises Invalid for what no ticket can be given: the macro would be refused at each of them."""
    if isinstance(body.changes, MacroChanges):
        given = body.changes.model_dump(exclude_unset=True)
        await check_there(tx, "/changes", given)
        await check_prepared(tx, "/changes/custom_fields", given.get("custom_fields", {}))


def _checked(values: dict[str, Any], before: Values) -> dict[str, Any]:
    body, changes = ({**before, **values}[name] for name in ("body", "changes"))
    if body is None and not changes:
        raise Invalid.at("/body", "required", "a macro says something or changes something: give `body` or `changes`")
    if body is not None and (name := places.unknown(body)) is not None:
        raise Invalid.at("/body", "unknown_place", f"nothing fills {{{{{name}}}}}; filled are {places.WORDS}")
    return values
