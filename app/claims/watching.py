"""What the worker does for claims: it takes back what is not answered, and looks how the queue stands."""

from datetime import timedelta

from sqlalchemy import Double, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from app.claims.service import CLAIMABLE, END, Outcome, take_back
from app.claims.tables import claim_queue, ticket_claims
from app.db import Database, Query, Row, Transaction
from app.events import log
from app.sla.core.enums import DONE, Status
from app.sla.core.next_answer import Queue
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets

_BATCH = 100
# The pace is that of the claims of so long.
_PACE = timedelta(minutes=10)
_k, _q, _t = ticket_claims.c, claim_queue.c, tickets.c
_newer = ticket_claims.alias("newer")
_DUE = Query(
    select(
        ticket_claims,
        select(_newer.c.id)
        .where(_newer.c.ticket_id == _k.ticket_id, _newer.c.claimed_at > _k.claimed_at)
        .exists()
        .label("claimed_since"),
    )
    .where(_k.ended_at.is_(None), _k.answer_by <= func.statement_timestamp())
    .order_by(_k.answer_by)
    .limit(bindparam("most", _BATCH))
    .with_for_update(of=ticket_claims, skip_locked=True)
)
_AS_SEEN = Query(select(claim_queue))
_RECENT = Query(
    select(func.count().label("claims"), func.statement_timestamp().label("now"))
    .select_from(ticket_claims)
    .where(_k.claimed_at > func.statement_timestamp() - _PACE)
)
_row_number = func.row_number().over(order_by=(_t.waiting_since, _t.id))
_one_pace = func.make_interval(0, 0, 0, 0, 0, 0, bindparam("pace_seconds", type_=Double))
_places = select((_t.waiting_since - _row_number * _one_pace).label("reached")).where(CLAIMABLE).subquery()
# `oldest_first_from` of the core, but for the longest wait, which is the same for all of them.
_STANDS = Query(select(func.count().label("waiting"), func.min(_places.c.reached).label("first_reached")))
_SEEN = ["seen_at", "waiting", "pace_seconds", "worst_seconds", "oldest_first_from"]
_statement = insert(claim_queue)
_KEEP = Query(
    _statement.on_conflict_do_update(index_elements=["id"], set_={name: _statement.excluded[name] for name in _SEEN}),
    ["id", *_SEEN],
)


async def take_back_once(db: Database) -> bool:
    """Take back what is due; whether there may be more."""
    return await db.run(_take_back_due)


async def _take_back_due(tx: Transaction) -> bool:
    due = await tx.locked_rows(_DUE)
    for claim in sorted(due, key=lambda row: row["ticket_id"]):
        await _end(tx, claim)
    return len(due) == _BATCH


async def _end(tx: Transaction, claim: Row) -> None:
    locked = await lock_ticket(tx, SYSTEM, claim["ticket_id"])
    ticket = locked.ticket
    if ticket["assignee_id"] != claim["agent_id"] or claim["claimed_since"]:
        tx.write(END, key_id=claim["id"], ended_at=locked.now, outcome=Outcome.reassigned.value)
        return
    since = ticket["waiting_since"]
    if Status(ticket["status"]) in DONE or since is None or since > claim["claimed_at"]:
        tx.write(END, key_id=claim["id"], ended_at=locked.now, outcome=Outcome.answered.value)
        return
    take_back(tx, log.SYSTEM, locked, claim, Outcome.expired)


async def look_once(db: Database) -> bool:
    """Keep how the queue stands. Two workers who look at once keep the same."""
    await db.run(_look)
    return False


async def _look(tx: Transaction) -> None:
    recent = await tx.row(_RECENT)
    assert recent is not None
    pace = _PACE / recent["claims"] if recent["claims"] else timedelta(0)
    stands = await tx.row(_STANDS, pace_seconds=pace.total_seconds())
    assert stands is not None
    seen = await tx.row(_AS_SEEN)
    before = None
    if seen:
        longs = (timedelta(seconds=seen[name]) for name in ("pace_seconds", "worst_seconds"))
        before = Queue(seen["waiting"], *longs)
    queue = Queue.after(before, stands["waiting"], pace)
    # Where nobody has claimed anything, nothing is known of how long anybody would wait.
    known = stands["waiting"] and recent["claims"]
    tx.write(
        _KEEP, id=1, seen_at=recent["now"], waiting=queue.waiting, pace_seconds=pace.total_seconds(),
        worst_seconds=queue.worst.total_seconds(),
        oldest_first_from=stands["first_reached"] + queue.longest if known else None,
    )  # fmt: skip
