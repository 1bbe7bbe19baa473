"""What this process knows of the curves: those that became another one since it last looked are read anew."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select

from app.db import Query, Transaction
from app.outlook.tables import outlook_curves, outlook_revision
from app.sla.core.enums import Priority
from app.sla.core.outlook import NEEDED, Curve, Key, Outlook, asked_for, outlook

_c = outlook_curves.c
REVISION = select(outlook_revision.c.revision).scalar_subquery()
_REVISION = Query(select(outlook_revision.c.revision))
_SINCE = Query(
    select(REVISION.label("current"), outlook_curves)
    .where(_c.revision > bindparam("revision", type_=_c.revision.type))
    .order_by(_c.revision)
)
_ANY = -1


@dataclass(slots=True)
class Curves:
    """As of a revision."""

    revision: int = 0
    known: dict[Key, Curve] = field(default_factory=dict)
    # Those that were asked for since a curve was another one.
    outlooks: dict[tuple[Priority, int, int], Outlook | None] = field(default_factory=dict)

    def outlook(self, priority: Priority, ahead: int, idle: int) -> Outlook | None:
        """None where too little is known."""
        asked = priority, ahead, idle
        if asked not in self.outlooks:
            self.outlooks[asked] = outlook([self._curve(priority, each, idle) for each in range(ahead + 1)])
        return self.outlooks[asked]

    def _curve(self, priority: Priority, ahead: int, idle: int) -> Curve | None:
        return next((self.known[key] for key in asked_for(priority, ahead, idle) if key in self.known), None)


async def curves_now(tx: Transaction) -> Curves:
    row = await tx.row(_REVISION)
    assert row is not None  # its one row is a migration's
    return await curves(tx, row["revision"])


async def curves(tx: Transaction, revision: int) -> Curves:
    """As of this revision or a later one. A caller has the revision from a statement of its own."""
    held: Curves = tx.memo.setdefault(Curves, Curves())
    if held.revision < revision:
        for row in await tx.rows(_SINCE, revision=held.revision):
            key = _stored_key(row["priority"], row["ahead"], row["idle"])
            if row["waits"] < NEEDED:
                held.known.pop(key, None)
            else:
                held.known[key] = Curve(tuple(row["seconds"]), tuple(row["shares"]))
            held.revision = max(held.revision, row["revision"])
        held.revision = max(held.revision, revision)
        held.outlooks.clear()
    return held


def key_columns(key: Key) -> dict[str, Any]:
    """A key as the table has it: nothing there is null."""
    return {
        "priority": key.priority or "",
        "ahead": _ANY if key.ahead is None else key.ahead,
        "idle": _ANY if key.idle is None else key.idle,
    }


def _stored_key(priority: str, ahead: int, idle: int) -> Key:
    return Key(
        Priority(priority) if priority else None, None if ahead == _ANY else ahead, None if idle == _ANY else idle
    )
