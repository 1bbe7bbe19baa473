"""What the worker does for claims: it takes back what is not answered, and looks how the queue stands."""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert

from app.claims.service import AWAKE, CLAIMABLE, END, Outcome, take_back
from app.claims.tables import claim_queue, ticket_claims
from app.db import Database, Query, Row, Transaction
from app.events import log
from app.sla.core.enums import DONE, Status
from app.sla.core.next_answer import spare_claims, worst_wait
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets

_BATCH = 100
_k, _t = ticket_claims.c, tickets.c
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
_AS_SEEN = Query(select(claim_queue.c.waiting, claim_queue.c.worst_seconds))
# No more of the line is looked at: those behind come into it as it moves on.
_MOST = 10_000
_most: ColumnElement[int] = literal_column(str(_MOST))
_in_line = (CLAIMABLE, AWAKE)
_STANDS = Query(
    select(func.count().label("waiting"), func.clock_timestamp().label("now")).select_from(tickets).where(*_in_line)
)
_WAITING = Query(select(_t.waiting_since.label("since")).where(*_in_line).order_by(_t.waiting_since).limit(_most))
# Who came: those who wait, and those whose tickets were claimed and did not come back.
_claimed = select(_k.waiting_since.label("since")).where(
    _k.waiting_since.is_not(None),
    or_(_k.outcome.is_(None), ~_k.outcome.in_([literal_column("'released'"), literal_column("'expired'")])),
)
_number = bindparam("number", type_=Integer)


def _last(statement: Select[Any], since: ColumnElement[Any]) -> Select[Any]:
    return statement.order_by(since.desc()).limit(_number).subquery().select()


_all = union_all(
    _last(select(_t.waiting_since.label("since")).where(*_in_line), _t.waiting_since),
    _last(_claimed, _k.waiting_since),
).subquery()
_the_last = select(_all.c.since).order_by(_all.c.since.desc()).limit(_number).subquery()
_CAME = Query(select(_the_last.c.since).order_by(_the_last.c.since).limit(_most))
_SEEN = ["seen_at", "waiting", "worst_seconds", "spare_claims"]
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
    await tx.snapshot()
    stands, seen = await tx.row(_STANDS), await tx.row(_AS_SEEN)
    assert stands is not None
    number, now = stands["waiting"], stands["now"]
    waiting = [row["since"] for row in await tx.rows(_WAITING)]
    came = [row["since"] for row in await tx.rows(_CAME, number=number)]
    goes_on = seen is not None and seen["waiting"] and number
    worst = worst_wait(timedelta(seconds=seen["worst_seconds"] if seen and goes_on else 0), came, now)
    tx.write(
        _KEEP, id=1, seen_at=now, waiting=number, worst_seconds=worst.total_seconds(),
        spare_claims=spare_claims(waiting, came, worst) if number else None,
    )  # fmt: skip
