"""What the worker does with tickets."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select

from app.auth.guard import Actor
from app.auth.roles import SCOPES, Role
from app.db import Database, Query, Transaction
from app.events import log
from app.sla import policies
from app.sla.tables import sla_clocks, sla_policies
from app.tickets.store import apply, lock_ticket, recover, update_ticket

_BATCH = 100
# Stands for nobody: it may touch every ticket, and the log names the system.
_SYSTEM = Actor(UUID(int=0), Role.service, SCOPES)
# A ticket that opened just before a policy was archived may commit just after, under it: so look again for a while.
_SETTLED_AFTER = timedelta(seconds=30)
_UNSETTLED = Query(
    select(sla_policies.c.id).where(sla_policies.c.archived_at > func.clock_timestamp() - _SETTLED_AFTER).limit(1)
)
_LEFT_BEHIND = Query(
    select(sla_clocks.c.ticket_id)
    .join(sla_policies, sla_policies.c.id == sla_clocks.c.policy_id)
    .where(sla_policies.c.archived_at.is_not(None), sla_clocks.c.ended_at.is_(None))
    .distinct()
    .limit(_BATCH)
)


async def rematch_archived(db: Database) -> bool:
    """Put tickets whose running clocks stand under an archived policy under the one that is in force now. Looks only
    after a policy was written, because looking costs a scan of the open clocks; whether there may be more."""
    async with db.transaction() as tx:
        revision = await policies.revision_now(tx)
        if tx.memo.get("rematched") == revision:
            return False
        left = [row["ticket_id"] for row in await tx.rows(_LEFT_BEHIND)]
        if not left and await tx.row(_UNSETTLED) is None:
            tx.memo["rematched"] = revision
    for ticket_id in left:
        await db.run(lambda tx, id_=ticket_id: _rematch(tx, id_))  # type: ignore[misc]
    return bool(left)


async def _rematch(tx: Transaction, ticket_id: UUID) -> None:
    locked = await lock_ticket(tx, _SYSTEM, ticket_id)
    apply(tx, log.SYSTEM, locked, [await recover(tx, locked, locked.ticket)])
    update_ticket(tx, locked, {})
