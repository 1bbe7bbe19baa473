"""What may be in custom fields.

A ticket's fields are the defined ones and no others; attributes of customers and organizations may have any name, and
a defined one has its type. What is there already stays, and may be sent back as it is, whatever is defined since."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select

from app.custom_fields.schemas import FieldKind, Subject
from app.custom_fields.tables import custom_field_revision as revision_row
from app.custom_fields.tables import custom_fields
from app.db import Query, Transaction
from app.errors import FieldError, Invalid
from app.events.resource import merged

REVISION = select(revision_row.c.revision).scalar_subquery()
_REVISION = Query(select(revision_row.c.revision))
_LIVE = Query(select(custom_fields).where(custom_fields.c.archived_at.is_(None)).order_by(custom_fields.c.id))
_MEMO = "custom_fields"
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOST_SAID = 20


@dataclass(frozen=True, slots=True)
class Definition:
    type: FieldKind
    choices: tuple[str, ...]
    # None is all of them.
    ticket_types: frozenset[str] | None
    required: bool

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
) -> dict[str, Any]:
    """`before` with `patch` merged into it. Raises Invalid, with a pointer to each wrong field. `revision` is that of
    the definitions, where the caller's read brought it along."""
    pointer = "/custom_fields" if subject is Subject.ticket else "/attributes"
    after = merged(pointer, before, patch)
    definitions = await _in_force(tx, revision)
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
        if of == subject and field.required and field.applies(ticket_type) and _blank(after.get(key))
    ]
    if errors:
        raise Invalid("; ".join(f"{each.pointer}: {each.detail}" for each in errors[:5]), errors=tuple(errors))
    return after


async def _in_force(tx: Transaction, current: int | None) -> Definitions:
    """Read once per change and process."""
    if current is None:
        row = await tx.row(_REVISION)
        assert row is not None
        current = row["revision"]
    held: tuple[int, Definitions] | None = tx.memo.get(_MEMO)
    if held is None or held[0] != current:
        # The revision was read first: a change in between must not pass for one that is known.
        held = tx.memo[_MEMO] = current, await _read(tx)
    return held[1]


async def _read(tx: Transaction) -> Definitions:
    return {
        (row["subject"], row["key"]): Definition(
            FieldKind(row["type"]),
            tuple(row["choices"] or ()),
            frozenset(row["ticket_types"]) if row["ticket_types"] else None,
            row["required"],
        )
        for row in await tx.rows(_LIVE)
    }


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
