"""Two customers who turned out to be one, and the way back. The source stays as a row that points at the target, who
has its tickets and keys.

Locks: customers by id, with those who were merged into the source before, then tickets by id. A ticket that is being
opened for the source meanwhile holds a share of the customer's lock and is waited for; one that comes after the commit
is refused by the trigger `of_live_customer`, and opening is run again and finds the target."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    exists,
    func,
    insert,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from uuid_utils.compat import uuid7

from app.auth.dependencies import Actor, check_lead
from app.auth.tables import api_keys
from app.customer_merges.tables import customer_merges as merges
from app.customers.service.customers import CUSTOMERS
from app.customers.tables import customers
from app.db import Query, Row, RunAgain, Transaction, Values
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.memberships.service import refresh_memberships
from app.segments.tables import segment_overrides as overrides
from app.sla import job_queue, policies
from app.sla.tables import sla_exceptions
from app.tickets.queries import NOT_DONE
from app.tickets.tables import tickets
from app.web.schemas import MOST_FIELDS, fold


class SameCustomer(Conflict):
    """A customer is merged into another one."""

    code = "same_customer"
    title = "These are one customer already"


class CustomerMerged(Conflict):
    """The customer was merged into another one, who stands for both: ask for that one, or undo the merge first."""

    code = "customer_merged"
    title = "The customer was merged"


class CustomerErased(Conflict):
    """An erased customer is nobody any more: nobody can say whether they are somebody else."""

    code = "customer_erased"
    title = "The customer was erased"


class CustomerNotMerged(Conflict):
    """Only a customer who was merged into another one comes back."""

    code = "customer_not_merged"
    title = "The customer was not merged"


# What is known of a person, and is taken over where the other one lacks it. External ids stay: they lead here anyway.
_OF_THE_PERSON = ("name", "email", "region", "language", "organization_id")
_ATTRIBUTE = "attributes."

_t, _c, _k, _m = tickets.c, customers.c, api_keys.c, merges.c
_NOW = func.clock_timestamp()
_ids = bindparam("ids", type_=ARRAY(Uuid))
_from, _to = bindparam("from_id", type_=Uuid), bindparam("to_id", type_=Uuid)
_about = bindparam("data", type_=JSONB)

_all_or_open = or_(_t.customer_id == _from, NOT_DONE)
_TICKETS = Query(
    select(_t.id, _t.customer_id)
    .where(_t.customer_id == any_(_ids), _all_or_open)
    .order_by(_t.id)
    .with_for_update(key_share=True)
)
_THESE_TICKETS = Query(
    select(_t.id).where(_t.id == any_(_ids), _t.customer_id == _from).order_by(_t.id).with_for_update(key_share=True)
)
_CUSTOMERS = Query(select(customers, _NOW.label("now")).where(_c.id == any_(_ids)).order_by(_c.id).with_for_update())
_KEYS = Query(select(_k.id).where(_k.customer_id == _from))
_next_version = {"version": _c.version + 1, "updated_at": _NOW}
_POINT = Query(
    update(customers)
    .where(_c.id == bindparam("key_id"))
    .values(
        merged_into=bindparam("into", type_=Uuid), email_folded=bindparam("email_folded", type_=Text), **_next_version
    )
)
_MERGE = Query(
    insert(merges),
    ["id", "source_id", "target_id", "ticket_ids", "key_ids", "merged_at", "override_ids", "exception_ids", "taken"],
)
_KNOWN_BY = Query(
    select(_c.id).where(
        _c.email_folded == bindparam("email_folded"), _c.external_id.is_(None), not_(_c.id == any_(_ids))
    )
)
_TAKEN = Query(select(_m.taken).where(_m.target_id == bindparam("target_id"), _m.undone_at.is_(None)))
_LAST = Query(select(merges).where(_m.source_id == bindparam("source_id"), _m.undone_at.is_(None)))
_UNDO = Query(update(merges).where(_m.id == bindparam("key_id")), ["undone_at"])


def _moved(table: Table, type_: str, **values: Any) -> Query:
    """Give those of `ids` that are one customer's to another one, an event for each."""
    changed = (
        update(table)
        .where(table.c.id == any_(_ids), table.c.customer_id == _from)
        .values(customer_id=_to, **values)
        .returning(table.c.id, _NOW.label("at"))
        .cte("changed")
    )
    return Query(log.record_for_rows(changed, type_, _about, of_tickets=table is tickets, internal=True))


