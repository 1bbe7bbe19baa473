"""Recompute who belongs to which segment and compare it with what is stored. What waits for a job that is not done, or
for an event that is not read, differs until then."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, literal, literal_column, or_, select

from app.customers.tables import customers
from app.db import Database, Query, Transaction
from app.memberships.figures import FIGURES
from app.memberships.jobs import decide_few
from app.segments import service as segments
from app.segments.bulk_decide import nobody, wanted
from app.segments.decide import Segment
from app.segments.tables import segment_members
from app.segments.tables import segments as segment_rows

_BATCH = 20_000
_c, _m = customers.c, segment_members.c
_after, _upto = bindparam("after", type_=Uuid), bindparam("upto", type_=Uuid)
_some = select(_c.id).where(_c.id > _after).order_by(_c.id).limit(literal_column(str(_BATCH))).subquery()
_UPTO = Query(
    select(
        func.count().label("customers"),
        select(_some.c.id).order_by(_some.c.id.desc()).limit(literal_column("1")).scalar_subquery().label("upto"),
    ).select_from(_some)
)
_SEGMENTS = Query(select(segment_rows).order_by(segment_rows.c.position, segment_rows.c.id))


@dataclass(frozen=True, slots=True)
class MembershipDifference:
    customer_id: UUID
    segment: Segment
    field: str
    stored: object
    computed: object


def _comparison(segment: Segment, *, archived: bool) -> Query:
    who = nobody() if archived else wanted(segment, FIGURES)
    computed = who.where(_c.id > _after, _c.id <= _upto).subquery()
    now = and_(_m.customer_id == computed.c.customer_id, _m.segment_id == literal(segment.id, Uuid), _m.until.is_(None))
    stored = _m.customer_id.is_not(None)
    return Query(
        select(
            computed.c.customer_id, computed.c.wanted, computed.c.override_id, stored.label("stored"),
            _m.override_id.label("stored_override_id"),
        )
        .select_from(computed.outerjoin(segment_members, now))
        .where(
            or_(
                computed.c.wanted.is_distinct_from(stored),
                and_(stored, _m.override_id.is_distinct_from(computed.c.override_id)),
            )
        )
    )  # fmt: skip


async def verify_members(db: Database) -> AsyncIterator[tuple[int, list[MembershipDifference]]]:
    """How many customers each batch held, and what differs in it; each is read in one snapshot of its own."""
    after: UUID | None = UUID(int=0)
    compiled: dict[object, Query] = {}
    while after is not None:
        async with db.transaction() as tx:
            await tx.snapshot()
            row = await tx.row(_UPTO, after=after)
            assert row is not None
            if not row["customers"]:
                return
            found = await _differences(tx, compiled, after, row["upto"])
        yield row["customers"], found
        after = row["upto"]


async def _differences(
    tx: Transaction, compiled: dict[object, Query], after: UUID, upto: UUID
) -> list[MembershipDifference]:
    found: list[MembershipDifference] = []
    for row in await tx.rows(_SEGMENTS):
        archived = row["archived_at"] is not None
        key = row["id"], row["version"], archived
        segment = segments.as_segment(row)
        if key not in compiled:
            compiled[key] = _comparison(segment, archived=archived)
        rows = await tx.rows(compiled[key], after=after, upto=upto)
        found += [_difference(each, segment) for each in rows]
    return found


def _difference(row: Any, segment: Segment) -> MembershipDifference:
    if row["stored"] != row["wanted"]:
        return MembershipDifference(row["customer_id"], segment, "member", row["stored"], row["wanted"])
    stored, computed = row["stored_override_id"], row["override_id"]
    return MembershipDifference(row["customer_id"], segment, "override_id", stored, computed)


async def repair_members(db: Database, found: list[MembershipDifference]) -> None:
    """Decide on these customers anew; their open tickets follow by jobs."""
    ids = sorted({each.customer_id for each in found})
    some = list({each.segment.id: each.segment for each in found}.values())

    async def unit(tx: Transaction) -> None:
        in_force = await segments.IN_FORCE.now(tx)
        await decide_few(tx, ids, [segment for segment in some if segment.id in in_force])
        await decide_few(tx, ids, [segment for segment in some if segment.id not in in_force], archived=True)

    await db.run(unit)
