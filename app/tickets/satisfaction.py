"""What a customer says of how their ticket was resolved, once for each resolution. The ticket is not changed by it."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column, select, update

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid
from app.events import log
from app.sla.core.enums import DONE
from app.tickets import quotas
from app.tickets.participants import check_asked
from app.tickets.quality_tables import ticket_resolutions as resolutions
from app.tickets.queries import get_ticket
from app.tickets.satisfaction_schemas import SatisfactionIn
from app.tickets.store import lock_ticket
from app.web.paging import Listing, Order, is_any


class NothingToRate(Conflict):
    """Satisfaction is with a resolution: of a ticket that is resolved or closed, and neither spam nor merged."""

    code = "nothing_to_rate"
    title = "The ticket is not resolved"


class SatisfactionGiven(Conflict):
    """It is given once for each resolution. Where the ticket is opened and resolved again, it is given again."""

    code = "satisfaction_given"
    title = "Satisfaction was given before"


_r = resolutions.c
_LAST = Query(
    select(_r.id, _r.resolved_at, _r.score)
    .where(_r.ticket_id == bindparam("ticket_id"), _r.reopened_at.is_(None))
    .order_by(_r.resolved_at.desc(), _r.id.desc())
    .limit(literal_column("1"))
)
_RATE = Query(
    update(resolutions).where(_r.id == bindparam("key_id")), ["score", "comment", "met", "missed", "rated_at"]
)
_SHOWN = ("id", "ticket_id", "resolved_at", "rated_at", "score", "comment", "met", "missed")
ROWS = select(*(_r[name] for name in _SHOWN)).where(_r.score.is_not(None))
LISTING = Listing(
    "satisfaction", ROWS, {"ticket_id": is_any(_r.ticket_id)}, {"resolved_at": Order((_r.resolved_at, _r.id))}
)


async def give(tx: Transaction, actor: Actor, ticket_id: UUID, body: SatisfactionIn) -> dict[str, Any]:
    """By the customer who asked, or by a service or an administrator who passes on what they said: whoever works on
    tickets does not rate them."""
    if actor.role in (Role.agent, Role.lead):
        raise Forbidden("how satisfied a customer is, is theirs to say")
    _check_expectations(body)
    locked = await lock_ticket(tx, actor, ticket_id)
    check_asked(actor, locked.ticket)
    found = await tx.row(_LAST, ticket_id=ticket_id)
    if locked.ticket["status"] not in DONE or locked.ticket["spam_at"] or locked.ticket["merged_into"] or not found:
        raise NothingToRate("say it once the ticket is resolved")
    if found["score"] is not None:
        raise SatisfactionGiven("it was given for this resolution")
    who = log.actor_ref(actor)
    # What they say is theirs, whoever passes it on.
    author = log.ActorRef("customer", locked.ticket["customer_id"]) if actor.is_customer else who
    quotas.count(tx, ticket_id, author, len((body.comment or "").encode()), locked.now)
    values = {**body.model_dump(), "rated_at": locked.now}
    tx.write(_RATE, key_id=found["id"], **values)
    data = {"resolved_at": found["resolved_at"], "score": body.score, "met": body.met, "missed": body.missed}
    # Who takes part in the ticket is not told.
    log.record(
        tx, who, "satisfaction.given", found["id"], locked.now, data, ticket_id=ticket_id, internal=True
    )  # fmt: skip
    return to_response({"id": found["id"], "ticket_id": ticket_id, "resolved_at": found["resolved_at"], **values})


async def check_reading(tx: Transaction, actor: Actor, ticket_id: UUID) -> Row:
    """The ticket. Raises NotFound, and Forbidden for customers who did not ask."""
    ticket = await get_ticket(tx, actor, ticket_id)
    check_asked(actor, ticket)
    return ticket


def to_response(row: Values) -> dict[str, Any]:
    return {**row, "given_at": row["rated_at"]}


def _check_expectations(body: SatisfactionIn) -> None:
    seen = set[str]()
    for name, words in (("met", body.met), ("missed", body.missed)):
        for place, word in enumerate(words):
            if word in seen:
                raise Invalid.at(f"/{name}/{place}", "twice", f"{word} is named before: it was met or missed, once")
            seen.add(word)
