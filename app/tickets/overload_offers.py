"""Overload without bad service: who opens a ticket while a goal is about to be missed, and others wait before them, is
offered an article, a call back that is promised, or the wait, as the automation's settings say for their segment.

The ticket stays in the queue and every clock runs on, whatever they choose; a person is to be had by `hand_off`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Interval,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal_column,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.auth.dependencies import Actor
from app.automations import service as automations
from app.automations.tables import automations as rules
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict
from app.events import log
from app.knowledge import suggestions
from app.outlook.schemas import OfferChosen
from app.outlook.texts import call_back_text, offered_in_words, spoken
from app.sla.core.enums import AutomationKey, Metric, OfferChoice
from app.sla.core.timeline import Promised
from app.sla.customer_context import CustomerContext
from app.tickets import article_offers, outlooks, promises
from app.tickets.changes import TicketChange, save
from app.tickets.lifecycle import Visibility
from app.tickets.messages import write_message
from app.tickets.outlooks import Foretold
from app.tickets.participants import check_asked
from app.tickets.store import lock_ticket
from app.tickets.tables import overload_offers


class NothingOffered(Conflict):
    """Its customer was not offered this when they wrote, does not wait for the first answer any more, or has a call
    back that is promised. They may ask for a person at any time."""

    code = "nothing_offered"
    title = "Nothing is offered"


KEY = AutomationKey.overload_offer
# A higher feature's tables, by name.
_goals = table("service_goals", column("id", Uuid), column("metric"), column("filter", JSONB)).alias("goal")
_states = table(
    "service_goal_states", column("goal_id", Uuid), column("standing"), column("crosses_at", DateTime(timezone=True))
).alias("state")
_before = cast(rules.c.settings["before_seconds"].astext, Interval)
_threatened = (
    select(func.jsonb_agg(func.jsonb_build_object("id", _goals.c.id, "filter", _goals.c.filter)))
    .select_from(_goals.join(_states, _states.c.goal_id == _goals.c.id))
    .where(
        _goals.c.metric == literal_column("'first_response'"),
        or_(
            _states.c.standing == literal_column("'missed'"),
            _states.c.crosses_at <= func.clock_timestamp() + _before,
        ),
    )
    .correlate(rules)
    .scalar_subquery()
)
# Of the read of what is opened: the rule and the goals, or null where the rule is off.
THREATENED: ColumnElement[Any] = (
    select(
        func.jsonb_build_object(
            "settings", rules.c.settings, "version", rules.c.version, "goals", _threatened, type_=JSONB
        )
    )
    .where(automations.is_on(KEY))
    .scalar_subquery()
)
_o = overload_offers.c
_INSERT = Query(insert(overload_offers), ["ticket_id", "goal_id", "choices", "offered_at"])
_GET = Query(select(overload_offers).where(_o.ticket_id == bindparam("ticket_id", type_=Uuid)))
_CHOOSE = Query(
    update(overload_offers).where(_o.ticket_id == bindparam("key_id")), ["chosen", "chosen_at", "call_back_by"]
)
_INSTEAD = Query(update(overload_offers).where(_o.ticket_id == bindparam("key_id")), ["chosen", "chosen_at"])


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be offered to who opens a ticket, and because of which goal."""

    goal_id: UUID
    choices: Sequence[str]
    settings: Mapping[str, Any]
    version: int


@dataclass(frozen=True, slots=True)
class Offer:
    rule: Rule
    choices: Sequence[str]
    articles: Sequence[Row]
    call_back_by: datetime | None
    foretold: Foretold


def rule_for(threatened: Mapping[str, Any] | None, context: CustomerContext, ticket: Values) -> Rule | None:
    """From a read with `THREATENED`: None where no goal that judges such a ticket is about to be missed, or where
    nothing is to be offered to the customer's segment. Pure."""
    if threatened is None:
        return None
    about = {**ticket, "segment": context.first_segment, "region": context.region}
    goal = next((each for each in threatened["goals"] or () if _judges(each["filter"], about)), None)
    settings = threatened["settings"]
    of_segments: Mapping[str, Sequence[str]] = settings["segment_choices"]
    theirs = [of_segments[segment.key] for segment in context.segments if segment.key in of_segments]
    choices = theirs[0] if theirs else settings["choices"]
    if goal is None or not choices:
        return None
    return Rule(UUID(goal["id"]), choices, settings, threatened["version"])


def _judges(filter_: Mapping[str, Any], about: Values) -> bool:
    return all(str(about[name]) == str(value) for name, value in filter_.items() if name in about)


