"""Whether who was let in would be let in still: what a caller keeps open is theirs no longer than that."""

import time
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select

from app.auth.dependencies import Actor
from app.auth.tables import agents, api_keys, customers
from app.db import Query, Row, Transaction

_ids = bindparam("ids", type_=ARRAY(Uuid))
_k = api_keys.c
_KEYS = Query(
    select(_k.id, _k.customer_id).where(
        _k.id == any_(_ids),
        _k.revoked_at.is_(None),
        _k.expires_at.is_(None) | (_k.expires_at > func.clock_timestamp()),
    )
)  # fmt: skip
_PEOPLE = Query(
    select(agents.c.id)
    .where(agents.c.id == any_(_ids), agents.c.active)
    .union_all(
        select(customers.c.id).where(
            customers.c.id == any_(_ids), customers.c.merged_into.is_(None), customers.c.erased_at.is_(None)
        )
    )
)


async def still_valid(tx: Transaction, actors: Iterable[Actor]) -> set[Actor]:
    """Those whose key is valid and the same customer's, and those whose token has not ended and stands for an agent who
    is active, a customer who is there and nobody else by now. Two reads, however many they are."""
    asked = set(actors)
    bearers = {actor for actor in asked if actor.expires_at is not None}
    keys = {row["id"]: row for row in await tx.rows(_KEYS, ids=[actor.id for actor in asked - bearers])}
    named = {id_ for actor in bearers for id_ in _people(actor)}
    people = {row["id"] for row in await tx.rows(_PEOPLE, ids=list(named))} if named else set()
    return {
        actor for actor in asked
        if (_bears(actor, people) if actor in bearers else _holds(actor, keys.get(actor.id)))
    }  # fmt: skip


def _people(actor: Actor) -> set[UUID]:
    return {id_ for id_ in (actor.agent_id, actor.customer_id) if id_}


def _bears(actor: Actor, people: set[UUID]) -> bool:
    return actor.expires_at is not None and time.time() < actor.expires_at and _people(actor) <= people


def _holds(actor: Actor, key: Row | None) -> bool:
    return key is not None and key["customer_id"] == actor.customer_id
