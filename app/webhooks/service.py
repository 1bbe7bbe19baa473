"""Webhooks: made, changed, turned off; their secrets; deliveries asked for by people."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Conflict, Invalid, NotFound
from app.events import log
from app.events.resource import Resource
from app.settings import Settings
from app.web.paging import Clause, Listing, Order, is_any
from app.webhooks import payloads, planning, targets
from app.webhooks.retries import KEPT_TRYING, DeliveryState
from app.webhooks.schemas import SecretRotation, WebhookIn, WebhookPatch
from app.webhooks.signing import Vault, key_of, make_secret
from app.webhooks.tables import webhook_deliveries as deliveries
from app.webhooks.tables import webhook_secrets as secrets
from app.webhooks.tables import webhooks

_HEALTHY = {"disabled_reason": None, "failures": 0, "open_until": None}
_DEAF = {"since_epoch": None, "since_snapshot": None}
WEBHOOKS = Resource(webhooks, "webhook", ["url", "types", "active"], derived=[*_HEALTHY, *_DEAF])
LISTING = Listing(
    "webhooks",
    WEBHOOKS.select,
    {},
    {"-created_at": Order((webhooks.c.created_at, webhooks.c.id), descending=True)},
)
_d, _s = deliveries.c, secrets.c


def _in_state(state: DeliveryState) -> Clause:
    return lambda _name, _value: _d.state == literal_column(f"'{state.value}'")


# A webhook that is paused holds its deliveries back.
_next = func.greatest(_d.next_at, select(webhooks.c.open_until).where(webhooks.c.id == _d.webhook_id).scalar_subquery())
_shown: list[ColumnElement[Any]] = [
    _d.id, _d.webhook_id, _d.event_id, _d.type, _d.state, _d.attempts, _d.created_at, _d.attempted_at, _d.status,
    _d.answer, _d.failure, _next.label("next_at"),
]  # fmt: skip
DELIVERIES = Listing(
    "webhook_deliveries",
    select(*_shown),
    {"webhook_id": is_any(_d.webhook_id), "state": is_any(_d.state)},
    {"-id": Order((_d.id,), descending=True)},
)

# `state` is a literal, or the index of those that were given up is of no use to a plan for any state.
ALL_DELIVERIES = Listing(
    "all_webhook_deliveries",
    select(*_shown),
    {
        "webhook_id": is_any(_d.webhook_id),
        **{f"state {state}": _in_state(state) for state in DeliveryState},
    },
    {"-created_at": Order((_d.created_at, _d.id), descending=True)},
)

_that_one = and_(_d.webhook_id == bindparam("webhook_id"), _d.id == bindparam("delivery_id"))
_GET = Query(select(*_shown).where(_that_one))
AGAIN = {
    "state": DeliveryState.pending, "attempts": 0, "next_at": func.statement_timestamp(),
    "give_up_at": func.statement_timestamp() + KEPT_TRYING,
}  # fmt: skip
_SEND_AGAIN = Query(
    update(deliveries).where(_that_one, _d.state != DeliveryState.pending).values(AGAIN).returning(_d.id)
)

_about = _d.about_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
# An answer that is on its way belongs to a lease, which it is written under no more: the delivery is made again.
_lease_broken = case(
    (_d.state == DeliveryState.pending, _d.next_at - literal_column("interval '1 microsecond'")), else_=_d.next_at
)
# Sorted as `record` sorts them.
_told = (
    select(_d.webhook_id, _d.id)
    .where(_about, or_(_d.answer.is_not(None), _d.state == DeliveryState.pending))
    .order_by(_d.webhook_id, _d.id)
    .with_for_update(key_share=True)
    .cte("told")
)
_FORGET_ANSWERS = Query(
    update(deliveries)
    .where(_d.webhook_id == _told.c.webhook_id, _d.id == _told.c.id)
    .values(answer=null(), next_at=_lease_broken)
)

_ADD_SECRET = Query(insert(secrets), ["webhook_id", "secret", "sealed"])
_of_webhook = _s.webhook_id == bindparam("key_id")
_FORGET_RETIRED = Query(delete(secrets).where(_of_webhook, _s.expires_at.is_not(None)))
_RETIRE = Query(update(secrets).where(_of_webhook, _s.expires_at.is_(None)), ["expires_at"])


class WebhookInactive(Conflict):
    """Nothing is sent to a webhook that is not active. Turn it on first."""

    code = "webhook_inactive"
    title = "The webhook is not active"


class DeliveryPending(Conflict):
    """The delivery is on its way, or will be tried again: there is nothing to ask for."""

    code = "delivery_pending"
    title = "The delivery is pending"


async def create_webhook(tx: Transaction, actor: Actor, body: WebhookIn, settings: Settings) -> dict[str, Any]:
    """The webhook's row with `secret`. Raises Invalid."""
    _check_url(body.url, settings)
    payloads.check_may_hear(actor, body.types)
    since = await planning.listen(tx) if body.active else _DEAF
    values = {"url": body.url, "types": _unique(body.types), "active": body.active}
    row = await WEBHOOKS.create(tx, actor, {**values, **_HEALTHY, **since})
    return {**row, "secret": _add_secret(tx, row["id"], body.secret, settings)}


