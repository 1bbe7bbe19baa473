"""A customer changes, and with them, in the same transaction, the segments that they belong to and what is promised on
their open tickets.

Locks: the open tickets by id, then the customer, as two customers are merged. What was opened meanwhile holds a share
of the customer's lock and is seen by the second look at the tickets; what was read before and comes after the commit is
found by a job, a little later."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from app.auth.guard import Actor
from app.customers.schemas import CustomerIn, CustomerPatch, CustomerUpsert, OrganizationPatch, OrganizationUpsert
from app.customers.service import customers as service
from app.customers.service import organizations as organization_service
from app.customers.tables import customers, organizations
from app.db import Query, Row, Transaction
from app.events import log
from app.segments import jobs as segment_jobs
from app.segments import members
from app.segments import service as segments
from app.segments.fields import FIGURES
from app.segments.matching import WITH_ORGANIZATION
from app.segments.membership import Override, Reason, Segment, decided
from app.segments.rules import fields_read
from app.segments.segment_schemas import SegmentJobKind
from app.segments.tables import segment_members, segment_overrides
from app.sla import exceptions, jobs, policies
from app.sla.core.policy import Scope
from app.tickets.figures import NOT_DONE, figures_of
from app.tickets.store import SYSTEM, apply, lock_ticket, matched_anew, update_ticket
from app.tickets.tables import tickets
from app.tickets.whose import fact_columns, facts_in

_t, _c, _m, _v = tickets.c, customers.c, segment_members.c, segment_overrides.c
_LOCK_OPEN = Query(
    select(_t.id)
    .where(NOT_DONE, _t.customer_id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(_t.id)
    .with_for_update()
)
# Asked beforehand: the planner then sees how many tickets are this customer's, and not how many are anybody's.
_CALLED = Query(
    select(func.coalesce(_c.merged_into, _c.id).label("id")).where(_c.external_id == bindparam("external_id"))
)


def _pairs(of: Any, *names: str) -> Any:
    named: list[Any] = []
    for name in names:
        named += (literal_column(f"'{name}'"), of[name])
    return func.jsonb_agg(func.jsonb_build_object(*named), type_=JSONB)


_held = select(_pairs(_m, "segment_id", "rule_version", "override_id")).where(
    _m.customer_id == _c.id, _m.until.is_(None)
)
_overrides = select(_pairs(_v, "segment_id", "id", "effect")).where(
    _v.customer_id == _c.id,
    _v.ended_at.is_(None),
    or_(_v.expires_at.is_(None), _v.expires_at > func.clock_timestamp()),
)
# Read under the customer's lock, by a statement of its own: what it sees is newer than whatever the lock waited for.
_STANDING = Query(
    select(
        func.clock_timestamp().label("now"),
        and_(_c.merged_into.is_(None), _c.erased_at.is_(None)).label("alive"),
        _held.correlate(customers).scalar_subquery().label("held"),
        _overrides.correlate(customers).scalar_subquery().label("overrides"),
        segments.REVISION.label("segment_revision"),
        policies.REVISION.label("revision"),
        *fact_columns(_c, organizations.c),
    )
    .select_from(WITH_ORGANIZATION)
    .where(_c.id == bindparam("customer_id"))
)


async def create_customer(tx: Transaction, actor: Actor, body: CustomerIn) -> Row:
    row = await service.create_customer(tx, actor, body)
    await settle(tx, log.by(actor), row["id"])
    return row


async def change_customer(tx: Transaction, actor: Actor, id: UUID, patch: CustomerPatch, if_match: str | None) -> Row:
    if policies.read(tx):
        await lock_open_tickets(tx, [id])
    row = await service.change_customer(tx, actor, id, patch, if_match)
    await _changed(tx, actor, row)
    return row


async def upsert_customer(
    tx: Transaction, actor: Actor, external_id: str, body: CustomerUpsert, if_match: str | None
) -> tuple[Row, bool]:
    """The customer with this external id as `body` says, and whether they are new."""
    if policies.read(tx):
        await lock_open_tickets(tx, [row["id"] for row in await tx.rows(_CALLED, external_id=external_id)])
    row, made = await service.upsert_customer(tx, actor, external_id, body, if_match)
    if made:
        await settle(tx, log.by(actor), row["id"])
    else:
        await _changed(tx, actor, row)
    return row, made


async def _changed(tx: Transaction, actor: Actor, row: Row) -> None:
    # `locked` gives its row a `now`; what was changed comes back without.
    if "now" not in row:
        await settle(tx, log.by(actor), row["id"], "customer changed")


async def change_organization(
    tx: Transaction, actor: Actor, id: UUID, patch: OrganizationPatch, if_match: str | None
) -> Row:
    """Its customers follow by a job."""
    row = await organization_service.change_organization(tx, actor, id, patch, if_match)
    await _organization_changed(tx, row)
    return row


async def upsert_organization(
    tx: Transaction, actor: Actor, external_id: str, body: OrganizationUpsert, if_match: str | None
) -> tuple[Row, bool]:
    row, made = await organization_service.upsert_organization(tx, actor, external_id, body, if_match)
    if not made:
        await _organization_changed(tx, row)
    return row, made


_REVISIONS = Query(select(segments.REVISION.label("segment_revision"), policies.REVISION.label("revision")))


async def _organization_changed(tx: Transaction, row: Row) -> None:
    if "now" in row:
        return
    seen = await tx.row(_REVISIONS)
    assert seen is not None
    in_force = await segments.in_force(tx, seen["segment_revision"])
    await policies.in_force(tx, seen["revision"])
    if policies.read(tx).customers or any(_reads(segment, "organization.") for segment in in_force.values()):
        segment_jobs.queue(tx, SegmentJobKind.organization_changed, row["id"], row["updated_at"])


def _reads(segment: Segment, *starts: str) -> bool:
    return segment.rule is not None and any(name.startswith(starts) for name in fields_read(segment.rule))


async def settle(
    tx: Transaction, who: log.By, customer_id: UUID, because: str | None = None, *, tickets_moved: bool = False
) -> None:
    """Store the segments that they belong to, as they are now, and, where there is a reason to, match their open
    tickets anew, of which some may have been somebody else's. The caller holds the customer's lock and has written what
    changed."""
    seen = await tx.row(_STANDING, customer_id=customer_id)
    assert seen is not None
    in_force = await segments.in_force(tx, seen["segment_revision"])
    held = {UUID(each["segment_id"]): _reason(each) for each in seen["held"] or ()}
    overrides = {
        UUID(each["segment_id"]): Override(UUID(each["id"]), each["effect"] == "include")
        for each in seen["overrides"] or ()
    }
    wanted: dict[UUID, Reason] = {}
    if seen["alive"]:
        facts = facts_in(seen)
        if any(_reads(segment, *FIGURES) for segment in in_force.values()):
            facts |= await figures_of(tx, customer_id)
        wanted = decided(in_force.values(), facts, overrides)
    now: datetime = seen["now"]
    moved = members.settle(tx, who, customer_id, in_force, held, wanted, now, overrides=overrides)
    if because and await _matters(tx, seen["revision"], in_force.values(), moved=moved or tickets_moved):
        await match_tickets(tx, customer_id, because, now)


def _reason(held: Mapping[str, Any]) -> Reason:
    override_id = held["override_id"]
    return Reason(held["rule_version"], UUID(override_id) if override_id else None)


async def _matters(tx: Transaction, revision: int, in_force: Iterable[Segment], *, moved: bool) -> bool:
    await policies.in_force(tx, revision)
    read = policies.read(tx)
    if read.customers or (moved and read.segments):
        return True
    wide = await exceptions.wide(tx, revision)
    return moved and (any(each.scope is Scope.segment for each in wide) or not all(each.judged for each in in_force))


async def promises_depend(tx: Transaction, *, moved: bool) -> bool:
    """Whether anything that is promised depends on who customers are, and where they belong if that has changed."""
    seen = await tx.row(_REVISIONS)
    assert seen is not None
    in_force = await segments.in_force(tx, seen["segment_revision"])
    return await _matters(tx, seen["revision"], in_force.values(), moved=moved)


async def match_tickets(tx: Transaction, customer_id: UUID, because: str, now: datetime) -> None:
    """Put a customer's open tickets under what is promised to them now. Sends what is queued first."""
    await tx.flush()
    for row in await tx.locked_rows(_LOCK_OPEN, ids=[customer_id]):
        locked = await lock_ticket(tx, SYSTEM, row["id"])
        entries, columns = await matched_anew(tx, locked, because)
        if entries:
            update_ticket(tx, locked, apply(tx, log.SYSTEM, locked, entries), columns)
    jobs.look_again(tx, jobs.Kind.customer_changed, customer_id, now)


async def lock_open_tickets(tx: Transaction, customer_ids: Iterable[UUID]) -> None:
    """Before the locks of customers are asked for."""
    await tx.locked_rows(_LOCK_OPEN, ids=list(customer_ids))
