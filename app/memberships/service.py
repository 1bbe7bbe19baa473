"""A customer changes, and with them, in the same transaction, the segments that they belong to and what is promised on
their open tickets.

Locks: the customer, then the open tickets by id. What is being opened meanwhile holds a share of the customer's lock,
and so was committed before the tickets are looked for; what was read before and comes after the commit is found by a
job, a little later."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from app.auth.dependencies import Actor
from app.customers.schemas import CustomerIn, CustomerPatch, CustomerUpsert, OrganizationPatch, OrganizationUpsert
from app.customers.service import customers as service
from app.customers.service import organizations as organization_service
from app.customers.tables import customers, organizations
from app.db import Query, Row, Transaction
from app.events import log
from app.memberships.figures import figures_of
from app.segments import job_queue as segment_jobs
from app.segments import membership_rows
from app.segments import service as segments
from app.segments.bulk_decide import WITH_ORGANIZATION
from app.segments.decide import Override, Reason, Segment, decided
from app.segments.fields import FIGURES
from app.segments.rules import fields_read
from app.segments.schemas import SegmentJobKind
from app.segments.tables import segment_members, segment_overrides
from app.sla import broad_exceptions, job_queue, policies
from app.sla.core.policy import Scope
from app.sla.customer_context import fact_columns, facts_in
from app.tickets.changes import TicketChange, save
from app.tickets.queries import NOT_DONE
from app.tickets.rematching import customer_context, rematch_with_exceptions
from app.tickets.store import lock_clocks
from app.tickets.tables import tickets

_t, _c, _m, _v = tickets.c, customers.c, segment_members.c, segment_overrides.c
_open = select(_t.id).where(NOT_DONE, _t.customer_id == bindparam("customer_id", type_=Uuid)).order_by(_t.id)
_LOCK_OPEN = Query(_open.limit(bindparam("most")).with_for_update(key_share=True))
# For who holds tickets already, and must not wait for one that comes before them.
_LOCK_OPEN_AND_FREE = Query(_open.limit(bindparam("most")).with_for_update(key_share=True, skip_locked=True))
# Tickets that are locked, changed and written together while whoever comes waits for the customer: a second at most.
_MOST = 100


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
    await refresh_memberships(tx, log.actor_ref(actor), row["id"])
    return row


async def change_customer(tx: Transaction, actor: Actor, id: UUID, patch: CustomerPatch, if_match: str | None) -> Row:
    row = await service.change_customer(tx, actor, id, patch, if_match)
    await _changed(tx, actor, row)
    return row


async def upsert_customer(
    tx: Transaction, actor: Actor, external_id: str, body: CustomerUpsert, if_match: str | None
) -> tuple[Row, bool]:
    """The customer with this external id as `body` says, and whether they are new."""
    row, made = await service.upsert_customer(tx, actor, external_id, body, if_match)
    if made:
        await refresh_memberships(tx, log.actor_ref(actor), row["id"])
    else:
        await _changed(tx, actor, row)
    return row, made


async def _changed(tx: Transaction, actor: Actor, row: Row) -> None:
    # `locked` gives its row a `now`; what was changed comes back without.
    if "now" not in row:
        await refresh_memberships(tx, log.actor_ref(actor), row["id"], "customer changed")


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
    in_force = await segments.IN_FORCE.at(tx, seen["segment_revision"])
    await policies.in_force(tx, seen["revision"])
    if policies.facts_in_use(tx).customers or any(_reads(segment, "organization.") for segment in in_force.values()):
        segment_jobs.queue(tx, SegmentJobKind.organization_changed, row["id"], row["updated_at"])


def _reads(segment: Segment, *starts: str) -> bool:
    return segment.rule is not None and any(name.startswith(starts) for name in fields_read(segment.rule))


async def refresh_memberships(
    tx: Transaction, who: log.ActorRef, customer_id: UUID, because: str | None = None, *, tickets_moved: bool = False
) -> None:
    """Store the segments that they belong to, as they are now, and, where there is a reason to, match their open
    tickets anew, of which some may have been somebody else's, and are locked by the caller. The caller holds the
    customer's lock and has written what changed."""
    seen = await tx.row(_STANDING, customer_id=customer_id)
    assert seen is not None
    in_force = await segments.IN_FORCE.at(tx, seen["segment_revision"])
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
    moved = membership_rows.save_membership_changes(
        tx, who, customer_id, in_force, held, wanted, now, overrides=overrides
    )
    if because and await _affects_slas(tx, seen["revision"], in_force.values(), moved=moved or tickets_moved):
        await _match_tickets(tx, customer_id, because, now, moved=tickets_moved)


def _reason(held: Mapping[str, Any]) -> Reason:
    override_id = held["override_id"]
    return Reason(held["rule_version"], UUID(override_id) if override_id else None)


async def _affects_slas(tx: Transaction, revision: int, in_force: Iterable[Segment], *, moved: bool) -> bool:
    await policies.in_force(tx, revision)
    read = policies.facts_in_use(tx)
    if read.customers or (moved and read.segments):
        return True
    wide = await broad_exceptions.IN_FORCE.at(tx, revision)
    return moved and (any(each.scope is Scope.segment for each in wide) or not all(each.judged for each in in_force))


async def memberships_affect_slas(tx: Transaction, *, moved: bool) -> bool:
    """Whether anything that is promised depends on who customers are, and where they belong if that has changed."""
    seen = await tx.row(_REVISIONS)
    assert seen is not None
    in_force = await segments.IN_FORCE.at(tx, seen["segment_revision"])
    return await _affects_slas(tx, seen["revision"], in_force.values(), moved=moved)


async def _match_tickets(tx: Transaction, customer_id: UUID, because: str, now: datetime, *, moved: bool) -> None:
    """Put a customer's open tickets under what is promised to them now; the rest, where they are very many, by a job at
    once. Where tickets were `moved` those that somebody holds are passed over, and the caller queues the job. Sends
    what is queued first."""
    await tx.flush()
    lock = _LOCK_OPEN_AND_FREE if moved else _LOCK_OPEN
    ids = [row["id"] for row in await tx.locked_rows(lock, customer_id=customer_id, most=_MOST)]
    if ids:
        context = await customer_context(tx, customer_id)
        for loaded in await lock_clocks(tx, ids):
            change = TicketChange(loaded, log.SYSTEM)
            await rematch_with_exceptions(tx, change, because, context)
            if change.entries:
                save(tx, change)
        await tx.flush()
    if len(ids) == _MOST:
        job_queue.queue(tx, job_queue.Kind.customer_changed, customer_id, now)
    elif not moved:
        job_queue.look_again(tx, job_queue.Kind.customer_changed, customer_id, now)
