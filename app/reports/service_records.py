"""What a customer or an organization got of the service: what somebody should know before they call them. Of their
tickets as these are theirs now, the newest ones."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Integer, Uuid, and_, any_, bindparam, extract, func, or_, select
from sqlalchemy import literal_column as word
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.customers.service.customers import CUSTOMERS
from app.customers.service.organizations import ORGANIZATIONS
from app.db import Query, Transaction
from app.reports.service_record_schemas import ServiceRecordQuery
from app.sla.clocks import states
from app.sla.tables import sla_clocks
from app.tickets.promise_schemas import PromiseState
from app.tickets.promises import STATES
from app.tickets.quality_tables import ticket_resolutions
from app.tickets.satisfaction_schemas import Expectation
from app.tickets.tables import promises, tickets

MOST = 5_000
_MOST_PROMISES = 20
_NEEDED = (
    "id", "created_at", "customer_id", "product", "type", "status", "opened_by", "spam_at", "merged_into",
)  # fmt: skip
_t, _k, _p, _r = tickets.c, sla_clocks.c, promises.c, ticket_resolutions.c
_now = bindparam("now", type_=DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class _Statements:
    tickets: Query
    first_responses: Query
    promises: Query
    unkept: Query
    satisfaction: Query


def _statements(owner: ColumnElement[Any]) -> _Statements:
    # So many are looked at, whatever is left out of them then.
    newest = (
        select(*(_t[name] for name in _NEEDED))
        .where(owner == bindparam("owner", type_=Uuid), _t.created_at >= bindparam("since", type_=_t.created_at.type))
        .order_by(_t.created_at.desc(), _t.id.desc())
        .limit(word(str(MOST)))
        .subquery("tickets")
    )
    n = newest.c
    counted = (n.spam_at.is_(None), n.merged_into.is_(None))
    by_customer = n.opened_by == word("'customer'")
    before = func.lag(n.created_at).over(
        partition_by=(n.customer_id, n.product, by_customer, *counted), order_by=(n.created_at, n.id)
    )
    each = select(newest, before.label("before")).subquery("tickets").c
    own = (each.spam_at.is_(None), each.merged_into.is_(None))
    complains = each.type == word("'complaint'")
    is_open = each.status.not_in([word("'resolved'"), word("'closed'")])
    asked = each.opened_by == word("'customer'")
    repeated = each.created_at <= each.before + func.make_interval(0, 0, 0, bindparam("within_days", type_=Integer))

    def count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(*own, *conditions)

    first = and_(_k.ticket_id == n.id, _k.metric == word("'first_response'"), _k.cycle == word("1"))
    its_clock = and_(_k.ticket_id == _p.ticket_id, _k.metric == word("'promise'"), _k.cycle == _p.cycle)
    promised = newest.join(promises, _p.ticket_id == n.id).join(sla_clocks, its_clock)
    of_clock = states(_p.due_at, _now)
    told = {state: or_(*(of_clock[each] for each, told in STATES.items() if told is state)) for state in PromiseState}
    last = aggregate_order_by(_r.score, _r.rated_at.desc(), _r.id.desc())
    named = {"met": _r.met, "missed": _r.missed}
    return _Statements(
        Query(
            select(
                func.count().label("seen"),
                count().label("tickets"),
                count(is_open).label("open"),
                count(complains).label("complaints"),
                count(complains, is_open).label("complaints_open"),
                func.max(each.created_at).filter(*own, complains).label("complained_at"),
                count(asked).label("contacts"),
                count(asked, repeated).label("repeated"),
            )
        ),
        Query(
            select(
                func.count(_k.stopped_at).label("answered"),
                extract("epoch", func.avg(_k.elapsed).filter(_k.stopped_at.is_not(None))).label("mean_seconds"),
                func.count().filter(_k.ended_at.is_(None)).label("waiting"),
            )
            .select_from(newest.join(sla_clocks, first))
            .where(*counted)
        ),
        Query(
            select(*(func.count().filter(is_it).label(state) for state, is_it in told.items()))
            .select_from(promised)
            .where(*counted)
        ),
        Query(
            select(
                _p.id, _p.ticket_id, _p.text, _p.due_at,
                told[PromiseState.broken].label("broken"),
            )
            .select_from(promised)
            .where(*counted, or_(told[PromiseState.open], told[PromiseState.broken]))
            .order_by(_p.due_at.desc(), _p.id.desc())
            .limit(word(str(_MOST_PROMISES)))
        ),
        Query(
            select(
                func.count().label("given"),
                func.avg(_r.score).label("mean_score"),
                func.max(_r.rated_at).label("last_given_at"),
                func.array_agg(last).label("scores"),
                *(
                    func.count().filter(word(f"'{each}'") == any_(words)).label(f"{name}_{each}")
                    for name, words in named.items()
                    for each in Expectation
                ),
            )
            .select_from(newest.join(ticket_resolutions, _r.ticket_id == n.id))
            .where(*counted, _r.score.is_not(None))
        ),
    )  # fmt: skip


_OF_CUSTOMER, _OF_ORGANIZATION = _statements(_t.customer_id), _statements(_t.organization_id)


async def of_customer(tx: Transaction, id: UUID, query: ServiceRecordQuery) -> dict[str, Any]:
    """Raises NotFound. The transaction must read a snapshot. Cost: their newest tickets, `MOST` at most."""
    customer = await CUSTOMERS.get(tx, id)
    id_ = customer["merged_into"] or id
    return {"customer_id": id_, "organization_id": None, **await _record(tx, _OF_CUSTOMER, id_, query)}


async def of_organization(tx: Transaction, id: UUID, query: ServiceRecordQuery) -> dict[str, Any]:
    """As `of_customer`, of the tickets that belong to it."""
    await ORGANIZATIONS.get(tx, id)
    return {"customer_id": None, "organization_id": id, **await _record(tx, _OF_ORGANIZATION, id, query)}


async def _record(tx: Transaction, of: _Statements, owner: UUID, query: ServiceRecordQuery) -> dict[str, Any]:
    now = await tx.now()
    since = now - timedelta(days=query.days)
    given = {"owner": owner, "since": since, "now": now, "within_days": query.within_days}
    # Each is one row of figures.
    [counted], [answered], [promised], [rated] = [
        await tx.rows(each, **given) for each in (of.tickets, of.first_responses, of.promises, of.satisfaction)
    ]
    unkept = [
        {**row, "state": PromiseState.broken if row["broken"] else PromiseState.open}
        for row in await tx.rows(of.unkept, **given)
    ]
    expectations = [
        {"expectation": each, "met": rated[f"met_{each}"], "missed": rated[f"missed_{each}"]} for each in Expectation
    ]
    return {
        "since": since,
        "until": now,
        "complete": counted["seen"] < MOST,
        "tickets": counted["tickets"],
        "open": counted["open"],
        "promises": {**promised, "unkept": unkept},
        "complaints": {
            "total": counted["complaints"], "open": counted["complaints_open"], "last_at": counted["complained_at"],
        },
        "satisfaction": {
            **rated, "last_score": (rated["scores"] or [None])[0], "expectations": expectations,
        },
        "contacts": {"contacts": counted["contacts"], "repeated": counted["repeated"]},
        "first_response": dict(answered),
    }  # fmt: skip
