"""A range of deliveries sent again: what a receiver lost, or was away for."""

from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, SmallInteger, bindparam, func, literal_column, or_, select, tuple_, update

from app.auth.dependencies import Actor
from app.db import Query, Transaction
from app.events import log
from app.events.feed import parse_position
from app.events.tables import Xid8
from app.webhooks.retries import DeliveryState
from app.webhooks.schemas import Redelivery
from app.webhooks.service import AGAIN, active_webhook
from app.webhooks.tables import webhook_deliveries as deliveries

_AT_ONCE = 10_000
_d = deliveries.c


_TYPES = {"epoch": SmallInteger(), "xid": Xid8(), "id": BigInteger()}
_at = DateTime(timezone=True)
_place = tuple_(_d.event_epoch, _d.event_xid, _d.event_id)


def _position(side: str) -> Any:
    return tuple_(*(bindparam(f"{side}_{name}", type_=type_) for name, type_ in _TYPES.items()))


_BOUNDS = {
    "from_position": _place > _position("from"),
    "to_position": _place <= _position("to"),
    "from_time": _d.created_at >= bindparam("from_time", type_=_at),
    "to_time": _d.created_at < bindparam("to_time", type_=_at),
}


@cache
def _again(bounds: tuple[str, ...], failed_only: bool) -> Query:
    states = [DeliveryState.dead] if failed_only else [DeliveryState.dead, DeliveryState.delivered]
    some = (
        select(_d.webhook_id, _d.id)
        .where(
            _d.webhook_id == bindparam("webhook_id"),
            or_(*(_d.state == literal_column(f"'{state}'") for state in states)),
            *(_BOUNDS[name] for name in bounds),
        )
        .order_by(_d.id)
        .limit(literal_column(str(_AT_ONCE)))
        .with_for_update(skip_locked=True)
        .cte("some")
    )
    again = update(deliveries).where(_d.webhook_id == some.c.webhook_id, _d.id == some.c.id).values(AGAIN)
    changed = again.returning(_d.id).cte("changed")
    return Query(select(func.count().label("count")).select_from(changed))


async def redeliver_range(tx: Transaction, actor: Actor, webhook_id: UUID, body: Redelivery) -> dict[str, Any]:
    """How many are sent again, and whether there were more than one call sends. Raises Invalid and WebhookInactive."""
    given = {name: value for name, value in body.model_dump().items() if name in _BOUNDS and value is not None}
    bounds = tuple(given)
    for side in ("from", "to"):
        if (position := given.pop(f"{side}_position", None)) is not None:
            parsed = parse_position(position, f"/{side}_position")
            given |= {f"{side}_{name}": part for name, part in parsed._asdict().items()}
    row = await active_webhook(tx, webhook_id)
    found = await tx.locked_row(_again(bounds, body.failed_only), webhook_id=webhook_id, **given)
    assert found is not None
    count = found["count"]
    data = {"count": count, **body.model_dump(mode="json", exclude_none=True)}
    if count:
        log.record(tx, log.actor_ref(actor), "webhook.redelivered", webhook_id, row["now"], data, internal=True)
    return {"count": count, "more": count == _AT_ONCE}
