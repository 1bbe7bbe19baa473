"""What has been resolved for a while is closed, unless a person was asked for or an exception keeps it open."""

from uuid import UUID

from sqlalchemy import Integer, bindparam, func, literal_column, select

from app.db import Database, Query, Row, Transaction
from app.events import log
from app.sla.core.words import AutomationKey, Status
from app.sla.tables import sla_exceptions
from app.tickets.self_service.automations import excepted, is_on, named, segments_of
from app.tickets.self_service.tables import automations
from app.tickets.service import move
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets

_BATCH = 100
_KEY = AutomationKey.auto_close
_t = tickets.c
_RULE = Query(select(automations.c.settings, automations.c.version).where(is_on(_KEY)))
# What others are closing, or changing, is passed over. In the words of its index.
_DUE = Query(
    select(_t.id)
    .where(
        _t.status == literal_column("'resolved'"),
        ~_t.needs_human,
        _t.resolved_at <= func.clock_timestamp() - func.make_interval(0, 0, 0, bindparam("days", type_=Integer)),
        ~excepted(_KEY, _t.customer_id, segments_of(_t.customer_id), sla_exceptions.c.ticket_id == _t.id),
    )
    .order_by(_t.resolved_at, _t.id)
    .limit(literal_column(str(_BATCH)))
    .with_for_update(skip_locked=True, of=tickets)
)


async def turn(db: Database) -> bool:
    """Close a batch; whether there may be more. All of it commits together, so that who is killed has closed none."""
    return await db.run(_turn)


async def _turn(tx: Transaction) -> bool:
    rule = await tx.row(_RULE)
    if rule is None:
        return False
    due = await tx.locked_rows(_DUE, days=rule["settings"]["after_days"])
    for row in due:
        await _close(tx, rule, row["id"])
    return len(due) == _BATCH


async def _close(tx: Transaction, rule: Row, ticket_id: UUID) -> None:
    locked = await lock_ticket(tx, SYSTEM, ticket_id)
    move(tx, log.SYSTEM, locked, Status.closed, told=named(_KEY, rule["version"]))