def _repointed() -> Query:
    """Those who were merged into one customer go on with another, an event for each."""
    changed = (
        update(customers)
        .where(_c.merged_into == _from, _c.id == any_(_ids))
        .values(merged_into=_to, **_next_version)
        .returning(_c.id, _NOW.label("at"))
        .cte("changed")
    )
    return Query(log.record_for_rows(changed, "customer.updated", _about))


# What was decided by hand goes along, unless it was decided otherwise of the target.
_theirs = overrides.alias("theirs").c
_o, _x = overrides.c, sla_exceptions.c
_TAKE_OVERRIDES = Query(
    update(overrides)
    .where(
        _o.customer_id == _from,
        _o.ended_at.is_(None),
        ~exists().where(_theirs.customer_id == _to, _theirs.segment_id == _o.segment_id, _theirs.ended_at.is_(None)),
    )
    .values(customer_id=_to)
    .returning(_o.id)
)
_TAKE_EXCEPTIONS = Query(update(sla_exceptions).where(_x.customer_id == _from).values(customer_id=_to).returning(_x.id))
_GIVE_OVERRIDES = Query(update(overrides).where(_o.id == any_(_ids), _o.customer_id == _from).values(customer_id=_to))
_GIVE_EXCEPTIONS = Query(
    update(sla_exceptions).where(_x.id == any_(_ids), _x.customer_id == _from).values(customer_id=_to)
)
_MOVE_TICKETS = _moved(
    tickets,
    "ticket.updated",
    version=_t.version + 1,
    updated_at=func.greatest(_NOW, _t.updated_at),
    seen_updated_at=null(),
)
_MOVE_KEYS = _moved(api_keys, "api_key.updated")
_REPOINT = _repointed()
_MERGED_INTO = Query(select(_c.id).where(_c.merged_into == _from).order_by(_c.id))
_root = (
    select(_m.source_id.label("id"))
    .where(_m.target_id == bindparam("source_id"), _m.undone_at.is_(None))
    .cte(recursive=True)
)
_next = select(_m.source_id).join(_root, _m.target_id == _root.c.id).where(_m.undone_at.is_(None))
# Who had been merged into the source, however far down, before it was merged itself.
_below = _root.union(_next)
_BELOW = Query(select(_below.c.id).order_by(_below.c.id))


async def merge(tx: Transaction, actor: Actor, source_id: UUID, target_id: UUID) -> Row:
    """The source's tickets, keys and those who were merged into it go to the target; the target's row."""
    check_lead(actor, "a lead merges customers")
    if source_id == target_id:
        raise SameCustomer("name another customer in `into`")
    below = await _ids_of(tx, _MERGED_INTO, from_id=source_id)
    source, target = await _locked(tx, source_id, target_id, below)
    for customer in (source, target):
        check_not_merged(customer)
        _check_not_erased(customer)
    if await _ids_of(tx, _MERGED_INTO, from_id=source_id) != below:
        raise RunAgain
    # Those of the target only where they may come under other promises.
    context = [source_id, *([target_id] if policies.facts_in_use(tx) else [])]
    locked = await tx.locked_rows(_TICKETS, ids=context, from_id=source_id)
    ticket_ids = [row["id"] for row in locked if row["customer_id"] == source_id]
    key_ids = [row["id"] for row in await tx.rows(_KEYS, from_id=source_id)]
    await _move(tx, actor, source_id, target_id, ticket_ids, key_ids, below)
    now = source["now"]
    given, taken = await _lacked(tx, target, source)
    # An address is one customer's, and the target has it now.
    its_folded = None if "email" in taken else source["email_folded"]
    tx.write(_POINT, key_id=source_id, into=target_id, email_folded=its_folded)
    await tx.flush()
    target = await CUSTOMERS.change(tx, actor, target, given)
    granted: dict[str, Any] = {
        name: [row["id"] for row in await tx.locked_rows(query, from_id=source_id, to_id=target_id)]
        for name, query in (("override_ids", _TAKE_OVERRIDES), ("exception_ids", _TAKE_EXCEPTIONS))
    }
    tx.write(
        _MERGE, id=uuid7(), source_id=source_id, target_id=target_id, ticket_ids=ticket_ids, key_ids=key_ids,
        merged_at=now, taken=taken, **granted,
    )  # fmt: skip
    data = {"source_id": source_id, "target_id": target_id, "tickets": len(ticket_ids), "keys": len(key_ids)}
    for id_ in (source_id, target_id):
        log.record(tx, log.actor_ref(actor), "customer.merged", id_, now, data)
    await _settle(tx, actor, now, source_id, target_id)
    return target


