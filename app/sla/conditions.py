"""What the conditions of a policy may read: the ticket, its customer and their organization, and the segments that the
customer belongs to."""

from collections.abc import Mapping
from typing import Any

from app.errors import Invalid
from app.segments.fields import FIGURES, OF_CUSTOMERS
from app.segments.rules import Fields, FieldType, Memberships, Rule, RuleError, fields_read, parse_conditions
from app.sla.core.words import Priority

# A change of any of them re-matches the ticket; its status and assignee are left out on purpose, because neither moves
# a clock to another policy.
TICKET_FIELDS = Fields(
    exact={
        "ticket.subject": FieldType.TEXT,
        "ticket.priority": FieldType.TEXT,
        "ticket.type": FieldType.TEXT,
        "ticket.channel": FieldType.TEXT,
        "ticket.product": FieldType.TEXT,
        "ticket.team_id": FieldType.TEXT,
        "ticket.tags": FieldType.TEXT_SET,
    },
    prefixes={"ticket.custom_fields.": FieldType.ANY_SCALAR},
    words={"ticket.priority": [word.value for word in Priority]},
)
SEGMENT = "segment"
POLICY_FIELDS = Fields(
    {**TICKET_FIELDS.exact, **OF_CUSTOMERS.exact, SEGMENT: FieldType.MEMBERSHIP},
    {**TICKET_FIELDS.prefixes, **OF_CUSTOMERS.prefixes},
    TICKET_FIELDS.words,
)
_WITH_FIGURES = Fields({**POLICY_FIELDS.exact, **FIGURES}, POLICY_FIELDS.prefixes, POLICY_FIELDS.words)


def as_rule(conditions: Mapping[str, Any], fields: Fields = POLICY_FIELDS) -> Rule:
    return parse_conditions(conditions["all"], conditions["any"], fields)


def names_segments(conditions: Mapping[str, Any]) -> bool:
    """Whether they can only be checked by who knows the segments there are. Raises Invalid for wrong conditions."""
    return SEGMENT in fields_read(checked(conditions, POLICY_FIELDS))


def checked_with(conditions: Mapping[str, Any], segment_keys: list[str]) -> None:
    """Raises Invalid where they name a segment that is not there."""
    checked(
        conditions,
        Fields(POLICY_FIELDS.exact, POLICY_FIELDS.prefixes, {**POLICY_FIELDS.words, SEGMENT: segment_keys}),
    )


def checked(conditions: Mapping[str, Any], fields: Fields) -> Rule:
    try:
        return as_rule(conditions, fields)
    except RuleError as wrong:
        if wrong.code == "unknown_field" and _is_figure(conditions, wrong.pointer):
            raise Invalid.at(
                f"/conditions{wrong.pointer}", "history_figure",
                "no policy reads figures of a customer's history: make a segment of them, and ask for that",
            ) from None  # fmt: skip
        raise Invalid.at(f"/conditions{wrong.pointer}", wrong.code, wrong.detail) from None


def _is_figure(conditions: Mapping[str, Any], pointer: str) -> bool:
    try:
        as_rule(conditions, _WITH_FIGURES)
    except RuleError as wrong:
        return wrong.pointer != pointer
    return True


def reads_customers(rule: Rule) -> bool:
    return any(name.startswith(("customer.", "organization.")) for name in fields_read(rule))


def checked_facts(given: Mapping[str, object]) -> dict[str, object]:
    """Facts as somebody sent them. Raises Invalid for a field that no policy can read."""
    for name in given:
        if POLICY_FIELDS.type_of(name) is None:
            where = name.replace("~", "~0").replace("/", "~1")
            raise Invalid.at(f"/facts/{where}", "unknown_field", "no policy reads it")
    facts = dict(given)
    if SEGMENT in facts:
        keys = facts[SEGMENT]
        several = keys if isinstance(keys, list) else [keys]
        facts[SEGMENT] = Memberships(key for key in several if isinstance(key, str))
    return facts
