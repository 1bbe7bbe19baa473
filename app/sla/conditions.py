"""What the conditions of a policy may read: the ticket, its customer and their organization, and the segments that the
customer belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.errors import Invalid
from app.segments.fields import FIGURES, OF_CUSTOMERS
from app.segments.rules import Fields, FieldType, Memberships, Rule, RuleError, fields_read, parse_conditions
from app.sla.core.enums import Channel, Priority, TicketType

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
    words={
        "ticket.priority": [word.value for word in Priority],
        "ticket.type": [word.value for word in TicketType],
        "ticket.channel": [word.value for word in Channel],
    },
)
SEGMENT, TEAM = "segment", "ticket.team_id"
POLICY_FIELDS = Fields(
    {**TICKET_FIELDS.exact, **OF_CUSTOMERS.exact, SEGMENT: FieldType.MEMBERSHIP},
    {**TICKET_FIELDS.prefixes, **OF_CUSTOMERS.prefixes},
    TICKET_FIELDS.words,
)
# What was written before a word was known to be none is read as it is: it never holds.
_STORED_FIELDS = replace(POLICY_FIELDS, words={})
_WITH_FIGURES = Fields({**POLICY_FIELDS.exact, **FIGURES}, POLICY_FIELDS.prefixes, POLICY_FIELDS.words)


def as_rule(conditions: Mapping[str, Any], fields: Fields = _STORED_FIELDS) -> Rule:
    return parse_conditions(conditions["all"], conditions["any"], fields)


def names(conditions: Mapping[str, Any]) -> frozenset[str]:
    """Of `SEGMENT` and `TEAM`, which they read: those can only be checked by who knows the ones there are. Raises
    Invalid for wrong conditions."""
    return frozenset(fields_read(checked(conditions, POLICY_FIELDS))) & {SEGMENT, TEAM}


def checked_with(conditions: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    """Raises Invalid where they name a segment or a team that is not there."""
    checked(conditions, replace(POLICY_FIELDS, words={**POLICY_FIELDS.words, **known}))


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
