"""The statements of the report on quality: one for each of its parts, over the rows of the part that lie in the span.
All of them have the same keys: the interval, and the groups.

Whose a row is and what about are its own columns, kept when it happened; of clocks that still run, the ticket's."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Interval,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)

from app.db import Query
from app.reports import grouping
from app.reports.clock_figures import ATTRIBUTES_OF_CLOCKS
from app.reports.schemas import GroupBy
from app.reports.schemas import Interval as Each
from app.sla.clocks import states
from app.sla.core.enums import Metric, TicketType
from app.sla.tables import sla_clocks
from app.tickets.promise_schemas import PromiseState
from app.tickets.promises import STATES
from app.tickets.quality import SolvedBy
from app.tickets.quality_tables import handlings, person_requests, ticket_resolutions
from app.tickets.satisfaction_schemas import Expectation
from app.tickets.tables import promises, tickets

SATISFIED = 4
SCORES = range(1, 6)
COMES_BACK = "90 days"
_INSTANT = DateTime(timezone=True)
_from, _to = bindparam("from_", type_=_INSTANT), bindparam("to", type_=_INSTANT)
_now = bindparam("now", type_=_INSTANT)
_k, _t, _p = sla_clocks.c, tickets.c, promises.c
_r, _q, _h = ticket_resolutions.c, person_requests.c, handlings.c


class _Over(NamedTuple):
    """The rows that a part counts: from where, at which instant, whose and what about, and which."""

    source: FromClause
    at: ColumnElement[Any]
    attributes: grouping.Attributes
    where: Sequence[ColumnElement[bool]]


class Asked(NamedTuple):
    """What decides how the statements read."""

    interval: Each | None
    groups: tuple[GroupBy, ...]
    filters: grouping.Shape
    classes: int


def _word(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'")


def _of_rows(table: Any, agent: ColumnElement[Any]) -> grouping.Attributes:
    """The columns that a row keeps of what it was about."""
    names = {
        GroupBy.team: "team_id", GroupBy.assignee: "assignee_id", GroupBy.policy: "ticket_policy_id",
        GroupBy.customer: "customer_id", GroupBy.organization: "organization_id", GroupBy.tag: "tags",
    }  # fmt: skip
    return {**{group: table[names.get(group, group.value)] for group in GroupBy if group is not GroupBy.agent},
            GroupBy.agent: agent}  # fmt: skip


def _in_span(at: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    return [at >= _from, at < _to]


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(and_(*conditions))


def _seconds(interval: Any) -> ColumnElement[Any]:
    return extract("epoch", interval)


def _keys(asked: Asked, over: _Over) -> list[ColumnElement[Any]]:
    keys = [grouping.key(group, over.attributes) for group in asked.groups]
    if asked.interval is Each.hour:
        return [func.date_trunc("hour", over.at, bindparam("timezone", type_=Text)).label("interval_start"), *keys]
    if asked.interval:
        number = func.width_bucket(over.at, bindparam("beginnings", type_=ARRAY(_INSTANT)))
        return [number.label("interval_number"), *keys]
    return keys


def _statement(
    asked: Asked, over: _Over, figures: Sequence[ColumnElement[Any]], more: Sequence[ColumnElement[Any]] = ()
) -> Query:
    """`more` are keys of this part alone."""
    keys = [*_keys(asked, over), *more]
    source = grouping.with_tags(over.source, asked.groups, over.attributes)
    filters = grouping.clauses(asked.filters, over.attributes)
    return grouping.grouped(select(*keys, *figures).select_from(source).where(*over.where, *filters), keys)


def _used(asked: Asked, *more: GroupBy) -> set[GroupBy]:
    return {*asked.groups, *(group for group, _, _ in asked.filters), *more}


# Each time that a ticket was resolved.
_resolved = _Over(
    ticket_resolutions,
    _r.resolved_at,
    _of_rows(_r, case((_r.resolved_by_kind == _word("agent"), _r.resolved_by_id))),
    (*_in_span(_r.resolved_at), ~_r.spam),
)


def _resolutions(asked: Asked) -> Query:
    named = {"met": _r.met, "missed": _r.missed}
    figures = [
        func.count().label("resolved"),
        _count(_r.reopened_at.is_not(None)).label("reopened"),
        *(_count(_r.solved_by == _word(by)).label(f"by_{by}") for by in SolvedBy),
        func.count(_r.score).label("given"),
        func.avg(_r.score).label("mean_score"),
        *(_count(_r.score == literal_column(str(score))).label(f"score_{score}") for score in SCORES),
        *(
            _count(_word(each) == any_(words)).label(f"{name}_{each}")
            for name, words in named.items()
            for each in Expectation
        ),
    ]
    return _statement(asked, _resolved, figures)


def _standing(*types: TicketType) -> _Over:
    """Resolutions that hold, of tickets of these types."""
    of_types = _r.type.in_([_word(type_) for type_ in types])
    return _resolved._replace(where=(*_resolved.where, _r.reopened_at.is_(None), of_types))


def _poor_quality(asked: Asked) -> Query:
    over = _standing(TicketType.complaint, TicketType.return_)
    over = over._replace(source=ticket_resolutions.join(tickets, _t.id == _r.ticket_id))
    cost = _t.custom_fields[bindparam("cost_field", type_=Text)]
    number = case((func.jsonb_typeof(cost) == _word("number"), cost.as_float()))
    figures = [
        _count(_r.type == _word(TicketType.complaint)).label("complaints"),
        _count(_r.type == _word(TicketType.return_)).label("returns"),
        func.coalesce(func.sum(_t.handling_seconds), literal_column("0")).label("handling_seconds"),
        func.coalesce(func.sum(number), literal_column("0")).label("cost"),
    ]
    return _statement(asked, over, figures)


# Clocks of which the first is the customer's contact, with their tickets where those still run.
_first = and_(_k.metric == _word(Metric.first_response), _k.cycle == literal_column("1"), ~_k.spam)
_with_tickets = sla_clocks.join(tickets, _t.id == _k.ticket_id)


def _contacts(asked: Asked) -> Query:
    used = _used(asked, GroupBy.customer, GroupBy.product)
    within = func.make_interval(0, 0, 0, bindparam("within_days", type_=Integer))
    found = (
        select(_k.id, _k.started_at, *(ATTRIBUTES_OF_CLOCKS[group].label(group.value) for group in used))
        .select_from(_with_tickets)
        .where(_first, _k.started_at >= _from - within, _k.started_at < _to)
        .subquery("found")
        .c
    )
    before = func.lag(found.started_at).over(
        partition_by=(found.customer, found.product), order_by=(found.started_at, found.id)
    )
    each = select(*list(found), before.label("before")).subquery("each").c
    over = _Over(
        each.id.table, each.started_at, {group: each[group.value] for group in used}, _in_span(each.started_at)
    )
    repeated = each.started_at <= each.before + within
    return _statement(asked, over, [func.count().label("contacts"), _count(repeated).label("repeated")])


def _promises(asked: Asked) -> Query:
    its_clock = and_(_k.ticket_id == _p.ticket_id, _k.metric == _word(Metric.promise), _k.cycle == _p.cycle)
    source: FromClause = promises.join(sla_clocks, its_clock)
    made_by = case((_p.made_by_kind == _word("agent"), _p.made_by_id))
    if _used(asked) - {GroupBy.agent}:
        source = source.join(tickets, _t.id == _p.ticket_id)
    over = _Over(source, _p.due_at, {**ATTRIBUTES_OF_CLOCKS, GroupBy.agent: made_by}, (*_in_span(_p.due_at), ~_k.spam))
    of_clock = states(_p.due_at, _now)
    told = {state: or_(*(of_clock[each] for each, told in STATES.items() if told is state)) for state in PromiseState}
    return _statement(asked, over, [_count(is_it).label(state) for state, is_it in told.items()])


def _complaints(asked: Asked) -> Query:
    """By class of the first answer: the number of ends that it took longer than, or null without one."""
    over, used = _standing(TicketType.complaint), _used(asked, GroupBy.customer)
    ends = [bindparam(f"class_{number}", type_=Interval) for number in range(asked.classes)]
    longer = [case((_k.elapsed > end, literal_column("1")), else_=literal_column("0")) for end in ends]
    speed = case((_k.stopped_at.is_not(None), sum(longer[1:], longer[0])))
    last = ticket_resolutions.alias("last").c
    score = (
        select(last.score)
        .where(last.ticket_id == _r.ticket_id, last.score.is_not(None))
        .order_by(last.resolved_at.desc(), last.id.desc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    complaint = (
        select(
            _r.id,
            _r.resolved_at,
            speed.label("speed"),
            (score >= literal_column(str(SATISFIED))).label("satisfied"),
            *(over.attributes[group].label(group.value) for group in used),
        )
        .select_from(ticket_resolutions.outerjoin(sla_clocks, and_(_k.ticket_id == _r.ticket_id, _first)))
        .where(*over.where, *grouping.clauses(asked.filters, over.attributes))
        .cte("complaint")
    )
    _c = complaint.c
    returned = _next_contact(_c).subquery("returned").c
    over = _Over(
        complaint.outerjoin(returned.id.table, returned.id == _c.id),
        _c.resolved_at,
        {group: _c[group.value] for group in used},
        (true(),),
    )
    came_back = returned.next_at <= _c.resolved_at + literal_column(f"interval '{COMES_BACK}'")
    figures = [
        func.count().label("resolved"),
        _count(_c.satisfied).label("satisfied"),
        _count(came_back).label("came_back"),
        _count(or_(_c.satisfied.is_(True), came_back.is_(True))).label("recovered"),
    ]
    # What the filters say was said above.
    return _statement(asked._replace(filters=()), over, figures, [_c.speed])


def _next_contact(c: Any) -> Any:
    """For each complaint (`id`), when its customer next contacted us after the resolution with something that is no
    complaint: contacts and resolutions of each customer in one line, walked backwards once."""
    customer = ATTRIBUTES_OF_CLOCKS[GroupBy.customer]
    contact = (
        select(
            cast(null(), Uuid).label("id"),
            customer.label("customer"),
            _k.started_at.label("at"),
            _k.started_at.label("contact"),
        )
        .select_from(_with_tickets)
        .where(
            _first,
            _k.started_at > _from,
            _k.started_at < _to + literal_column(f"interval '{COMES_BACK}'"),
            ATTRIBUTES_OF_CLOCKS[GroupBy.type] != _word(TicketType.complaint),
            customer.in_(select(c.customer)),
        )
    )
    resolution = select(c.id, c.customer, c.resolved_at.label("at"), cast(null(), _INSTANT).label("contact"))
    line = union_all(resolution, contact).subquery("line").c
    # A contact of the instant of the resolution came before it, and is walked after it.
    nearest = func.min(line.contact).over(
        partition_by=line.customer, order_by=(line.at.desc(), line.contact.is_not(None)), rows=(None, 0)
    )
    walked = select(line.id, nearest.label("next_at")).subquery("walked").c
    return select(walked.id, walked.next_at).where(walked.id.is_not(None))


def _requests(asked: Asked) -> Query:
    over = _Over(person_requests, _q.asked_at, _of_rows(_q, _q.responder_id), (*_in_span(_q.asked_at), ~_q.spam))
    took = _q.ended_at - _q.asked_at

    def percentile(fraction: float) -> ColumnElement[Any]:
        return _seconds(func.percentile_disc(fraction).within_group(took).filter(_q.answered))

    figures = [
        func.count().label("asked"),
        _count(_q.answered).label("answered"),
        _count(_q.ended_at.is_(None)).label("waiting"),
        _seconds(func.avg(took).filter(_q.answered)).label("mean_seconds"),
        percentile(0.5).label("p50_seconds"),
        percentile(0.9).label("p90_seconds"),
    ]
    return _statement(asked, over, figures)


HANDLED = _Over(
    handlings,
    _h.handled_at,
    _of_rows(_h, case((_h.author_kind == _word("agent"), _h.author_id))),
    (or_(_from.is_(None), _h.handled_at >= _from), or_(_to.is_(None), _h.handled_at < _to), ~_h.spam),
)


def handling(asked: Asked) -> Query:
    figures = [
        func.count(_h.ticket_id.distinct()).label("tickets"),
        func.count().label("messages"),
        func.coalesce(func.sum(_h.seconds), literal_column("0")).label("handling_seconds"),
        func.avg(_h.seconds).label("mean_handling_seconds"),
    ]
    return _statement(asked, HANDLED, figures)


_PARTS: Mapping[str, Callable[[Asked], Query]] = {
    "resolutions": _resolutions,
    "contacts": _contacts,
    "promises": _promises,
    "complaints": _complaints,
    "person_requests": _requests,
    "poor_quality": _poor_quality,
    "handling": handling,
}


@lru_cache(maxsize=500)
def statements(asked: Asked) -> Mapping[str, Query]:
    """By the name of the part."""
    return {name: part(asked) for name, part in _PARTS.items()}
