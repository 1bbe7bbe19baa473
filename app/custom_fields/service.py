"""Which fields an installation adds to tickets, customers and organizations. An archived one takes no new values; those
that are there stay. Its key may be defined again, as another field."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column, update

from app.auth.dependencies import Actor
from app.custom_fields.schemas import CustomFieldIn, CustomFieldPatch, FieldKind, Subject
from app.custom_fields.tables import custom_field_revision, custom_fields
from app.db import Query, Row, Transaction
from app.errors import Conflict, Invalid
from app.events import log
from app.events.resource import Resource
from app.web.paging import Listing, Order, is_any
from app.web.schemas import fold

_COLUMNS = [
    "subject", "key", "name", "type", "choices", "ticket_types", "required", "visible_to_customers",
    "writable_by_customers",
]  # fmt: skip
FIELDS = Resource(custom_fields, "custom_field", _COLUMNS, derived=["key_folded"])
LISTING = Listing(
    "custom_fields",
    FIELDS.select.where(custom_fields.c.archived_at.is_(None)),
    {"subject": is_any(custom_fields.c.subject)},
    {"created_at": Order((custom_fields.c.created_at, custom_fields.c.id))},
)
_ARCHIVE = Query(update(custom_fields).where(custom_fields.c.id == bindparam("key_id")), ["archived_at"])
_COUNT_UP = Query(update(custom_field_revision).values(revision=literal_column("revision + 1")))


class CustomFieldArchived(Conflict):
    """An archived custom field stays as it is. Its key may be defined again."""

    code = "custom_field_archived"
    title = "The custom field is archived"


async def create_field(tx: Transaction, actor: Actor, body: CustomFieldIn, ticket_types: Collection[str]) -> Row:
    """`ticket_types` are those that there are."""
    values = body.model_dump()
    _check(values, ticket_types)
    tx.write(_COUNT_UP)
    return await FIELDS.create(tx, actor, {**values, "key_folded": fold(body.key)})


async def change_field(
    tx: Transaction,
    actor: Actor,
    id: UUID,
    patch: CustomFieldPatch,
    ticket_types: Collection[str],
    if_match: str | None,
) -> Row:
    """What is in the field already is not looked at again."""
    before = await FIELDS.locked(tx, id, if_match)
    if before["archived_at"] is not None:
        raise CustomFieldArchived("define a new one")
    values = patch.model_dump()
    _check({**before, **values}, ticket_types)
    after = await FIELDS.change(tx, actor, before, values)
    if after["version"] != before["version"]:
        tx.write(_COUNT_UP)
    return after


async def archive_field(tx: Transaction, actor: Actor, id: UUID, if_match: str | None) -> None:
    before = await FIELDS.locked(tx, id, if_match)
    if before["archived_at"] is None:
        now = before["now"]
        tx.write(_ARCHIVE, key_id=id, archived_at=now)
        tx.write(_COUNT_UP)
        changes = {"archived_at": {"before": None, "after": now}}
        log.record(tx, log.actor_ref(actor), "custom_field.archived", id, now, {"changes": changes})


def _check(field: Mapping[str, Any], ticket_types: Collection[str]) -> None:
    choices, types = field["choices"], field["ticket_types"]
    if (choices is not None) != (field["type"] == FieldKind.choice):
        raise Invalid.at("/choices", "choices", "a field of type choice, and only that, has choices")
    if field["writable_by_customers"] and not field["visible_to_customers"]:
        raise Invalid.at("/writable_by_customers", "not_visible", "who sets a field sees it: visible_to_customers")
    if types is not None and field["subject"] != Subject.ticket:
        raise Invalid.at("/ticket_types", "not_of_tickets", "only a field of tickets has ticket types")
    for index, word in enumerate(types or ()):
        if word not in ticket_types:
            raise Invalid.at(f"/ticket_types/{index}", "unknown", f"one of {', '.join(ticket_types)}")
    _check_once_each("/choices", choices or ())
    _check_once_each("/ticket_types", types or ())


def _check_once_each(pointer: str, words: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, word in enumerate(map(fold, words)):
        if word in seen:
            raise Invalid.at(f"{pointer}/{index}", "duplicate", "each once, whatever its case, width and form")
        seen.add(word)
