"""Answers before a person answers: what is sent to who opens a ticket, and what came of it.

A message of the system carries them, which is no response: every clock runs on. `self_service` of the ticket says what
came of it, and goes back to `offered` where a ticket that was deflected is opened again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, exists, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.automations.service import excepted, is_on, rule_ref
from app.automations.tables import automations
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.knowledge import suggestions as suggesting
from app.knowledge.articles import for_members
from app.knowledge.tables import articles
from app.segments.membership_rows import segments_of
from app.sla.core.enums import AutomationKey
from app.sla.customer_context import CustomerContext
from app.tickets.lifecycle import Visibility
from app.tickets.messages import write_message
from app.tickets.schemas import SelfService
from app.tickets.tables import messages, ticket_offers

# How many suggestions come with a ticket.
MOST = 5

_a, _o, _m = articles.c, ticket_offers.c, messages.c
_KEY = AutomationKey.self_service_first
_RULE = Query(
    select(automations.c.settings, automations.c.version).where(
        is_on(_KEY),
        ~excepted(_KEY, bindparam("customer_id", type_=Uuid), bindparam("segment_ids", type_=ARRAY(Uuid))),
    )
)
_OFFER = Query(insert(ticket_offers), ["ticket_id", "article_id", "score", "offered_at"])
_helped = insert(ticket_offers)
_HELPED = Query(
    _helped.on_conflict_do_update(
        index_elements=["ticket_id", "article_id"], set_={"helped_at": _helped.excluded.helped_at}
    ),
    ["ticket_id", "article_id", "offered_at", "helped_at"],
)
_article_id, _ticket_id = bindparam("article_id", type_=Uuid), bindparam("ticket_id", type_=Uuid)
_SOLVING = Query(
    select(
        or_(
            exists().where(_o.ticket_id == _ticket_id, _o.article_id == _article_id),
            exists().where(
                _a.id == _article_id,
                _a.active,
                _a.archived_at.is_(None),
                for_members(segments_of(bindparam("customer_id", type_=Uuid))),
            ),
        ).label("known"),
        exists()
        .where(
            _m.ticket_id == _ticket_id,
            _m.author_kind == literal_column("'agent'"),
            _m.visibility == literal_column("'public'"),
        )
        .label("answered"),
    )
)


@dataclass(frozen=True, slots=True)
class Answers:
    """`suggestions` where they were asked for; `offered` is what the rule sends."""

    suggestions: list[dict[str, Any]] | None = None
    offered: Sequence[Row] = ()
    rule: Row | None = None


NONE = Answers()


async def answers(
    tx: Transaction, context: CustomerContext, text: str, language: str | None, *, first: bool, asked: bool
) -> Answers:
    """What may answer a new ticket: to be sent, where it is `first` for self-service and the customer is in such a
    segment; to be shown, where somebody `asked`. Reads nothing where neither is so."""
    segment_ids = [segment.id for segment in context.segments]
    rule = None
    if first and any(segment.self_service for segment in context.segments):
        rule = await tx.row(_RULE, customer_id=context.customer_id, segment_ids=segment_ids)
    if rule is None and not asked:
        return NONE
    found = await suggesting.suggest(tx, text, language, MOST, segment_ids=segment_ids)
    offered: list[Row] = []
    if rule is not None:
        offered = good_enough(found, rule["settings"])
    return Answers([suggesting.to_response(row) for row in found] if asked else None, offered, rule)


def good_enough(found: Sequence[Row], settings: Mapping[str, Any]) -> list[Row]:
    """Of suggestions, the best first, those that an automation with these settings sends."""
    return [row for row in found if row["score"] >= settings["min_score"]][: settings["most"]]


def keep(tx: Transaction, ticket_id: UUID, sent: Iterable[Row], now: datetime) -> None:
    """Queue that these articles were sent to a ticket, after the ticket."""
    for row in sent:
        tx.write(_OFFER, ticket_id=ticket_id, article_id=row["id"], score=row["score"], offered_at=now)


def as_text(sent: Iterable[Row]) -> list[str]:
    return [f"{row['title']}\n{row['body']}" for row in sent]


def send(tx: Transaction, ticket_id: UUID, made: Answers, language: str | None, now: datetime) -> None:
    """Queue the message that carries them, after the ticket."""
    if not made.offered or made.rule is None:
        return
    keep(tx, ticket_id, made.offered, now)
    text = _message(made.offered, made.rule["settings"]["introductions"], language or made.offered[0]["language"])
    extra_data = {**rule_ref(_KEY, made.rule["version"]), "article_ids": [row["id"] for row in made.offered]}
    write_message(tx, ticket_id, log.SYSTEM, Visibility.public, text, now, extra_data=extra_data)


def _message(offered: Sequence[Row], introductions: Mapping[str, str], language: str) -> str:
    """In the customer's language, as far as there are words in it."""
    tag = language.lower()
    introduction = introductions.get(tag) or introductions.get(tag.partition("-")[0])
    return "\n\n".join([*([introduction] if introduction else []), *as_text(offered)])


async def helped(
    tx: Transaction, ticket: Mapping[str, Any], article_id: UUID, now: datetime, *, person_wanted: bool
) -> dict[str, Any]:
    """Queue that an article helped; the columns of the ticket that say so. Raises Invalid for an article that its
    customer cannot have seen."""
    seen = await tx.row(_SOLVING, ticket_id=ticket["id"], article_id=article_id, customer_id=ticket["customer_id"])
    assert seen is not None
    if not seen["known"]:
        raise Invalid.at("/article_id", "unknown", "there is no such article for the ticket's customer")
    tx.write(_HELPED, ticket_id=ticket["id"], article_id=article_id, offered_at=now, helped_at=now)
    deflected = not (seen["answered"] or person_wanted)
    return {"needs_human": person_wanted, **({"self_service": SelfService.deflected} if deflected else {})}
