"""How true outlooks were: what was said when somebody began to wait, against what came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan

from sqlalchemy import BigInteger, DateTime, bindparam, or_, select

from app.db import Database, Query, Transaction
from app.outlook.tables import outlook_waits
from app.sla.core.outlook import REMEMBERED, SAID, Told, Wait, came, pinball
from app.web import metrics

MOST_SCORED = 20_000
_w = outlook_waits.c
_from, _to = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_", "to"))
_TOLD = Query(
    select(_w.said, _w.seconds, _w.answered)
    .where(
        _w.said.is_not(None),
        _w.seconds.is_not(None),
        or_(_from.is_(None), _w.ended_at >= _from),
        or_(_to.is_(None), _w.ended_at < _to),
    )
    .order_by(_w.ended_at.desc(), _w.clock_id.desc())
    .limit(bindparam("most", type_=BigInteger))
)


@dataclass(frozen=True, slots=True)
class Score:
    """`came` is the share that came within what was said, for each of SAID; None where nobody was told anything."""

    told: int
    came: Sequence[float] | None
    loss_seconds: float | None


async def score(
    tx: Transaction, from_: datetime | None = None, to: datetime | None = None, most: int = MOST_SCORED
) -> Score:
    """Of those of the span whose wait is over and remembered: the newest."""
    rows = await tx.rows(_TOLD, from_=from_, to=to, most=most)
    told = [Told(tuple(row["said"]), Wait(row["seconds"], row["answered"])) for row in rows]
    loss = pinball(told)
    return Score(len(told), came(told) if told else None, None if isnan(loss) else loss)


async def publish_once(db: Database) -> bool:
    """Into the figures for Prometheus: of the last who waited."""
    async with db.transaction(reads=True) as tx:
        found = await score(tx, most=REMEMBERED)
    metrics.OUTLOOKS_SCORED.set(found.told)
    for said, share in zip(SAID, found.came or (), strict=False):
        metrics.OUTLOOK_CAME.labels(f"{said:g}").set(share)
    if found.loss_seconds is not None:
        metrics.OUTLOOK_LOSS.set(found.loss_seconds)
    return False