async def change_webhook(
    tx: Transaction, actor: Actor, id: UUID, patch: WebhookPatch, if_match: str | None, settings: Settings
) -> Row:
    """A change of where it goes, or turning it on, is a fresh start. Raises Invalid."""
    values = patch.model_dump(exclude_unset=True)
    if "url" in values:
        _check_url(values["url"], settings)
    if "types" in values:
        values["types"] = _unique(values["types"])
    since = await planning.listen(tx) if values.get("active") else {}
    before = await WEBHOOKS.locked(tx, id, if_match)
    if set(values) - {"active"} or values.get("active"):
        # With another URL, what it is told already goes elsewhere.
        payloads.check_may_hear(actor, values.get("types", before["types"]))
    fresh = values.get("active") or values.get("url", before["url"]) != before["url"]
    if before["active"]:
        since = {}
    return await WEBHOOKS.change(tx, actor, before, {**values, **(_HEALTHY if fresh else {}), **since})


async def rotate_secret(
    tx: Transaction, actor: Actor, id: UUID, body: SecretRotation, settings: Settings
) -> dict[str, Any]:
    """The webhook's row with the new `secret`. The one before signs as well until the overlap ends, an older one no
    more."""
    row = await WEBHOOKS.locked(tx, id)
    payloads.check_may_hear(actor, row["types"])
    tx.write(_FORGET_RETIRED, key_id=id)
    tx.write(_RETIRE, key_id=id, expires_at=row["now"] + timedelta(seconds=body.overlap_seconds))
    secret = _add_secret(tx, id, body.secret, settings)
    data = {"overlap_seconds": body.overlap_seconds}
    log.record(tx, log.actor_ref(actor), "webhook.secret_rotated", id, row["now"], data, internal=True)
    return {**row, "secret": secret}


async def send_test(tx: Transaction, actor: Actor, id: UUID) -> dict[str, Any]:
    """A delivery that tells of nothing. Raises WebhookInactive."""
    row = await active_webhook(tx, id)
    made = planning.planned(id, row["now"], payloads.TEST, id)
    tx.write(planning.INSERT, **made)
    await tx.flush()
    return await get_delivery(tx, id, made["id"])


async def get_delivery(tx: Transaction, webhook_id: UUID, id: UUID) -> dict[str, Any]:
    row = await tx.row(_GET, webhook_id=webhook_id, delivery_id=id)
    if row is None:
        raise NotFound("this webhook has no delivery with this id")
    return to_response(row)


async def redeliver(tx: Transaction, actor: Actor, webhook_id: UUID, id: UUID) -> dict[str, Any]:
    """Send one again, under the same id. Raises WebhookInactive and DeliveryPending."""
    row = await active_webhook(tx, webhook_id)
    if await tx.locked_row(_SEND_AGAIN, webhook_id=webhook_id, delivery_id=id) is None:
        await get_delivery(tx, webhook_id, id)
        raise DeliveryPending("wait for what becomes of it")
    data = {"count": 1, "delivery_id": id}
    log.record(tx, log.actor_ref(actor), "webhook.redelivered", webhook_id, row["now"], data, internal=True)
    return await get_delivery(tx, webhook_id, id)


async def erase_answers(tx: Transaction, about_ids: Sequence[UUID]) -> None:
    """What receivers said to events about these tickets and subjects: they may have repeated what they were told."""
    await tx.locked_rows(_FORGET_ANSWERS, ids=about_ids)


def to_response(row: Mapping[str, Any] | Row) -> dict[str, Any]:
    return {**row, "next_attempt_at": row["next_at"] if row["state"] == DeliveryState.pending else None}


async def active_webhook(tx: Transaction, id: UUID) -> Row:
    row = await WEBHOOKS.locked(tx, id)
    if not row["active"]:
        raise WebhookInactive("turn it on first: PATCH with active true")
    return row


def _add_secret(tx: Transaction, webhook_id: UUID, given: str | None, settings: Settings) -> str:
    secret = given or make_secret()
    stored, sealed = Vault(settings.secret_keys).sealed(key_of(secret))
    tx.write(_ADD_SECRET, webhook_id=webhook_id, secret=stored, sealed=sealed)
    return secret


def _check_url(url: str, settings: Settings) -> None:
    try:
        targets.parse(url, private=settings.webhook_private_targets)
    except targets.BadTarget as bad:
        raise Invalid.at("/url", "bad_target", str(bad)) from None


def _unique(types: list[str]) -> list[str]:
    return list(dict.fromkeys(types))
