"""Whose ticket it is: what conditions read of its customer, the segments they belong to, and the exceptions that are
granted to them. It comes with the read that opens a ticket, or by one of its own where a ticket is matched anew."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, case, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from app.customers.tables import customers, organizations
from app.db import Query, Transaction, Values
from app.events import log
from app.segments import membership_rows
from app.segments import service as segments
from app.segments.decide import Segment, decided
from app.segments.fields import CUSTOMER_COLUMNS, NO_HISTORY, ORGANIZATION_COLUMNS, facts_of
from app.segments.rules import Memberships
from app.segments.tables import segment_members
from app.sla.core.policy import Effect, Scope, SlaException
from app.sla.coverage import exceptions_from
from app.sla.tables import sla_exceptions

_m, _x = segment_members.c, sla_exceptions.c
# An opt-out of judgement is as if an exception had always excluded the segment's customers.
_ALWAYS = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class CustomerContext:
    """`segments` in their order; `facts` have `segment` and, where somebody reads them, the rest."""

    customer_id: UUID
    facts: Mapping[str, object] = field(default_factory=dict)
    segments: Sequence[Segment] = ()
    exceptions: Sequence[SlaException] = ()
    region: str | None = None
    # Nobody knows any more who they were, and where they belonged.
    erased: bool = False

    @property
    def first_segment(self) -> str | None:
        return self.segments[0].key if self.segments else None

    def applicable_exceptions(self, wide: Iterable[SlaException]) -> list[SlaException]:
        """What reaches them, of those that are for more than a ticket and not over."""
        unjudged = (
            SlaException(segment.id, Effect.exclude, frozenset(), _ALWAYS, scope=Scope.segment, of=segment.id)
            for segment in self.segments
            if not segment.judged
        )
        return [*unjudged, *(each for each in (*wide, *self.exceptions) if self.covers(each))]

    def covers(self, exception: SlaException) -> bool:
        if exception.scope is Scope.segment:
            return any(segment.id == exception.of for segment in self.segments)
        return exception.scope is not Scope.customer or exception.of == self.customer_id


_LIVE = or_(_x.expires_at.is_(None), _x.expires_at > func.clock_timestamp())


def _in_force_from(row: Any) -> ColumnElement[Any]:
    started = row.applies_to == literal_column("'started'")
    return case((started, func.greatest(row.starts_at, row.created_at)), else_=row.starts_at)


def as_json(row: Any) -> ColumnElement[Any]:
    """An exception's row as it stands in a ticket's row and in the log."""
    parts = {
        "id": row.id, "effect": row.effect, "metrics": row.metrics, "starts_at": _in_force_from(row),
        "expires_at": row.expires_at, "seconds": row.seconds, "scope": row.scope,
        "of": func.coalesce(row.customer_id, row.segment_id), "applies_to": row.applies_to,
    }  # fmt: skip
    named: list[Any] = []
    for name, part in parts.items():
        named += (literal_column(f"'{name}'"), part)
    return func.jsonb_build_object(*named)


def columns(customer: Any) -> list[ColumnElement[Any]]:
    """What is read of a customer in any case."""
    ids = select(_m.segment_id).where(_m.customer_id == customer.id, _m.until.is_(None)).correlate(customer.id.table)
    own = (
        select(func.jsonb_agg(as_json(_x), type_=JSONB))
        .where(_x.customer_id == customer.id, _x.kind == literal_column("'sla'"), _x.revoked_at.is_(None), _LIVE)
        .correlate(customer.id.table)
    )
    return [
        func.array(ids.scalar_subquery(), type_=ARRAY(Uuid)).label("segment_ids"),
        own.scalar_subquery().label("customer_exceptions"),
        segments.REVISION.label("segment_revision"),
        customer.region.label("customer_region"),
    ]


def fact_columns(customer: Any, organization: Any) -> list[ColumnElement[Any]]:
    """What conditions may read besides."""
    return [
        *(customer[name].label(f"customer_fact_{name}") for name in CUSTOMER_COLUMNS),
        organization.id.label("organization_fact_id"),
        *(organization[name].label(f"organization_fact_{name}") for name in ORGANIZATION_COLUMNS),
    ]


def facts_in(row: Values) -> dict[str, object]:
    """The facts in a row that has the `fact_columns`; none where it has not."""
    if "customer_fact_created_at" not in row or row["customer_fact_created_at"] is None:
        return {}
    customer = {name: row[f"customer_fact_{name}"] for name in CUSTOMER_COLUMNS}
    if row["organization_fact_id"] is None:
        return facts_of(customer, None)
    return facts_of(customer, {name: row[f"organization_fact_{name}"] for name in ORGANIZATION_COLUMNS})


async def context_from_row(tx: Transaction, customer_id: UUID, row: Values) -> CustomerContext:
    """From a row with `columns`, and perhaps `fact_columns`."""
    known = await segments.IN_FORCE.at(tx, row["segment_revision"])
    ids = set(row["segment_ids"])
    return context_of(
        customer_id, facts_in(row), [each for id_, each in known.items() if id_ in ids], row["customer_region"], row
    )


def context_of(
    customer_id: UUID,
    facts: Mapping[str, object],
    belongs_to: Sequence[Segment],
    region: str | None = None,
    row: Values | None = None,
) -> CustomerContext:
    """Somebody of these facts who belongs to these segments, in their order."""
    keys = Memberships(segment.key for segment in belongs_to)
    own = exceptions_from(row["customer_exceptions"]) if row is not None else ()
    return CustomerContext(customer_id, {**facts, "segment": keys}, belongs_to, own, region)


async def add_to_segments(
    tx: Transaction,
    who: log.ActorRef,
    customer_id: UUID,
    known: Mapping[str, Any],
    revision: int,
    now: datetime,
    organization: Mapping[str, Any] | None = None,
) -> CustomerContext:
    """Somebody who is being added, with the segments that they belong to from the start. `known` is what is known of
    them; they have had no ticket and no override."""
    customer = {**dict.fromkeys(CUSTOMER_COLUMNS), "attributes": {}, **known, "created_at": now}
    in_force = await segments.IN_FORCE.at(tx, revision)
    facts = facts_of(customer, organization)
    wanted = decided(in_force.values(), {**facts, **NO_HISTORY}, {})
    membership_rows.save_membership_changes(tx, who, customer_id, in_force, {}, wanted, now)
    return context_of(customer_id, facts, [in_force[id_] for id_ in wanted], customer["region"])


_READ = Query(
    select(
        customers.c.id,
        customers.c.erased_at.is_not(None).label("erased"),
        *columns(customers.c),
        *fact_columns(customers.c, organizations.c),
    )
    .select_from(customers.outerjoin(organizations, organizations.c.id == customers.c.organization_id))
    .where(customers.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
)


async def load_contexts(tx: Transaction, customer_ids: Iterable[UUID]) -> dict[UUID, CustomerContext]:
    """As they are now. One read for all of them."""
    rows = await tx.rows(_READ, ids=list(customer_ids))
    return {row["id"]: replace(await context_from_row(tx, row["id"], row), erased=row["erased"]) for row in rows}
