"""What has been resolved for a while is closed, unless a person was asked for or an exception keeps it open, the last
word is a customer's, or nobody has touched it since it was imported."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from app.automations.service import excepted, is_on, rule_ref
from app.automations.tables import automations
from app.db import Database, Query, Row, Transaction
from app.events import log
from app.events.tables import events
from app.segments.membership_rows import segments_of
from app.sla.core.enums import AutomationKey, Status
from app.sla.tables import sla_exceptions
from app.tickets.changes import TicketChange, save
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import messages, tickets

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
    # Nobody has touched it since it was imported, and no job has.
    ~and_(_t.imported, _t.version == literal_column("1")),
    _t.resolved_at <= func.clock_timestamp() - func.make_interval(0, 0, 0, bindparam("days", type_=Integer)),
)
_m, _e = messages.c, events.c
# What the service itself wrote answers nobody.
_last_author = (
    select(_m.author_kind)
    .where(
        _m.ticket_id == any_(func.array_append(_t.merged_from, _t.id)),
        _m.visibility == literal_column("'public'"),
        _m.author_kind != literal_column("'system'"),
    )
    .order_by(_m.created_at.desc(), _m.id.desc())
    .limit(literal_column("1"))
    .scalar_subquery()
)
_asked_last = and_(
    _last_author == literal_column("'customer'"),
    # An article answered it, as its customer said.
    _t.self_service.is_distinct_from(literal_column("'deflected'")),
)
_touched = exists().where(_e.ticket_id == _t.id, ~_e.imported, _e.actor_kind != literal_column("'system'"))
_only_imported = and_(_t.imported, ~_touched)
_kept = or_(
    excepted(_KEY, _t.customer_id, segments_of(_t.customer_id), sla_exceptions.c.ticket_id == _t.id),
    func.coalesce(_asked_last, false()),
    _only_imported,
)
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
    .with_for_update(skip_locked=True, key_share=True, of=tickets)
)
_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
_WHERE = "closing goes on after"


async def run_once(db: Database) -> bool:
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
    change = TicketChange(await lock_ticket(tx, SYSTEM, ticket_id), log.SYSTEM)
    change.set_status(Status.closed, extra_data=rule_ref(_KEY, rule["version"]))
    save(tx, change)