async def unmerge(tx: Transaction, actor: Actor, source_id: UUID) -> Row:
    """What moved then and is still with the one who stands for the source goes back; the source's row."""
    check_lead(actor, "a lead undoes a merge of customers")
    holder_id = (await CUSTOMERS.get(tx, source_id))["merged_into"]
    done = await tx.row(_LAST, source_id=source_id)
    if holder_id is None or done is None:
        raise CustomerNotMerged("it was merged into nobody")
    below = await _ids_of(tx, _BELOW, source_id=source_id)
    source, holder, target = await _locked(tx, source_id, holder_id, below, done["target_id"])
    done = await tx.row(_LAST, source_id=source_id)
    if source["merged_into"] != holder_id or done is None:
        raise CustomerNotMerged("somebody merges or undoes this just now: read it again")
    if await _ids_of(tx, _BELOW, source_id=source_id) != below:
        raise RunAgain
    _check_not_erased(source)
    await tx.locked_rows(_THESE_TICKETS, ids=done["ticket_ids"], from_id=holder_id)
    await _move(tx, actor, holder_id, source_id, done["ticket_ids"], done["key_ids"], below)
    for query, ids in ((_GIVE_OVERRIDES, done["override_ids"]), (_GIVE_EXCEPTIONS, done["exception_ids"])):
        await tx.locked_rows(query, ids=ids, from_id=holder_id, to_id=source_id)
    for row in {each["id"]: each for each in (holder, target)}.values():
        await CUSTOMERS.change(tx, actor, row, _returned(row, source, await _got(tx, row, done)))
    folded = fold(source["email"]) if source["email"] else None
    if await _is_anothers(tx, source, folded):
        folded = None
    tx.write(_POINT, key_id=source_id, into=None, email_folded=folded)
    tx.write(_UNDO, key_id=done["id"], undone_at=source["now"])
    for id_ in (source_id, holder_id):
        data = {"source_id": source_id, "target_id": holder_id}
        log.record(tx, log.actor_ref(actor), "customer.unmerged", id_, source["now"], data)
    await _settle(tx, actor, source["now"], source_id, holder_id)
    return await CUSTOMERS.get(tx, source_id)


async def _settle(tx: Transaction, actor: Actor, now: datetime, *customer_ids: UUID) -> None:
    """Who is somebody else's now belongs to no segment; tickets that moved come under what is promised to whom they are
    with."""
    await tx.flush()
    for id_ in customer_ids:
        await refresh_memberships(tx, log.actor_ref(actor), id_, "customers merged", tickets_moved=True)
        # Exceptions of their own were taken along, or left.
        job_queue.queue(tx, job_queue.Kind.customer_changed, id_, now)


