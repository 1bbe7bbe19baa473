"""What has been resolved for a while is closed, unless a person was asked for or an exception keeps it open."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Uuid, any_, bindparam, func, literal_column, select, tuple_

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
# So many are looked at in one turn: an exception may keep very many of the oldest open.
_STRETCH = 1_000
_KEY = AutomationKey.auto_close
_t = tickets.c
_RULE = Query(select(automations.c.settings, automations.c.version).where(is_on(_KEY)))
# In the words of its index.
_ripe = (
    _t.status == literal_column("'resolved'"),
    ~_t.needs_human,
    _t.resolved_at <= func.clock_timestamp() - func.make_interval(0, 0, 0, bindparam("days", type_=Integer)),
)
_kept = excepted(_KEY, _t.customer_id, segments_of(_t.customer_id), sla_exceptions.c.ticket_id == _t.id)
_place = tuple_(_t.resolved_at, _t.id)
_LOOK = Query(
    select(_t.id, _t.resolved_at, _kept.label("kept"))
    .where(*_ripe, _place > tuple_(bindparam("after_at", type_=_t.resolved_at.type), bindparam("after_id", type_=Uuid)))
    .order_by(_t.resolved_at, _t.id)
    .limit(bindparam("most", type_=Integer))
)
# What others are closing, or changing, is passed over.
_LOCK = Query(
    select(_t.id)
    .where(*_ripe, ~_kept, _t.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(_t.id)
    .with_for_update(skip_locked=True, of=tickets)
)
_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
_WHERE = "closing goes on after"


async def turn(db: Database) -> bool:
    """Close a batch; whether there may be more. All of it commits together, so that who is killed has closed none."""
    return await db.run(_turn)


async def _turn(tx: Transaction) -> bool:
    rule = await tx.row(_RULE)
    if rule is None:
        return False
    days = rule["settings"]["after_days"]
    after_at, after_id = tx.memo.get(_WHERE, _FIRST)
    seen = await tx.rows(_LOOK, days=days, after_at=after_at, after_id=after_id, most=_STRETCH)
    due = [row for row in seen if not row["kept"]][:_BATCH]
    # What is passed over now is looked at again from the beginning on, a little later.
    last = due[-1] if len(due) == _BATCH else seen[-1] if len(seen) == _STRETCH else None
    tx.memo[_WHERE] = (last["resolved_at"], last["id"]) if last else _FIRST
    if due:
        for row in await tx.locked_rows(_LOCK, days=days, ids=[row["id"] for row in due]):
            await _close(tx, rule, row["id"])
    return last is not None


async def _close(tx: Transaction, rule: Row, ticket_id: UUID) -> None:
    locked = await lock_ticket(tx, SYSTEM, ticket_id)
    move(tx, log.SYSTEM, locked, Status.closed, told=named(_KEY, rule["version"]))
