"""What may be in custom fields.

A ticket's fields are the defined ones and no others; attributes of customers and organizations may have any name, and
a defined one has its type. What is there already stays, and may be sent back as it is, whatever is defined since."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select

from app.custom_fields.schemas import FieldKind, Subject
from app.custom_fields.tables import custom_field_revision as revision_row
from app.custom_fields.tables import custom_fields
from app.db import Query, Row, Transaction
from app.errors import FieldError, Forbidden, Invalid
from app.events.resource import merged
from app.release import understood, word
from app.revision_cache import RevisionCache
from app.web import names

REVISION = select(revision_row.c.revision).scalar_subquery()
_LIVE = Query(select(custom_fields).where(custom_fields.c.archived_at.is_(None)).order_by(custom_fields.c.id))
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOST_SAID = 20


@dataclass(frozen=True, slots=True)
class Definition:
    type: FieldKind
    choices: tuple[str, ...]
    # None is all of them.
    ticket_types: frozenset[str] | None
    required: bool
    visible_to_customers: bool
    writable_by_customers: bool

    def applies(self, ticket_type: str | None) -> bool:
        return self.ticket_types is None or ticket_type in self.ticket_types


Definitions = Mapping[tuple[str, str], Definition]


async def checked(
    tx: Transaction,
    subject: Subject,
    before: Mapping[str, Any],
    patch: Mapping[str, Any],
    *,
    ticket_type: str | None = None,
    revision: int | None = None,
    by_customer: bool = False,
) -> dict[str, Any]:
    """`before` with `patch` merged into it. Raises Invalid, with a pointer to each wrong field. `revision` is that of
    the definitions, where the caller's read brought it along. Of a customer nothing is required that is not theirs to
    set."""
    pointer = "/custom_fields" if subject is Subject.ticket else "/attributes"
    after = merged(pointer, before, patch)
    definitions = await (IN_FORCE.now(tx) if revision is None else IN_FORCE.at(tx, revision))
    errors = [
        FieldError(f"{pointer}/{name}", *wrong)
        for name, value in patch.items()
        if value is not None
        and not _same(before.get(name), value)
        and (wrong := _wrong(definitions.get((subject, name)), subject, ticket_type, value))
    ]
    errors += [
        FieldError(f"{pointer}/{key}", "required", "this field is required")
        for (of, key), field in definitions.items()
        if of == subject
        and field.required
        and field.applies(ticket_type)
        and _blank(after.get(key))
        and not (by_customer and not field.writable_by_customers)
    ]
    if errors:
        raise Invalid("; ".join(f"{each.pointer}: {each.detail}" for each in errors[:5]), errors=tuple(errors))
    return after


async def check_customer_sets(tx: Transaction, subject: Subject, names: Iterable[str]) -> None:
    """Raises Forbidden for what is the staff's to set, in the same words whether there is such a field or not."""
    definitions = await IN_FORCE.now(tx)
    for name in names:
        field = definitions.get((subject, name))
        if field is None or not field.writable_by_customers:
            raise Forbidden(f"a customer does not set the custom field {name}")


async def told_to_customers(tx: Transaction, subject: Subject, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a definition shows to customers."""
    return _visible(await IN_FORCE.now(tx), subject, fields) if fields else {}


def seen_to_change(tx: Transaction, subject: Subject, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether customers see the difference, by the definitions that this process knows."""
    known = IN_FORCE.known(tx)
    return known is None or _visible(known, subject, before) != _visible(known, subject, after)


def _visible(definitions: Definitions, subject: Subject, fields: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name for (of, name), field in definitions.items() if of == subject and field.visible_to_customers}
    return {name: value for name, value in fields.items() if name in shown}


async def _read_in_force(tx: Transaction) -> Definitions:
    return dict(understood(_defined, await tx.rows(_LIVE)))


IN_FORCE = RevisionCache(Query(select(revision_row.c.revision)), _read_in_force)


def _defined(row: Row) -> tuple[tuple[str, str], Definition]:
    definition = Definition(
        word(FieldKind, row["type"]),
        tuple(row["choices"] or ()),
        frozenset(row["ticket_types"]) if row["ticket_types"] else None,
        row["required"],
        row["visible_to_customers"],
        row["writable_by_customers"],
    )
    return (row["subject"], row["key"]), definition


async def check_prepared(tx: Transaction, pointer: str, fields: Mapping[str, Any]) -> None:
    """Values that tickets are to get one day, of whatever type: nothing is required. Raises Invalid."""
    definitions = await IN_FORCE.now(tx)
    for name, value in fields.items():
        definition = definitions.get((Subject.ticket, name))
        wrong = misfit(definition, value) if definition and value is not None else None
        if definition is None:
            known = [key for subject, key in definitions if subject == Subject.ticket]
            wrong = "unknown_field", names.unknown(name, known)
        if wrong:
            raise Invalid.at(f"{pointer}/{name}", *wrong)


def _same(before: object, value: object) -> bool:
    # To Python, True is 1.
    return type(before) is type(value) and before == value


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _wrong(
    definition: Definition | None, subject: Subject, ticket_type: str | None, value: object
) -> tuple[str, str] | None:
    """Code and detail of what is wrong with the value."""
    if definition is None:
        return ("unknown_field", "no such custom field is defined") if subject is Subject.ticket else None
    if not definition.applies(ticket_type):
        return "not_for_type", f"this field is not for tickets of type {ticket_type}"
    return misfit(definition, value)


def misfit(definition: Definition, value: object) -> tuple[str, str] | None:
    """Code and detail of why the field cannot hold the value."""
    return None if _FITS[definition.type](value, definition) else ("wrong_type", _said(definition))


def _is_date(value: object, _: Definition) -> bool:
    try:
        # Python's own reader also takes weeks (2026-W01-1).
        return isinstance(value, str) and bool(_DATE.fullmatch(value) and date.fromisoformat(value))
    except ValueError:
        return False


def _is_number(value: object, _: Definition) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: Mapping[FieldKind, Callable[[object, Definition], bool]] = {
    FieldKind.text: lambda value, _: isinstance(value, str),
    FieldKind.number: _is_number,
    FieldKind.boolean: lambda value, _: isinstance(value, bool),
    FieldKind.date: _is_date,
    FieldKind.choice: lambda value, definition: value in definition.choices,
}


def _said(definition: Definition) -> str:
    if definition.type is FieldKind.choice:
        more = ", …" if len(definition.choices) > _MOST_SAID else ""
        return f"one of {', '.join(definition.choices[:_MOST_SAID])}{more}"
    return "a date such as 2026-12-24" if definition.type is FieldKind.date else f"a {definition.type}"
