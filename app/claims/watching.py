"""What the worker does for claims: it takes back what is not answered, and looks how the queue stands."""

from datetime import timedelta

from sqlalchemy import (
    Integer,
    bindparam,
    func,
    literal_column,
    or_,
    select,
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
# So many at the head of the line are looked at, those behind as it moves on; and so many claims that passed over them.
_MOST, _MOST_PASSED = 5_000, 20_000
_in_line = (CLAIMABLE, AWAKE)
_now = func.statement_timestamp().label("now")
_WAITING = Query(
    select(_t.waiting_since.label("since"), _now)
    .where(*_in_line)
    .order_by(_t.waiting_since)
    .limit(bindparam("most", type_=Integer))
)
# Those who came after the first in line and were claimed before them, and whose tickets did not come back.
_PASSED = Query(
    select(_k.waiting_since.label("since"))
    .where(
        _k.waiting_since.is_not(None),
        _k.waiting_since >= select(func.min(_t.waiting_since)).where(*_in_line).scalar_subquery(),
        or_(_k.outcome.is_(None), ~_k.outcome.in_([literal_column("'released'"), literal_column("'expired'")])),
    )
    .order_by(_k.waiting_since)
    .limit(literal_column(str(_MOST_PASSED)))
)
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
    seen, passed = await tx.row(_AS_SEEN), [row["since"] for row in await tx.rows(_PASSED)]
    rows = await tx.rows(_WAITING, most=_MOST + len(passed))
    waiting = [row["since"] for row in rows]
    now = rows[0]["now"] if rows else await tx.now()
    # Under oldest-first as many of the first who came as were claimed since would be gone, and these still there.
    came = sorted(waiting + passed)[len(passed) :]
    goes_on = seen is not None and seen["waiting"] and waiting
    worst = worst_wait(timedelta(seconds=seen["worst_seconds"] if seen and goes_on else 0), came, now)
    spare = spare_claims(waiting, came, worst) if len(passed) < _MOST_PASSED else 0
    tx.write(
        _KEEP, id=1, seen_at=now, waiting=len(waiting), worst_seconds=worst.total_seconds(),
        spare_claims=spare if waiting else None,
    )  # fmt: skip
