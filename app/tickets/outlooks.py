"""What a customer who waits is told: what is promised, where they stand, and by when an answer is likely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, cast, func, select

from app.auth.dependencies import Actor
from app.customers.tables import customers
from app.db import Query, Transaction, Values
from app.outlook import queue_position
from app.outlook.queue_position import Standing
from app.outlook.schemas import OutlookGap
from app.outlook.texts import Facts, in_words, spoken
from app.release import understood, word
from app.sla import calendars, clocks, policies
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import Clock
from app.sla.core.enums import Metric, Priority
from app.sla.core.outlook import SAID, Outlook
from app.sla.core.policy import Policy
from app.sla.tables import sla_clocks
from app.tickets.queries import get_whole_ticket
from app.tickets.tables import overload_offers, ticket_offers, tickets

_c = sla_clocks.c
_RESPONSES = (Metric.first_response, Metric.next_response)
_OF_TICKET = Query(
    select(_c.id, *(_c[name] for name in clocks.LOADED))
    .where(_c.ticket_id == bindparam("ticket_id"), _c.ended_at.is_(None))
    .order_by(_c.started_at, _c.id)
)
_articles = (
    select(func.array_agg(ticket_offers.c.article_id, type_=ARRAY(Uuid)))
    .where(ticket_offers.c.ticket_id == tickets.c.id)
    .scalar_subquery()
)
_OFFERED = ("offered_at", "choices", "call_back_by", "chosen", "chosen_at")
_CUSTOMER = Query(
    select(
        customers.c.language,
        func.clock_timestamp().label("now"),
        func.coalesce(_articles, cast([], ARRAY(Uuid))).label("article_ids"),
        *(overload_offers.c[name] for name in _OFFERED),
    )
    .select_from(
        tickets.join(customers, tickets.c.customer_id == customers.c.id).outerjoin(
            overload_offers, overload_offers.c.ticket_id == tickets.c.id
        )
    )
    .where(tickets.c.id == bindparam("ticket_id"))
)
_NAMES = [f"p{round(100 * share)}" for share in SAID]
# Nothing is promised by the instant at which it is promised.
_SHORTEST_SECONDS = 1.0
_TICK = timedelta(microseconds=1)
# Whatever is open that long never closes, as far as anybody asks.
_FAR = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A ticket for whose customer an outlook is made. `clock` is that of the answer they wait for, if they do."""

    ticket_id: UUID
    priority: Priority
    clock: Clock | None
    policy: Policy | None
    language: str | None
    now: datetime

    @property
    def calendar(self) -> BusinessCalendar | None:
        return (self.policy and self.policy.calendar) or (self.clock and self.clock.terms.calendar)

    @property
    def zone(self) -> str:
        return self.calendar.timezone if self.calendar else "UTC"

    def later(self, seconds: float) -> datetime:
        """When so much of the clock's own time has passed."""
        assert self.clock is not None
        return self.clock.later(self.now, seconds)

    @property
    def gap(self) -> OutlookGap | None:
        if self.clock is None:
            return OutlookGap.nobody_waits
        if self.clock.metric is not Metric.first_response:
            return OutlookGap.not_the_first
        return OutlookGap.paused if self.clock.paused else None


@dataclass(frozen=True, slots=True)
class Foretold:
    """`stands` where they wait for a first answer, `likely` where enough is known. `offer` is what they may choose."""

    waiting: Waiting
    stands: Standing | None = None
    likely: Outlook | None = None
    offer: Mapping[str, Any] | None = None


async def get_outlook(tx: Transaction, actor: Actor, ticket_id: UUID, zone: str | None) -> dict[str, Any]:
    """As it is now. Raises NotFound, also where a customer does not see the ticket."""
    return to_response(actor, await foretell(tx, await get_whole_ticket(tx, actor, ticket_id)), zone)


async def foretell(tx: Transaction, ticket: Values) -> Foretold:
    """Of a ticket that is there, by its whole row."""
    rows = await tx.rows(_OF_TICKET, ticket_id=ticket["id"])
    known = await calendars.versions_of(tx, rows)
    running = list(understood(lambda row: (row["id"], clocks.as_clock(row, known)), rows))
    clock_id, clock = next(((id_, each) for id_, each in running if each.metric in _RESPONSES), (None, None))
    customer = await tx.row(_CUSTOMER, ticket_id=ticket["id"])
    assert customer is not None  # a customer with a ticket is never deleted
    policy = await policies.version(tx, ticket["policy_id"], ticket["policy_version"], ticket["calendar_version"])
    waiting = Waiting(
        ticket["id"], word(Priority, ticket["priority"]), clock, policy, customer["language"], customer["now"]
    )  # fmt: skip
    offer = None
    if customer["offered_at"] and clock and clock.metric is Metric.first_response:
        offer = {name: customer[name] for name in (*_OFFERED, "article_ids")}
    if clock is None or clock_id is None or waiting.gap:
        return Foretold(waiting, offer=offer)
    stands = await queue_position.of_waiting(tx, clock.due_at, clock_id)
    return Foretold(waiting, stands, await queue_position.likely(tx, waiting.priority, stands), offer)


