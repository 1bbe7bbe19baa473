"""Which tickets follow up closed ones: what a customer writes on one of those goes there."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, literal_column, select, true

from app.auth.dependencies import Actor
from app.db import Query, Transaction
from app.tickets.queries import FOR_CUSTOMER
from app.tickets.tables import ticket_links, tickets

_l = ticket_links.c
_is_follow_up = _l.kind == literal_column("'follow_up_of'")
_roots = select(func.unnest(bindparam("roots", type_=ARRAY(Uuid))).label("id")).cte("linked", recursive=True)
_further = (
    select(_l.source_id.label("id"))
    .where(_l.target_id == _roots.c.id, _is_follow_up)
    .union_all(select(tickets.c.merged_into).where(tickets.c.id == _roots.c.id, tickets.c.merged_into.is_not(None)))
    .lateral("further")
)
# However far down, also through merges, the newest first.
_linked = _roots.union(select(_further.c.id).select_from(_roots.join(_further, true())))
_FOLLOW_UPS = Query(
    select(tickets.c.id)
    .where(
        tickets.c.id.in_(select(_linked.c.id)),
        tickets.c.customer_id == bindparam("customer_id"),
        FOR_CUSTOMER,
        tickets.c.status != literal_column("'closed'"),
    )
    .order_by(tickets.c.created_at.desc(), tickets.c.id.desc())
)


async def open_follow_ups(tx: Transaction, actor: Actor, roots: Sequence[UUID], customer_id: UUID) -> list[UUID]:
    """Those of this customer that are not closed and that the caller sees, however far down, also through merges; the
    newest first."""
    rows = await tx.rows(_FOLLOW_UPS, roots=roots, customer_id=customer_id, for_customer=actor.customer_id)
    return [row["id"] for row in rows]
