"""What the conditions of a policy may read: the ticket, its customer and their organization, and the segments that the
customer belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select

from app.agents.tables import teams
from app.db import Query, Transaction
from app.errors import Invalid
from app.segments import service as segments
from app.segments.fields import FIGURES, OF_CUSTOMERS
from app.segments.possible import possible
from app.segments.rules import Fields, FieldType, Memberships, Rule, RuleError, fields_read, parse_conditions
from app.sla.core.enums import Channel, Priority, TicketType
from app.sla.schemas.types import Product
from app.web.schemas import Key, Line

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
)
WORDS: Mapping[str, Sequence[str]] = {
    "ticket.priority": [word.value for word in Priority],
    "ticket.type": [word.value for word in TicketType],
    "ticket.channel": [word.value for word in Channel],
}
_FORMS = {
    "ticket.subject": TypeAdapter(Line), "ticket.product": TypeAdapter(Product), "ticket.tags": TypeAdapter(Key),
}  # fmt: skip
SEGMENT, TEAM = "segment", "ticket.team_id"
POLICY_FIELDS = Fields(
    {**TICKET_FIELDS.exact, **OF_CUSTOMERS.exact, SEGMENT: FieldType.MEMBERSHIP},
    {**TICKET_FIELDS.prefixes, **OF_CUSTOMERS.prefixes},
)
_TEAMS = Query(select(teams.c.id).order_by(teams.c.key))


def as_rule(conditions: Mapping[str, Any], fields: Fields = POLICY_FIELDS) -> Rule:
    """As it is stored: what no ticket can have is read, too, and never holds."""
    return parse_conditions(conditions["all"], conditions["any"], fields)


async def check(tx: Transaction, conditions: Mapping[str, Any]) -> None:
    """Raises Invalid for what no policy can read, and for what no ticket can have."""
    rule = _checked(conditions, POLICY_FIELDS)
    read = fields_read(rule)
    words = dict(WORDS)
    if SEGMENT in read:
        words[SEGMENT] = [segment.key for segment in (await segments.IN_FORCE.now(tx)).values()]
    if TEAM in read:
        words[TEAM] = [str(row["id"]) for row in await tx.rows(_TEAMS)]
    _checked(conditions, await possible(tx, POLICY_FIELDS, rule, words, _FORMS))


def _checked(conditions: Mapping[str, Any], fields: Fields) -> Rule:
    try:
        return as_rule(conditions, fields)
    except RuleError as wrong:
        if wrong.code == "unknown_field" and _is_figure(conditions, fields, wrong.pointer):
            raise Invalid.at(
                f"/conditions{wrong.pointer}", "history_figure",
                "no policy reads figures of a customer's history: make a segment of them, and ask for that",
            ) from None  # fmt: skip
        raise Invalid.at(f"/conditions{wrong.pointer}", wrong.code, wrong.detail) from None


def _is_figure(conditions: Mapping[str, Any], fields: Fields, pointer: str) -> bool:
    try:
        as_rule(conditions, replace(fields, exact={**fields.exact, **FIGURES}))
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
