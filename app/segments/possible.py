"""Which values a fact can have. A condition that asks for another one never holds, or always does, and nobody notices:
it is refused where it is written, with what would be right.

Free text, tags and attributes that nobody defined may have any value that can be stored, today or later. What was
written before is read as it stands. Whether two conditions contradict each other is not looked at."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from app.custom_fields.schemas import FieldKind, Subject
from app.custom_fields.tables import custom_fields
from app.custom_fields.values import IN_FORCE, Definition, misfit
from app.customers.schemas import Language, Region
from app.customers.tables import organizations
from app.db import Query, Transaction
from app.segments.fields import FIGURES
from app.segments.known_words import in_any, known_words
from app.segments.rules import ORDER, PARTS, ConditionOp, Fields, FieldType, Rule, Scalar, conditions_of
from app.web.schemas import PATTERNS, Email, ExternalId, Name

Wrong = tuple[str, str] | None
Forms = Mapping[str, TypeAdapter[str]]
_PERSON = {"external_id": ExternalId, "name": Name, "email": Email, "region": Region, "language": Language}
_FORMS: Forms = {
    f"{of}.{name}": TypeAdapter(form) for of in ("customer", "organization") for name, form in _PERSON.items()
}
# Of what a part of such a text consists.
_PART = {"region": r"[A-Za-z0-9_-]{1,32}", "language": r"[A-Za-z0-9-]{1,30}", "email": r"[^\s@<>]*@?[^\s@<>]*"}
_ID_PART = re.compile(r"[0-9a-f-]{1,36}")
# An element is asked for, not a part of a text.
_WHOLE = (FieldType.TEXT_SET, FieldType.MEMBERSHIP)
_ORGANIZATION = "customer.organization_id"
_OF_TICKETS = "ticket.custom_fields."
_SUBJECTS = {
    _OF_TICKETS: Subject.ticket,
    "customer.attributes.": Subject.customer,
    "organization.attributes.": Subject.organization,
}
_EXISTING = Query(select(organizations.c.id).where(organizations.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))))
# Of archived ones there may still be values.
_TICKET_FIELDS = Query(
    select(custom_fields.c.key).where(custom_fields.c.subject == Subject.ticket.value).distinct().order_by("key")
)


async def possible(
    tx: Transaction, fields: Fields, rule: Rule, words: Mapping[str, Sequence[str]], forms: Forms
) -> Fields:
    """The fields with which this rule is read again: what is impossible today is refused then. `words` are all that a
    field can have, `forms` those of fields that are not the customer's."""
    asked = list(conditions_of(rule))
    definitions = await IN_FORCE.now(tx)
    known = {f"{prefix}{key}": definition for prefix, of in _SUBJECTS.items()
             for (subject, key), definition in definitions.items() if subject == of}  # fmt: skip
    ids = {value for each in asked if each.field == _ORGANIZATION for value in _ids(each.value)}
    there = {str(row["id"]) for row in await tx.rows(_EXISTING, ids=sorted(ids))} if ids else set()
    facts = _Facts(fields, words, {**_FORMS, **forms}, known, frozenset(there))
    return replace(await _defined(tx, fields), impossible=facts.wrong)


async def _defined(tx: Transaction, fields: Fields) -> Fields:
    """With the custom fields of tickets that there are in place of any name."""
    if _OF_TICKETS not in fields.prefixes:
        return fields
    prefixes = {prefix: type_ for prefix, type_ in fields.prefixes.items() if prefix != _OF_TICKETS}
    keys = [row["key"] for row in await tx.rows(_TICKET_FIELDS)]
    return replace(fields, exact={**fields.exact, **{f"{_OF_TICKETS}{key}": FieldType.ANY_SCALAR for key in keys}},
                   prefixes=prefixes)  # fmt: skip


def _ids(value: Any) -> list[UUID]:
    found = []
    for each in value if isinstance(value, tuple) else (value,):
        try:
            found.append(UUID(str(each)))
        except ValueError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class _Facts:
    fields: Fields
    words: Mapping[str, Sequence[str]]
    forms: Forms
    definitions: Mapping[str, Definition]
    organization_ids: frozenset[str]

    def wrong(self, name: str, op: ConditionOp, value: Scalar) -> Wrong:
        if op is ConditionOp.EXISTS:
            return None
        part = op if op in PARTS and self.fields.type_of(name) not in _WHOLE else None
        if name in self.words:
            return not_among(self.words[name], str(value), part)
        if name in self.definitions:
            return _of_definition(self.definitions[name], op, value, part)
        if name == _ORGANIZATION:
            return self._of_organization(str(value), part)
        if name in FIGURES:
            return _of_figure(op, value)
        return _of_form(self.forms[name], name, str(value), part) if name in self.forms else None

    def _of_organization(self, value: str, part: ConditionOp | None) -> Wrong:
        there = _ID_PART.fullmatch(value) if part else value in self.organization_ids
        return None if there else ("unknown", "There is no organization with this id.")


def not_among(words: Sequence[str], value: str, part: ConditionOp | None = None) -> Wrong:
    """Of a text that is one of these words, or for `contains` and `starts_with` a part of one."""
    there = in_any(words, value, begins=part is ConditionOp.STARTS_WITH) if part else value in words
    return None if there else ("unknown_word", known_words(value, words))


def _of_definition(definition: Definition, op: ConditionOp, value: Scalar, part: ConditionOp | None) -> Wrong:
    if definition.type is FieldKind.choice and isinstance(value, str):
        return None if op in ORDER else not_among(definition.choices, value, part)
    if part and definition.type in (FieldKind.text, FieldKind.date):
        return None
    wrong = misfit(definition, value)
    return wrong and ("wrong_value_type", f"The field holds {wrong[1]}.")


def _of_figure(op: ConditionOp, value: Scalar) -> Wrong:
    if not isinstance(value, int | float):
        return None
    whole = op in ORDER or value == int(value)
    return None if value >= 0 and whole else ("impossible_value", "A count is 0 or more, and whole.")


def _of_form(form: TypeAdapter[str], name: str, value: str, part: ConditionOp | None) -> Wrong:
    if part:
        of = _PART.get(name.rpartition(".")[2])
        return None if of is None or re.fullmatch(of, value) else ("impossible_value", f"No {name} has such a part.")
    try:
        stored = form.validate_python(value)
    except ValidationError as wrong:
        error = wrong.errors(include_url=False, include_input=False)[0]
        pattern = error.get("ctx", {}).get("pattern")
        says = PATTERNS[pattern] if pattern else error["msg"].removeprefix("Value error, ")
        return "impossible_value", f"No {name} is like this, but: {says}."
    if stored != value:
        return (
            "impossible_value",
            f"No {name} is like this: it is stored in another form, such as without blanks around.",
        )
    return None
