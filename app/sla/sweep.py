"""The sweep: notices warnings and breaches, each exactly once.

One statement claims the clocks that are due, decides again from the locked rows, marks them and writes the events.
There is no gap between claiming and telling in which a kill could lose one, any number of workers may run, and the
cost grows with what is due, not with what is open."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.db import Query, Row, Transaction
from app.events.tables import events
from app.sla.tables import sla_alerts, sla_clocks

BATCH = 500

_c = sla_clocks.c
# The statement's own start: what it decides by must not move while it runs.
_now = func.statement_timestamp()
_only = bindparam("ticket_id", type_=Uuid)
_due = (
    select(sla_clocks)
    .where(_c.next_at < _now, or_(_only.is_(None), _c.ticket_id == _only))
    .order_by(_c.next_at)
    .limit(bindparam("batch", type_=BigInteger))
    .with_for_update(skip_locked=True, key_share=True)
    .cte("due")
)
_until = func.least(_now, func.coalesce(_due.c.ended_at, _now))

# A warning by its percent, and the breach as percent 0.
_instants = (
    func.unnest(
        func.array_append(_due.c.warnings, _due.c.due_at),
        func.array_append(_due.c.warn_at_percent, cast(0, SmallInteger)),
    )
    .table_valued(column("at", DateTime(timezone=True)), column("percent", SmallInteger), name="instants")
    .render_derived()
)
_kind = case((_instants.c.percent == 0, literal("breached", Text)), else_=literal("at_risk", Text)).label("kind")
_fired = (
    select(
        _due.c.id, _due.c.ticket_id, _due.c.metric, _due.c.cycle, _due.c.target_seconds,
        _kind, _instants.c.percent, _instants.c.at,
    )
    .select_from(_due.join(_instants, true()))
    .where(_instants.c.at < _until)
    .cte("fired")
)  # fmt: skip
_later = func.unnest(func.array_append(_due.c.warnings, _due.c.due_at)).column_valued("later")
# A clock that comes back under a target that it broke before was noticed then.
_noticed = (
    select(sla_alerts.c.detected_at)
    .where(
        sla_alerts.c.clock_id == _due.c.id,
        sla_alerts.c.kind == "breached",
        sla_alerts.c.target_seconds == _due.c.target_seconds,
    )
    .scalar_subquery()
)
_marked = (
    update(sla_clocks)
    .where(_c.id == _due.c.id)
    .values(
        next_at=case(
            (_due.c.ended_at.is_(None), select(func.min(_later)).where(_later >= _now).scalar_subquery()), else_=null()
        ),
        detected_at=case(
            (_due.c.due_at < _until, func.coalesce(_due.c.detected_at, _noticed, func.clock_timestamp())),
            else_=_due.c.detected_at,
        ),
    )
    .returning(_c.id)
    .cte("marked")
)
_once = (
    pg_insert(sla_alerts)
    .from_select(
        ["clock_id", "kind", "target_seconds", "percent", "at"],
        select(_fired.c.id, _fired.c.kind, _fired.c.target_seconds, _fired.c.percent, _fired.c.at),
    )
    .on_conflict_do_nothing()
    .returning(sla_alerts)
    .cte("once")
)
_told = (
    insert(events)
    .from_select(
        ["type", "occurred_at", "actor_kind", "subject_id", "ticket_id", "internal", "imported", "data"],
        select(
            literal("sla.", Text) + _once.c.kind,
            _once.c.at,
            literal("system", Text),
            _once.c.clock_id,
            _fired.c.ticket_id,
            true(),
            false(),
            func.jsonb_build_object(
                "clock_id", _once.c.clock_id, "metric", _fired.c.metric, "cycle", _fired.c.cycle,
                "target_seconds", _once.c.target_seconds, "percent", _once.c.percent,
            ),
        )
        .select_from(_once.join(
            _fired,
            (_fired.c.id == _once.c.clock_id) & (_fired.c.percent == _once.c.percent),
        ))
        .order_by(_once.c.at, _once.c.clock_id),
    )
    .returning(events.c.type, events.c.occurred_at, events.c.recorded_at)
    .cte("told")
)  # fmt: skip
_SWEEP = Query(
    select(
        select(func.count()).select_from(_due).scalar_subquery().label("claimed"),
        _told.c.type,
        (func.extract("epoch", _told.c.recorded_at - _told.c.occurred_at)).label("lag_seconds"),
    )
    .select_from(select(literal_column("1")).subquery("one").outerjoin(_told, true()))
    .add_cte(_marked)
)

_ANY_DUE = Query(select(literal_column("1")).where(_c.next_at < _now).limit(literal_column("1")))


async def anything_due(tx: Transaction) -> bool:
    """One small read, for the many times that there is nothing to do."""
    return await tx.row(_ANY_DUE) is not None


async def sweep(tx: Transaction, batch: int = BATCH) -> list[Row]:
    """Handle up to `batch` clocks that are due. The rows tell of each alert, and how many clocks were `claimed`."""
    return await tx.locked_rows(_SWEEP, batch=batch, ticket_id=None)


async def sweep_ticket(tx: Transaction, ticket_id: UUID) -> None:
    """Handle what is due on one ticket, under a lock that the caller holds. Before its clocks get another target: what
    passed under the old one has happened."""
    await tx.locked_rows(_SWEEP, batch=BATCH, ticket_id=ticket_id)
