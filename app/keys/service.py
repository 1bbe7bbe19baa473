"""API keys: made, listed, revoked. The secret leaves once, in the answer to its making."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.agents.tables import agents
from app.auth.dependencies import Actor
from app.auth.keys import make_key, split_key
from app.auth.roles import SCOPES, Role, granted
from app.auth.tables import api_keys
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.keys.schemas import ApiKeyIn
from app.web.paging import Listing, Order

_SHOWN = [column for column in api_keys.c if column.name != "secret_hash"]
_COLUMNS = ["id", "name", "role", "scopes", "agent_id", "customer_id", "expires_at", "secret_hash"]
_NOW = func.clock_timestamp().label("now")

LISTING = Listing(
    "api_keys", select(*_SHOWN), {}, {"-created_at": Order((api_keys.c.created_at, api_keys.c.id), descending=True)}
)
# Who was merged is the one they were merged into.
_customer = select(func.coalesce(customers.c.merged_into, customers.c.id)).where(
    customers.c.id == bindparam("customer_id")
)
_REFERS_TO = Query(
    select(
        exists().where(agents.c.id == bindparam("agent_id"), agents.c.active).label("agent"),
        _customer.scalar_subquery().label("customer"),
        _NOW,
    )
)
_INSERT = Query(insert(api_keys).returning(*_SHOWN, _NOW), _COLUMNS)
_ENSURE = Query(pg_insert(api_keys).on_conflict_do_nothing().returning(api_keys.c.id, _NOW), _COLUMNS)
_LOCK = Query(select(*_SHOWN, _NOW).where(api_keys.c.id == bindparam("id")).with_for_update())
_REVOKE = Query(update(api_keys).where(api_keys.c.id == bindparam("key_id")), ["revoked_at"])


class CannotRevokeYourself(Conflict):
    """A key cannot revoke itself: whoever does that by mistake has locked everybody out. Use another key."""

    code = "cannot_revoke_yourself"


async def create_key(tx: Transaction, actor: Actor | None, body: ApiKeyIn) -> dict[str, Any]:
    """The new key's row with `key`. Raises Invalid and Forbidden."""
    _check_role(body)
    _check_grants(actor, body)
    found = await tx.row(_REFERS_TO, agent_id=body.agent_id, customer_id=body.customer_id)
    assert found is not None
    if body.agent_id and not found["agent"]:
        raise Invalid.at("/agent_id", "unknown", "there is no active agent with this id")
    if body.customer_id and not found["customer"]:
        raise Invalid.at("/customer_id", "unknown", "there is no customer with this id")
    if body.expires_at and body.expires_at <= found["now"]:
        raise Invalid.at("/expires_at", "past", "an expiry lies in the future")
    id_, key = make_key()
    values = {**body.model_dump(), "customer_id": found["customer"]}
    row = await tx.locked_row(_INSERT, **values, **_stored(id_, key))
    assert row is not None
    data = {"after": values}
    log.record(tx, log.actor_ref(actor), "api_key.created", id_, found["now"], data, internal=True)
    return {**row, "key": key}


async def revoke_key(tx: Transaction, actor: Actor, id: UUID) -> None:
    """Dead within 5 seconds in every process. Revoking twice is the same as once."""
    if id == actor.id:
        raise CannotRevokeYourself("use another key to revoke this one")
    row = await tx.locked_row(_LOCK, id=id)
    if row is None:
        raise NotFound("there is no key with this id")
    if row["revoked_at"] is None:
        tx.write(_REVOKE, key_id=id, revoked_at=row["now"])
        log.record(tx, log.actor_ref(actor), "api_key.revoked", id, row["now"], {}, internal=True)


async def ensure_admin_key(tx: Transaction, key: str) -> None:
    """The bootstrap key, there after every start. Raises ValueError where it is not a key."""
    parts = split_key(key)
    if parts is None:
        raise ValueError("an admin key looks like nty_<32 hex digits>_<43 characters>")
    values = dict.fromkeys(_COLUMNS) | {"name": "bootstrap", "role": Role.admin} | _stored(parts[0], key)
    row: Row | None = await tx.locked_row(_ENSURE, **values)
    if row is not None:
        log.record(tx, log.SYSTEM, "api_key.created", parts[0], row["now"], {"after": {"role": "admin"}}, internal=True)


def _check_grants(actor: Actor | None, body: ApiKeyIn) -> None:
    """Raises Forbidden: else the right to make keys would be every right."""
    beyond = sorted(granted(body.role, body.scopes) - (actor.scopes if actor else SCOPES))
    if beyond:
        raise Forbidden(f"nobody grants more than they have, and you do not have {', '.join(beyond)}")


def _stored(id_: UUID, key: str) -> dict[str, Any]:
    parts = split_key(key)
    assert parts is not None
    return {"id": id_, "secret_hash": parts[1]}


def _check_role(body: ApiKeyIn) -> None:
    unknown = sorted(set(body.scopes or ()) - SCOPES)
    if unknown:
        raise Invalid.at("/scopes", "unknown_scope", f"not a scope: {', '.join(unknown)}")
    beyond = sorted(set(body.scopes or ()) - granted(body.role, body.scopes))
    if beyond:
        raise Invalid.at("/scopes", "beyond_role", f"the role {body.role} does not have {', '.join(beyond)}")
    if body.role is Role.service and not body.scopes:
        raise Invalid.at("/scopes", "required", "a service key may do what its scopes say: name them")
    if body.role in (Role.agent, Role.lead) and body.agent_id is None:
        raise Invalid.at("/agent_id", "required", f"a key with the role {body.role} is an agent's: name the agent")
    if (body.role is Role.customer) != (body.customer_id is not None):
        raise Invalid.at("/customer_id", "required", "a customer's key, and only that, names its customer")
