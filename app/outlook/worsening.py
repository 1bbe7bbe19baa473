"""Who waits is told when their outlook becomes much worse than what they were told. The worker looks; an event says so,
and holds what is likely now, so that what was said is not left standing."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Double, Uuid, bindparam, column, func, literal_column, select, update

from app.db import Database, Query, Row, Transaction
from app.events import log
from app.outlook.curves import Curves, curves
from app.outlook.queue_position import FIRST_IN_LINE, queue_now
from app.outlook.tables import outlook_waits
from app.release import understood, word
from app.sla import calendars, clocks
from app.sla.core.clock import Clock
from app.sla.core.enums import Priority
from app.sla.core.outlook import SAID, ahead_class
from app.sla.tables import sla_clocks

# Much worse is longer, from beginning to end, by half of what was told last and by so much at least.
MORE_SECONDS, MORE_SHARE = 60.0, 0.5
# So many at the head of the queue are looked at, those behind as it moves on.
_MOST = 1_000
_c, _w = sla_clocks.c, outlook_waits.c
_waiting, _order = FIRST_IN_LINE
_LINE = Query(
    select(
        _c.id,
        _c.ticket_id,
        *(_c[name] for name in clocks.LOADED),
        _w.priority.label("wait_priority"),
        func.coalesce(_w.told_seconds, _w.said[len(SAID)]).label("told"),
    )
    .select_from(sla_clocks.outerjoin(outlook_waits, _w.clock_id == _c.id))
    .where(*_waiting)
    .order_by(*_order)
    .limit(literal_column(str(_MOST)))
)
_worse = (
    func.unnest(
        bindparam("clock_ids", type_=ARRAY(Uuid)),
        bindparam("seconds", type_=ARRAY(Double)),
        bindparam("told", type_=ARRAY(Double)),
    )
    .table_valued(column("clock_id", Uuid), column("seconds", Double), column("told", Double))
    .render_derived(name="worse")
)
# Of two workers that saw the same, one tells of it.
_TELL = Query(
    update(outlook_waits)
    .values(told_seconds=_worse.c.seconds)
    .where(
        _w.clock_id == _worse.c.clock_id,
        func.coalesce(_w.told_seconds, _w.said[len(SAID)]) == _worse.c.told,
        _w.ended_at.is_(None),
    )
    .returning(_w.clock_id)
)


async def look_once(db: Database) -> bool:
    await db.run(_look)
    return False


async def _look(tx: Transaction) -> None:
    rows = await tx.rows(_LINE)
    if not any(row["told"] is not None for row in rows):
        return
    now_row = await queue_now(tx)
    known, now, idle = await curves(tx, now_row["outlook_revision"]), now_row["now"], now_row["idle"]
    versions = await calendars.versions_of(tx, rows)

    def worse(numbered: tuple[int, Row]) -> dict[str, Any] | None:
        ahead, row = numbered
        if row["told"] is None:
            return None
        return _worse_than_told(known, row, clocks.as_clock(row, versions), ahead, idle, now)

    found = [each for each in understood(worse, enumerate(rows)) if each]
    if not found:
        return
    names = {"clock_ids": "clock_id", "seconds": "seconds", "told": "told"}
    told = await tx.locked_rows(_TELL, **{name: [each[of] for each in found] for name, of in names.items()})
    to_tell = {row["clock_id"] for row in told}
    for each in found:
        if each["clock_id"] in to_tell:
            ticket_id = each["ticket_id"]
            log.record(tx, log.SYSTEM, "ticket.outlook_worsened", ticket_id, now, each["data"], ticket_id=ticket_id)


def _worse_than_told(
    known: Curves, row: Row, clock: Clock, ahead: int, idle: int, now: datetime
) -> dict[str, Any] | None:
    """None where it is not much worse, or where nothing can be said. Raises NewerRelease."""
    likely = known.outlook(word(Priority, row["wait_priority"]), ahead_class(ahead), idle)
    if likely is None or clock.paused:
        return None
    told: float = row["told"]
    so_far = clock.elapsed(now).total_seconds()
    whole = so_far + likely.by[-1]
    if whole <= told + max(MORE_SECONDS, MORE_SHARE * told):
        return None
    by = {f"p{round(100 * share)}": clock.later(now, seconds) for share, seconds in zip(SAID, likely.by, strict=True)}
    before = clock.later(now, told - so_far) if told > so_far else now - timedelta(seconds=so_far - told)
    data = {**by, "told_before": before}
    return {"clock_id": row["id"], "ticket_id": row["ticket_id"], "seconds": whole, "told": told, "data": data}