async def of_new(
    tx: Transaction, ticket: Values, clocks_: Sequence[Clock], policy: Policy | None, seen: Values, *, read: bool
) -> Foretold:
    """Of a ticket that is being opened, by what was `seen` for it; the columns of `queue_position` are read here unless
    they are `read`."""
    language: str | None = seen["customer_language"]
    clock = next((each for each in clocks_ if each.metric is Metric.first_response), None)
    waiting = Waiting(ticket["id"], Priority(ticket["priority"]), clock, policy, language, ticket["created_at"])
    if clock is None or waiting.gap:
        return Foretold(waiting)
    row = seen if read else await queue_position.read_newcomer(tx)
    stands = queue_position.of_newcomer(row, clock.due_at)
    return Foretold(waiting, stands, await queue_position.likely(tx, waiting.priority, stands))


def sure(of: Foretold) -> datetime | None:
    """By when an answer comes as surely as anything is said: what may be promised. None where too little is known."""
    return of.waiting.later(max(of.likely.by[-1], _SHORTEST_SECONDS)) if of.likely else None


def _likely_by(waiting: Waiting, likely: Outlook) -> dict[str, datetime]:
    return {name: waiting.later(seconds) for name, seconds in zip(_NAMES, likely.by, strict=True)}


def to_response(actor: Actor, of: Foretold, zone: str | None = None) -> dict[str, Any]:
    """What was promised is told without any exception: that changes our figures, not what somebody was promised."""
    waiting, stands, likely = of.waiting, of.stands, of.likely
    clock, now, calendar = waiting.clock, waiting.now, waiting.calendar
    zone = zone or waiting.zone
    shown = not actor.is_customer or (waiting.policy is not None and waiting.policy.shown_to_customers)
    promised_by = clock.unrelieved_due_at if clock and shown else None
    by = _likely_by(waiting, likely) if likely else None
    language = spoken(waiting.language)
    place = stands.place if stands else None
    hours = _hours(calendar, now)
    seconds = clock.terms.seconds if clock and promised_by else None
    facts = Facts(
        now=now, waits=clock is not None, first=waiting.gap is not OutlookGap.not_the_first, promised_by=promised_by,
        seconds=seconds, business=bool(clock and clock.terms.calendar), ahead=None if place is None else place - 1,
        likely=(by["p50"], by["p95"]) if by else None, **hours,
    )  # fmt: skip
    return {
        "ticket_id": waiting.ticket_id,
        "at": now,
        "language": language,
        "timezone": zone,
        "text": in_words(facts, language, zone),
        "promised_by": promised_by,
        "promised_seconds": seconds,
        "place_in_queue": place,
        "chance_within_target": _chance(waiting, promised_by, likely),
        "likely_by": by,
        "why": waiting.gap or (None if likely else OutlookGap.too_little_known),
        "offer": of.offer and {**of.offer, "call_back_by": of.offer["call_back_by"] or sure(of)},
        **{f"service_{name}": value for name, value in hours.items()},
    }


def _chance(waiting: Waiting, promised_by: datetime | None, likely: Outlook | None) -> float | None:
    if waiting.clock is None or promised_by is None or likely is None:
        return None
    left = waiting.clock.span(waiting.now, promised_by).total_seconds()
    return round(likely.within(left), 3) if promised_by >= waiting.now else 0.0


def _hours(calendar: BusinessCalendar | None, now: datetime) -> dict[str, Any]:
    """Whether the service is open, and when that changes."""
    if calendar is None:
        return {"open": True, "opens_at": None, "closes_at": None}
    if calendar.is_open(now):
        _, until = next(calendar.intervals(now, now + _FAR))
        return {"open": True, "opens_at": None, "closes_at": until if until < now + _FAR else None}
    return {"open": False, "opens_at": calendar.after(now, _TICK) - _TICK, "closes_at": None}
