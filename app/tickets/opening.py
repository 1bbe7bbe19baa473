"""Opening tickets: by customers, for them, towards them, and as the follow-up of one that is closed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, exists, func, insert, literal_column, select, true
from uuid_utils.compat import uuid7

from app.agents.tables import agents, teams
from app.auth.dependencies import Actor
from app.automations import greetings
from app.automations import service as automations
from app.custom_fields import values as custom_fields
from app.custom_fields.schemas import Subject
from app.customers.tables import customers, organizations
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.outlook import queue_position
from app.outlook.texts import promised_text, spoken
from app.sla import broad_exceptions, clocks, policies
from app.sla.core.engine import replay
from app.sla.core.enums import AuthorKind, Status
from app.sla.core.timeline import Entry, Excepted, Opened, Promised
from app.sla.coverage import coverage_columns, coverage_data, exceptions_data
from app.sla.customer_context import (
    CustomerContext,
    add_to_segments,
    columns,
    context_from_row,
    fact_columns,
    load_contexts,
)
from app.tickets import article_offers, outlooks, overload_offers, participants, promises
from app.tickets.attribution import attribution
from app.tickets.lifecycle import LinkKind, Visibility
from app.tickets.links import add_link
from app.tickets.messages import NOT_FROM_CHANNEL, write_message
from app.tickets.permissions import author_of, check_opening, customer_of
from app.tickets.rematching import current_coverage
from app.tickets.schemas import CustomerRef, Opener, SelfService, TicketIn
from app.tickets.store import INSERT, LoadedTicket
from app.tickets.tables import NUMBERS, REMINDER, tickets
from app.web.schemas import fold
from app.web.taken import taken

_same = select(tickets.c.id).where(tickets.c.external_id == bindparam("external_id")).scalar_subquery()
_found, _known, _its = customers.alias("found"), customers.alias("known"), organizations.alias("its")


def known_parts() -> list[ColumnElement[bool]]:
    """Whether what a ticket refers to is there."""
    agent = exists().where(agents.c.id == bindparam("assignee_id"), agents.c.active)
    team = exists().where(teams.c.id == bindparam("team_id"))
    organization = exists().where(organizations.c.id == bindparam("organization_id"))
    return [agent.label("agent_known"), team.label("team_known"), organization.label("organization_known")]


@dataclass(frozen=True, slots=True)
class _Reads:
    """All that opening a ticket has to know, in one read; with the facts of its customer where some policy asks."""

    plain: Query
    with_facts: Query
    foretelling: Query
    foretelling_with_facts: Query

    def for_(self, tx: Transaction, *, foretell: bool = False) -> Query:
        if policies.facts_in_use(tx).customers:
            return self.foretelling_with_facts if foretell else self.with_facts
        return self.foretelling if foretell else self.plain


def _before_opening(customer: ColumnElement[bool]) -> _Reads:
    return _Reads(
        *(_reading(customer, *more, facts=facts) for more in ((), queue_position.columns()) for facts in (False, True))
    )


def _reading(customer: ColumnElement[bool], *more: ColumnElement[Any], facts: bool) -> Query:
    """Who was merged is the one they were merged into."""
    found = select(_found.c.id, _found.c.merged_into).where(customer).order_by(_found.c.created_at).limit(1).subquery()
    one = select(literal_column("1")).subquery("one")
    is_known = _known.c.id == func.coalesce(found.c.merged_into, found.c.id)
    whole = one.outerjoin(found, true()).outerjoin(_known, is_known)
    return Query(
        select(
            func.clock_timestamp().label("now"),
            NUMBERS.next_value().label("number"),
            policies.REVISION.label("revision"),
            custom_fields.REVISION.label("field_revision"),
            _same.label("same_external_id"),
            greetings.for_customer(_known.c).label("greeting"),
            overload_offers.THREATENED.label("threatened"),
            _known.c.id.label("customer_id"),
            _known.c.name.label("customer_name"),
            _known.c.language.label("customer_language"),
            _known.c.organization_id.label("customer_organization_id"),
            *known_parts(),
            *columns(_known.c),
            *(fact_columns(_known.c, _its.c) if facts else ()),
            *more,
        ).select_from(whole.outerjoin(_its, _its.c.id == _known.c.organization_id) if facts else whole)
    )


_BY_ID = _before_opening(_found.c.id == bindparam("customer"))
_BY_EXTERNAL_ID = _before_opening(_found.c.external_id == bindparam("customer"))
_BY_EMAIL = _before_opening(_found.c.email_folded == bindparam("customer"))
_SHARE_CUSTOMER = Query(
    select(customers.c.id).where(customers.c.id == bindparam("id")).with_for_update(read=True, key_share=True)
)
_INSERT_CUSTOMER = Query(
    insert(customers), ["id", "external_id", "name", "email", "email_folded", "created_at", "updated_at"]
)
# What a follow-up has in common with the ticket that it follows.
_KEPT = ("subject", "channel", "priority", "type", "organization_id", "team_id", "tags", "custom_fields", "product")
_NO_PARTS = {"assignee_id": None, "team_id": None, "organization_id": None}


async def open_ticket(
    tx: Transaction,
    actor: Actor,
    body: TicketIn,
    *,
    suggest: bool = False,
    foretell: bool = False,
    from_channel: Mapping[str, Any] = NOT_FROM_CHANNEL,
) -> dict[str, Any]:
    """One read, one write. The customer is made when not known yet. Only where answers are asked for, or are to come
    first, are they looked for: one read, or two. `foretell`, or a promise by `auto`: with its `outlook`."""
    ref = customer_of(actor, body.customer)
    await check_opening(tx, actor, body)
    reads, wanted = _lookup(ref)
    parts = {name: getattr(body, name) for name in _NO_PARTS}
    external_id = body.external_id
    foretell = foretell or body.promise is not None
    (seen,) = await tx.shared_rows(
        reads.for_(tx, foretell=foretell), customer=wanted, channel=body.channel, external_id=external_id, **parts
    )
    check_parts(seen, **parts)
    now: datetime = seen["now"]
    remind_at = body.remind_at
    if remind_at and not now < remind_at <= now + promises.FARTHEST:
        raise Invalid.at("/remind_at", "out_of_range", "a reminder is about the future, ten years of it at most")
    values = body.model_dump(exclude={"customer", "description", "remind_at", "promise"})
    values["custom_fields"] = await custom_fields.checked(
        tx, Subject.ticket, {}, body.custom_fields, ticket_type=body.type, revision=seen["field_revision"],
        by_customer=actor.is_customer,
    )  # fmt: skip
    if seen["same_external_id"]:
        raise taken(tickets.name, ["external_id"], seen["same_external_id"])
    context = await _context(tx, seen) if seen["customer_id"] else await _make_customer(tx, actor, ref, seen)
    values["organization_id"] = body.organization_id or seen["customer_organization_id"]
    name = seen["customer_name"] if seen["customer_id"] else ref.name
    by_customer = body.opened_by is Opener.customer
    made = await article_offers.answers(
        tx, context, f"{body.subject}\n{body.description or ''}", seen["customer_language"],
        first=by_customer, asked=suggest,
    )  # fmt: skip
    ticket = await _open(
        tx, actor, seen, context, name, values, body.description, remind_at, made, from_channel,
        rule=overload_offers.rule_for(seen["threatened"], context, values) if by_customer else None,
        foretell=foretell, promise=body.promise is not None,
    )  # fmt: skip
    return ticket if made.suggestions is None else {**ticket, "suggestions": made.suggestions}


async def share_customer(tx: Transaction, id: UUID) -> None:
    """Before the locks of tickets, for who may open one: nobody merges or erases the customer meanwhile."""
    await tx.locked_row(_SHARE_CUSTOMER, id=id)


async def follow_up(
    tx: Transaction,
    actor: Actor,
    locked: LoadedTicket,
    author: log.ActorRef,
    body: str,
    from_channel: Mapping[str, Any],
) -> dict[str, Any]:
    """Open a ticket of its own for what is said on a closed one, with the same participants; the message that opens
    it."""
    closed = locked.ticket
    parts = {**_NO_PARTS, "team_id": closed["team_id"]}
    customer_id, channel = closed["customer_id"], closed["channel"]
    seen = await tx.row(_BY_ID.for_(tx), customer=customer_id, channel=channel, external_id=None, **parts)
    assert seen is not None
    values = {name: value for name, value in closed.items() if name in _KEPT}
    values |= {
        "assignee_id": None, "external_id": None, "opened_by": AuthorKind.customer, "asks_confirmation": False,
    }  # fmt: skip
    ticket = await _open(tx, actor, seen, await _context(tx, seen), seen["customer_name"], values, None, None)
    message = write_message(
        tx, ticket["id"], author, Visibility.public, body, ticket["created_at"], opening=True,
        from_channel=from_channel,
    )  # fmt: skip
    tx.write(participants.COPY, source_id=closed["id"], target_id=ticket["id"])
    add_link(tx, log.actor_ref(actor), ticket["id"], closed["id"], LinkKind.follow_up_of, ticket["created_at"])
    return message


async def _open(
    tx: Transaction,
    actor: Actor,
    seen: Row,
    context: CustomerContext,
    customer_name: str | None,
    values: Mapping[str, Any],
    description: str | None,
    remind_at: datetime | None,
    made: article_offers.Answers = article_offers.NONE,
    from_channel: Mapping[str, Any] = NOT_FROM_CHANNEL,
    *,
    rule: overload_offers.Rule | None = None,
    foretell: bool = False,
    promise: bool = False,
) -> dict[str, Any]:
    now: datetime = seen["now"]
    opened_by = AuthorKind(values["opened_by"])
    greeting = await _greeting(tx, seen, context) if opened_by is AuthorKind.customer else None
    ticket: dict[str, Any] = {
        **values,
        "customer_id": context.customer_id,
        "segment": context.first_segment,
        "id": uuid7(),
        "number": seen["number"],
        "status": Status.new,
        "created_at": now,
        "updated_at": now,
        "greeted_at": now if greeting else None,
        "assigned_at": now if values["assignee_id"] else None,
        "self_service": SelfService.offered if made.offered else None,
        **_NOT_YET,
    }
    cover = await current_coverage(tx, seen["revision"], ticket, now, context)
    in_force = context.applicable_exceptions(await broad_exceptions.IN_FORCE.at(tx, seen["revision"]))
    granted = [each for each in in_force if each.begun(now) and not each.over(now)]
    excepted = [Excepted(now, tuple(granted))] if granted else []
    entries: list[Entry] = [*excepted, cover, Opened(now, opened_by)]
    after = replay(entries)
    who = log.actor_ref(actor)
    new = None
    if foretell or rule:
        new = await outlooks.of_new(tx, ticket, after.clocks, cover.policy, seen, read=foretell)
    told = {"outlook": outlooks.to_response(actor, new)} if new and foretell else {}
    promised = _promised(who, remind_at, new if promise else None)
    offer = await overload_offers.offer(tx, rule, context, ticket["subject"], description, new)
    if offer and offer.articles:
        ticket["self_service"] = SelfService.offered
    if promised:
        after = replay([*entries, Promised(now, promised[2])])
    ticket |= clocks.standing(after.clocks)
    applied = exceptions_data(granted) if granted else None
    # Whoever was removed meanwhile is somebody new.
    tx.write(INSERT, retry_on="fk_tickets_customer_id", **ticket, **coverage_columns(cover), exceptions=applied)
    if applied:
        # Told before the ticket is, and apart: customers read of its opening, and not of how they are grouped.
        extra_data = {"applied": applied, "because": "opened"}
        log.record(
            tx,
            log.SYSTEM,
            "sla.exceptions_applied",
            ticket["id"],
            now,
            extra_data,
            ticket_id=ticket["id"],
            internal=True,
        )
    data = {"opened_by": opened_by, "status": Status.new, **coverage_data(cover)}
    log.record(tx, who, "ticket.created", ticket["id"], now, data, ticket_id=ticket["id"])
    if promised:
        text, by_whom, promised_by = promised
        promises.write(tx, by_whom, ticket["id"], 1, text, promised_by, now)
    kept = attribution(ticket, context.region, cover.policy.id if cover.policy else None)
    clocks.write(tx, who, ticket["id"], {}, (), after.clocks, now, kept)
    _describe(tx, actor, ticket, description, from_channel)
    if greeting:
        _greet(tx, ticket, greeting, customer_name)
    article_offers.send(tx, ticket["id"], made, seen["customer_language"], now)
    if offer:
        told["outlook"] = overload_offers.send(tx, actor, ticket["id"], offer, now)
    log.stamp_version(tx, ticket["id"], 1)
    return {**ticket, "version": 1, "hidden_changes": 0, "seen_updated_at": None, **told}


def _promised(
    who: log.ActorRef, remind_at: datetime | None, new: outlooks.Foretold | None
) -> tuple[str, log.ActorRef, datetime] | None:
    """What, by whom, by when."""
    if remind_at:
        return REMINDER, who, remind_at
    promised_by = outlooks.sure(new) if new else None
    return (promised_text(spoken(new.waiting.language)), log.SYSTEM, promised_by) if new and promised_by else None


def _describe(
    tx: Transaction, actor: Actor, ticket: Mapping[str, Any], description: str | None, from_channel: Mapping[str, Any]
) -> None:
    if description is None:
        return
    by_customer = ticket["opened_by"] == AuthorKind.customer
    author = log.ActorRef("customer", ticket["customer_id"]) if by_customer else author_of(actor, None)
    write_message(
        tx, ticket["id"], author, Visibility.public, description, ticket["created_at"], opening=True,
        from_channel=from_channel,
    )  # fmt: skip


def _greet(tx: Transaction, ticket: Mapping[str, Any], greeting: tuple[str, int], customer_name: str | None) -> None:
    body, version = greeting
    write_message(
        tx, ticket["id"], log.SYSTEM, Visibility.public, greetings.filled(body, ticket, customer_name),
        ticket["created_at"], extra_data=automations.rule_ref(greetings.KEY, version),
    )  # fmt: skip


async def _greeting(tx: Transaction, seen: Row, context: CustomerContext) -> tuple[str, int] | None:
    """Of somebody new, that read could not know what keeps them from it."""
    greeting: tuple[str, int] | None = seen["greeting"]
    if greeting and not seen["customer_id"] and context.segments:
        return greeting if await automations.reaches(tx, greetings.KEY, context) else None
    return greeting


_NOT_YET: Mapping[str, Any] = {
    "resolved_at": None,
    "closed_at": None,
    "merged_into": None,
    "merged_from": [],
    "spam_at": None,
    "snoozed_until": None,
    "snooze_reason": None,
    "old_number": None,
    "needs_human": False,
    "handling_seconds": 0.0,
    "confirmed_at": None,
}


def _lookup(ref: CustomerRef) -> tuple[_Reads, object]:
    if ref.id:
        return _BY_ID, ref.id
    if ref.external_id:
        return _BY_EXTERNAL_ID, ref.external_id
    return _BY_EMAIL, fold(ref.email) if ref.email else None


async def _context(tx: Transaction, seen: Row) -> CustomerContext:
    id_: UUID = seen["customer_id"]
    # A policy that asks for more may be new to this process: then more is read.
    await policies.in_force(tx, seen["revision"])
    if policies.facts_in_use(tx).customers and "customer_fact_created_at" not in seen:
        return (await load_contexts(tx, [id_]))[id_]
    return await context_from_row(tx, id_, seen)


async def _make_customer(tx: Transaction, actor: Actor, ref: CustomerRef, seen: Row) -> CustomerContext:
    if ref.id:
        raise Invalid.at("/customer/id", "unknown", "there is no customer with this id")
    id_, now = uuid7(), seen["now"]
    folded = fold(ref.email) if ref.email else None
    # Another caller may be making the same customer: then this unit is run again and finds theirs.
    constraint = "uq_customers_external_id" if ref.external_id else "uq_customers_email_folded"
    tx.write(
        _INSERT_CUSTOMER, retry_on=constraint,
        id=id_, external_id=ref.external_id, name=ref.name, email=ref.email, email_folded=folded, created_at=now,
        updated_at=now,
    )  # fmt: skip
    known = {"external_id": ref.external_id, "name": ref.name, "email": ref.email}
    log.record(tx, log.actor_ref(actor), "customer.created", id_, now, {"after": known})
    return await add_to_segments(tx, log.actor_ref(actor), id_, known, seen["segment_revision"], now)


def check_parts(
    seen: Row, assignee_id: UUID | None = None, team_id: UUID | None = None, organization_id: UUID | None = None
) -> None:
    """Raises Invalid for what `known_parts` did not find."""
    if assignee_id and not seen["agent_known"]:
        raise Invalid.at("/assignee_id", "unknown", "there is no active agent with this id")
    if team_id and not seen["team_known"]:
        raise Invalid.at("/team_id", "unknown", "there is no team with this id")
    if organization_id and not seen["organization_known"]:
        raise Invalid.at("/organization_id", "unknown", "there is no organization with this id")