async def offer(
    tx: Transaction,
    rule: Rule | None,
    context: CustomerContext,
    subject: str,
    description: str | None,
    new: Foretold | None,
) -> Offer | None:
    """What can be kept of the rule: None where nobody waits before them, or an exception keeps it away."""
    if not (rule and new and new.stands and new.stands.ahead) or not await automations.reaches(tx, KEY, context):
        return None
    articles: list[Row] = []
    if OfferChoice.article in rule.choices:
        ids = [segment.id for segment in context.segments]
        text = f"{subject}\n{description or ''}"
        found = await suggestions.suggest(tx, text, new.waiting.language, article_offers.MOST, segment_ids=ids)
        articles = article_offers.good_enough(found, rule.settings)
    by = outlooks.sure(new)
    possible = {OfferChoice.article: bool(articles), OfferChoice.call_back: by is not None, OfferChoice.wait: True}
    choices = [choice for choice in OfferChoice if choice in rule.choices and possible[choice]]
    return Offer(rule, choices, articles, by, new) if choices else None


def send(tx: Transaction, actor: Actor, ticket_id: UUID, made: Offer, now: datetime) -> dict[str, Any]:
    """Queue the offer and the message that tells of it, after the ticket. The outlook with it."""
    tx.write(_INSERT, ticket_id=ticket_id, goal_id=made.rule.goal_id, choices=made.choices, offered_at=now)
    log.record(
        tx, log.SYSTEM, "ticket.overload_offered", ticket_id, now,
        {"choices": made.choices, "goal_id": made.rule.goal_id, **automations.rule_ref(KEY, made.rule.version)},
        ticket_id=ticket_id,
    )  # fmt: skip
    article_offers.keep(tx, ticket_id, made.articles, now)
    waiting = made.foretold.waiting
    ids = [row["id"] for row in made.articles]
    told = offered_in_words(made.choices, made.call_back_by, spoken(waiting.language), waiting.zone)
    body = "\n\n".join([told, *article_offers.as_text(made.articles)])
    extra_data = {**automations.rule_ref(KEY, made.rule.version), "article_ids": ids}
    write_message(tx, ticket_id, log.SYSTEM, Visibility.public, body, now, extra_data=extra_data)
    offer = {
        "offered_at": now, "choices": made.choices, "article_ids": ids, "call_back_by": None, "chosen": None,
        "chosen_at": None,
    }  # fmt: skip
    return outlooks.to_response(actor, replace(made.foretold, offer=offer))


async def choose(tx: Transaction, actor: Actor, ticket_id: UUID, choice: OfferChoice) -> dict[str, Any]:
    """The outlook after it. A call back is promised by what is likely now. Chosen again, nothing changes.

    Raises NothingOffered."""
    locked = await lock_ticket(tx, actor, ticket_id)
    check_asked(actor, locked.ticket)
    row = await tx.row(_GET, ticket_id=ticket_id)
    waits = any(each.metric is Metric.first_response and each.ended_at is None for each in locked.state.clocks)
    if row is None or choice not in row["choices"] or not waits:
        raise NothingOffered(f"{choice} is not offered on this ticket now")
    if row["chosen"] != choice:
        if row["call_back_by"]:
            raise NothingOffered("a call back is promised: it stays, and is kept or withdrawn by us")
        change = TicketChange(locked, log.actor_ref(actor))
        by = await _promise(tx, change) if choice is OfferChoice.call_back else None
        tx.write(_CHOOSE, key_id=ticket_id, chosen=choice, chosen_at=locked.now, call_back_by=by)
        change.record("ticket.overload_chosen", {"choice": choice, "call_back_by": by})
        save(tx, change)
        await tx.flush()
    return await outlooks.get_outlook(tx, actor, ticket_id, None)


async def _promise(tx: Transaction, change: TicketChange) -> datetime:
    new = await outlooks.foretell(tx, change.ticket)
    by = outlooks.sure(new)
    if by is None:
        raise NothingOffered("too little is known now to promise a call back")
    made = [clock.cycle for clock in change.loaded.state.clocks if clock.metric is Metric.promise]
    text = call_back_text(spoken(new.waiting.language))
    promises.write(tx, log.SYSTEM, change.id, max(made, default=0) + 1, text, by, change.now, change)
    change.add(Promised(change.now, by))
    return by


def chosen_instead(tx: Transaction, ticket_id: UUID, chosen: OfferChosen, now: datetime) -> None:
    """Queue that its customer asked for a person, or that an article helped, if anything was offered."""
    tx.write(_INSTEAD, key_id=ticket_id, chosen=chosen, chosen_at=now)
