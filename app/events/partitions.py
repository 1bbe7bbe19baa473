"""The log's months: made before they begin, dropped when nobody wants them any more. What may be done is the owner's to
say: functions of migration 0009, which the service may call."""

from datetime import timedelta

from sqlalchemy import Interval, bindparam, func, select

from app.db import Database, Query
from app.events import feed

# Months beside the present one that are always there. Where none is, rows go to the default partition.
_AHEAD = 2
_MAKE = Query(select(func.make_event_partitions(_AHEAD).label("made")))
_DROP = Query(select(func.drop_event_partitions(bindparam("keep", type_=Interval)).label("dropped")))


async def settle_epoch(db: Database) -> None:
    """To be called at a start and now and then: a failover is noticed by that."""
    async with db.transaction() as tx:
        await feed.settle_epoch(tx)


async def run_once(db: Database, keep_days: int | None) -> bool:
    """Make what is missing, drop what is past `keep_days`; whether anything was done."""
    async with db.transaction() as tx:
        [made] = await tx.locked_rows(_MAKE)
    if keep_days is None:
        return bool(made["made"])
    async with db.transaction() as tx:
        [dropped] = await tx.locked_rows(_DROP, keep=timedelta(days=keep_days))
    return bool(made["made"] or dropped["dropped"])
