"""Which deliveries go out next, as statements. A claim takes a little of each endpoint and the oldest of that, so that
what has piled up at one delays no other; a delivery that is claimed is leased, and somebody else's once that ends."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    LargeBinary,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.db import Query
from app.statements import rows_of
from app.webhooks.retries import DeliveryState
from app.webhooks.tables import webhook_deliveries as deliveries
from app.webhooks.tables import webhook_secrets as secrets
from app.webhooks.tables import webhooks

# Longer than an attempt can take, with what it may wait for its record.
LEASE: ColumnElement[Any] = literal_column("interval '60 seconds'")
# At one endpoint at a time, in one process.
MOST = 32
# What an endpoint gets that has not shown yet that it answers.
FRESH = 2

_w, _d, _s = webhooks.c, deliveries.c, secrets.c
_NOW = func.statement_timestamp()
# In the statement, where the planner sees that the index fits.
PENDING: ColumnElement[str] = literal_column(f"'{DeliveryState.pending}'")

_busy = rows_of({"busy_id": Uuid, "room": Integer}, "busy")
_has_room = func.coalesce(_busy.c.room, literal_column(str(FRESH)))
_probed = _w.open_until.is_not(None)
# Once its pause is over an endpoint gets one delivery, on which it depends what comes then.
_open = (
    select(
        _w.id, _w.url, _probed.label("probe"),
        case((_probed, func.least(_has_room, literal_column("1"))), else_=_has_room).label("room"),
    )
    .select_from(webhooks.outerjoin(_busy, _busy.c.busy_id == _w.id))
    .where(_w.active, or_(~_probed, _w.open_until <= _NOW))
    .cte("open")
)  # fmt: skip
_due = (
    select(_d.id, _d.next_at)
    .where(_d.webhook_id == _open.c.id, _d.state == PENDING, _d.next_at <= _NOW)
    .order_by(_d.next_at)
    .limit(literal_column(str(MOST)))
    .with_for_update(skip_locked=True)
    .lateral("due")
)
_placed = (
    select(
        _open.c.id.label("webhook_id"), _open.c.url, _open.c.probe, _open.c.room, _due.c.id, _due.c.next_at,
        func.row_number().over(partition_by=_open.c.id, order_by=_due.c.next_at).label("place"),
    )
    .select_from(_open.join(_due, true()))
    .where(_open.c.room > literal_column("0"))
    .subquery("placed")
)  # fmt: skip
_chosen = (
    select(_placed.c.webhook_id, _placed.c.id, _placed.c.url, _placed.c.probe)
    .where(_placed.c.place <= _placed.c.room)
    .order_by(_placed.c.place, _placed.c.next_at)
    .limit(bindparam("most"))
    .cte("chosen")
)
_claimed = (
    update(deliveries)
    .where(_d.webhook_id == _chosen.c.webhook_id, _d.id == _chosen.c.id)
    .values(next_at=_NOW + LEASE, attempts=_d.attempts + 1)
    .returning(
        _d.webhook_id, _d.id, _d.event_epoch, _d.event_xid, _d.event_id, _d.event_at,
        _d.type, _d.attempts, _d.give_up_at, _d.created_at,
        _d.next_at.label("lease"),
    )
    .cte("claimed")
)  # fmt: skip
_tried = webhooks.alias("tried")
# Whoever holds one of them is about to say how it stands: a claim waits for nobody.
_to_probe = (
    select(_tried.c.id)
    .where(_tried.c.id.in_(select(_chosen.c.webhook_id).where(_chosen.c.probe)))
    .order_by(_tried.c.id)
    .with_for_update(key_share=True, skip_locked=True)
    .cte("to_probe")
)
_probing = update(webhooks).where(_w.id.in_(select(_to_probe.c.id))).values(open_until=_NOW + LEASE).cte("probing")


def _secrets(of: Any, name: str, type_: Any) -> Any:
    newest = func.array_agg(aggregate_order_by(of, _s.created_at.desc()), type_=ARRAY(type_))
    valid = and_(_s.webhook_id == _claimed.c.webhook_id, or_(_s.expires_at.is_(None), _s.expires_at > _NOW))
    return select(newest).where(valid).correlate(_claimed).scalar_subquery().label(name)


_same = and_(_chosen.c.webhook_id == _claimed.c.webhook_id, _chosen.c.id == _claimed.c.id)
CLAIM = Query(
    select(
        _claimed, _chosen.c.url, _chosen.c.probe, _NOW.label("now"),
        _secrets(_s.secret, "secrets", LargeBinary), _secrets(_s.sealed, "sealed", _s.sealed.type),
    )
    .select_from(_claimed.join(_chosen, _same))
    .add_cte(_probing)
)  # fmt: skip