async def _lacked(tx: Transaction, target: Values, source: Values) -> tuple[dict[str, Any], list[str]]:
    """What the source knows of the person and the target does not: as columns of the target, and by name."""
    given = {name: source[name] for name in _OF_THE_PERSON if target[name] is None and source[name] is not None}
    if "email" in given and await _is_anothers(tx, target, source["email_folded"], source["id"]):
        del given["email"]
    more = {name: value for name, value in source["attributes"].items() if name not in target["attributes"]}
    taken = [*given, *(f"{_ATTRIBUTE}{name}" for name in more)]
    if more and len(target["attributes"]) + len(more) <= MOST_FIELDS:
        given["attributes"] = {**target["attributes"], **more}
    else:
        taken = [*given]
    return _with_folded(given), taken


def _returned(row: Values, source: Values, taken: Iterable[str]) -> dict[str, Any]:
    """The columns of `row` without what it took of the source, and still has as it was."""
    names = set(taken)
    given: dict[str, Any] = {name: None for name in _OF_THE_PERSON if name in names and row[name] == source[name]}
    attributes, theirs = row["attributes"], source["attributes"]
    left = {
        name: value
        for name, value in attributes.items()
        if f"{_ATTRIBUTE}{name}" not in names or value != theirs.get(name)
    }
    return _with_folded(given if left == attributes else {**given, "attributes": left})


async def _is_anothers(tx: Transaction, customer: Values, folded: str | None, *but: UUID) -> bool:
    """Whether somebody else is known by this address, so that this customer cannot be."""
    if folded is None or customer["external_id"] is not None:
        return False
    return await tx.row(_KNOWN_BY, email_folded=folded, ids=[customer["id"], *but]) is not None


def _with_folded(columns: dict[str, Any]) -> dict[str, Any]:
    if "email" in columns:
        columns["email_folded"] = fold(columns["email"]) if columns["email"] else None
    return columns


async def _got(tx: Transaction, row: Values, done: Values) -> list[str]:
    """What a customer has of the source of a merge: as its target, or from those who were merged into it since."""
    taken: list[str] = done["taken"]
    if row["id"] == done["target_id"]:
        return taken
    since = {name for each in await tx.rows(_TAKEN, target_id=row["id"]) for name in each["taken"]}
    return [name for name in taken if name in since]


async def _ids_of(tx: Transaction, query: Query, **params: Any) -> list[UUID]:
    return [row["id"] for row in await tx.rows(query, **params)]


async def _locked(
    tx: Transaction, source_id: UUID, target_id: UUID, below: Sequence[UUID], *more: UUID
) -> tuple[Row, ...]:
    """The source, the target and `more`. Locks those below them with them."""
    found = {row["id"]: row for row in await tx.locked_rows(_CUSTOMERS, ids=[source_id, target_id, *below, *more])}
    if source_id not in found:
        raise NotFound("there is no customer with this id")
    if target_id not in found:
        raise Invalid.at("/into", "unknown", "there is no customer with this id")
    return tuple(found[id_] for id_ in (source_id, target_id, *more))


async def _move(
    tx: Transaction,
    actor: Actor,
    from_id: UUID,
    to_id: UUID,
    ticket_ids: Sequence[UUID],
    key_ids: Sequence[UUID],
    below: Sequence[UUID],
) -> None:
    named = {**log.actor_params(log.actor_ref(actor)), "from_id": from_id, "to_id": to_id}
    for query, ids, field in (
        (_MOVE_TICKETS, ticket_ids, "customer_id"), (_MOVE_KEYS, key_ids, "customer_id"),
        (_REPOINT, below, "merged_into"),
    ):  # fmt: skip
        if ids:
            data = {"changes": {field: {"before": from_id, "after": to_id}}}
            await tx.locked_rows(query, ids=ids, data=data, **named)


def check_not_merged(customer: Row) -> None:
    if customer["merged_into"]:
        raise CustomerMerged(f"{customer['id']} was merged into {customer['merged_into']}")


def _check_not_erased(customer: Row) -> None:
    if customer["erased_at"]:
        raise CustomerErased(f"{customer['id']} was erased")
