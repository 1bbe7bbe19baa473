"""How many hands are free: of those who are online, how many tickets more they would take. No clock says it, so it is
looked at, and kept where it is another number than before."""

from sqlalchemy import (
    Boolean,
    DateTime,
    SmallInteger,
    Uuid,
    column,
    func,
    insert,
    literal_column,
    select,
    table,
)

from app.agents.tables import agents
from app.availability.service import AVAILABLE, takes_capacity
from app.availability.tables import agent_availability
from app.db import Database, Query, Transaction
from app.outlook.tables import outlook_hands
from app.sla.core.outlook import idle_class

# A higher feature's table, by name.
TICKETS = table(
    "tickets",
    column("id", Uuid),
    column("priority"),
    column("imported", Boolean),
    column("status"),
    column("assignee_id", Uuid),
    column("snoozed_until", DateTime(timezone=True)),
)
_t, _v = TICKETS.c, agent_availability.c
_held = select(func.count()).where(*takes_capacity(_t, agents.c.id)).correlate(agents).scalar_subquery()
# Who went away, or is online and takes nothing, has no hand free. Two are as good as many.
_LOOK = Query(
    select(
        func.count().label("online"),
        func.coalesce(func.sum(func.greatest(_v.capacity - _held, 0)), 0).label("free"),
        func.clock_timestamp().label("now"),
    )
    .select_from(agents.join(agent_availability, _v.agent_id == agents.c.id))
    .where(AVAILABLE, _v.state == literal_column("'online'"))
)
LATEST = select(outlook_hands.c.idle).order_by(outlook_hands.c.at.desc()).limit(literal_column("1")).scalar_subquery()
_KNOWN = Query(select(LATEST.label("idle")))
_KEEP = Query(insert(outlook_hands), ["at", "idle"])


def idle_at(instant: object) -> object:
    """The class at an instant, as SQL: nobody, before anybody looked."""
    earlier = (
        select(outlook_hands.c.idle)
        .where(outlook_hands.c.at <= instant)
        .order_by(outlook_hands.c.at.desc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    return func.coalesce(earlier, literal_column("0", SmallInteger))


async def look_once(db: Database) -> bool:
    await db.run(_look)
    return False


async def _look(tx: Transaction) -> None:
    seen, known = await tx.row(_LOOK), await tx.row(_KNOWN)
    assert seen is not None
    assert known is not None
    idle = idle_class(seen["online"], int(seen["free"]))
    if idle != (known["idle"] or 0):
        tx.write(_KEEP, at=seen["now"], idle=idle)
