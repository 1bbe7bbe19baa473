"""From what a caller shows to who it is: a key by the database, a token by its signature and then the database. Both
are remembered for seconds, so that most requests ask nothing."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from uuid import UUID

from cachetools import LRUCache
from sqlalchemy import Uuid, bindparam, func, null, or_, select

from app.auth.dependencies import Actor, Unauthenticated
from app.auth.jwks import Jwks, http_client
from app.auth.keys import split_key
from app.auth.roles import Role, granted
from app.auth.tables import agents, api_keys, customers
from app.auth.tokens import Bearer, Keys, Tokens, TokensOfSeveral, key_in
from app.db import Database, Query
from app.release import word
from app.settings import Settings

# A revoked key must be dead within 5 seconds everywhere.
_CACHE_SECONDS = 3.0
_CACHE_SIZE = 10_000

_KEY_BY_ID = Query(
    select(
        api_keys.c.id,
        api_keys.c.role,
        api_keys.c.scopes,
        api_keys.c.agent_id,
        api_keys.c.customer_id,
        api_keys.c.secret_hash,
    ).where(
        api_keys.c.id == bindparam("id"),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.clock_timestamp()),
    )
)
_agent_id = bindparam("agent_id", type_=Uuid)
_customer_id = bindparam("customer_id", type_=Uuid)
# Who was merged is the one they were merged into.
_stands_for = (
    select(func.coalesce(customers.c.merged_into, customers.c.id))
    .where(
        or_(
            customers.c.id == _customer_id,
            (_customer_id == null()) & (customers.c.external_id == bindparam("customer_external_id")),
        )
    )
    .scalar_subquery()
)
_STANDS_FOR = Query(
    select(
        select(agents.c.id)
        .where(
            agents.c.active,
            or_(agents.c.id == _agent_id, (_agent_id == null()) & (agents.c.external_id == bindparam("subject"))),
        )
        .scalar_subquery()
        .label("agent_id"),
        select(customers.c.id)
        .where(customers.c.id == _stands_for, customers.c.erased_at.is_(None))
        .scalar_subquery()
        .label("customer_id"),
    )
)


class Credentials:
    """Turns keys and tokens into actors, and remembers them for seconds."""

    def __init__(self, db: Database, tokens: Tokens | TokensOfSeveral | None, at_once: int) -> None:
        self._db = db
        self._tokens = tokens
        # With the instant until which it holds. Who is remembered for longer is no stranger when asked for again.
        self._known: LRUCache[bytes, tuple[float, Actor]] = LRUCache(_CACHE_SIZE)
        self._refused: LRUCache[bytes, tuple[float, tuple[str, str]]] = LRUCache(_CACHE_SIZE)
        # Strangers never hold all the connections, however many of them ask at once.
        self.strangers = asyncio.Semaphore(at_once)

    @classmethod
    @asynccontextmanager
    async def open(cls, db: Database, settings: Settings) -> AsyncIterator["Credentials"]:
        """Raises SettingsError."""
        at_once = max(1, settings.pool_size // 2)
        async with AsyncExitStack() as stack:
            each = []
            for trusted in settings.token_settings:
                keys: Keys | None = key_in(trusted)
                if trusted.jwt_jwks_url:
                    keys = jwks = Jwks(trusted.jwt_jwks_url, await stack.enter_async_context(http_client()))
                    stack.push_async_callback(jwks.close)
                if keys:
                    each.append(Tokens(trusted, keys))
            yield cls(db, each[0] if len(each) == 1 else TokensOfSeveral(each) if each else None, at_once)

    async def actor(self, token: str) -> Actor:
        """Raises Unauthenticated; it does not say which part is wrong."""
        # Remembered under a hash, so that no heap dump of the process holds live keys.
        digest = hashlib.sha256(token.encode()).digest()
        until, actor = self._known.get(digest, (0.0, None))
        if actor is not None and time.monotonic() < until:
            return actor
        until, why = self._refused.get(digest, (0.0, ("", "")))
        if time.monotonic() < until:
            raise Unauthenticated(*why)
        try:
            seconds, actor = await self._look_up(token, nullcontext() if actor else self.strangers)
        except Unauthenticated as refused:
            self._known.pop(digest, None)
            self._refused[digest] = time.monotonic() + _CACHE_SECONDS, (refused.detail, refused.reason)
            raise
        self._known[digest] = time.monotonic() + seconds, actor
        return actor

    async def _look_up(self, token: str, gate: AbstractAsyncContextManager[None]) -> tuple[float, Actor]:
        """Who it is, and for how many seconds that may be remembered."""
        if token.startswith("nty_"):
            return _CACHE_SECONDS, await self._by_key(token, gate)
        if self._tokens is None:
            raise Unauthenticated("this is not a key")
        bearer = await self._tokens.bearer(token)
        actor = await self._by_token(bearer, gate)
        return min(_CACHE_SECONDS, bearer.expires_at - time.time()), actor

    async def _by_key(self, token: str, gate: AbstractAsyncContextManager[None]) -> Actor:
        parts = split_key(token)
        if parts is None:
            raise Unauthenticated("this is not a key")
        id_, secret_hash = parts
        async with gate:
            row = await self._db.run(lambda tx: tx.row(_KEY_BY_ID, id=id_), reads=True)
        if row is None or not hmac.compare_digest(row["secret_hash"], secret_hash):
            raise Unauthenticated("the key is unknown, revoked or expired")
        role = word(Role, row["role"])
        return Actor(id_, role, granted(role, row["scopes"]), row["agent_id"], row["customer_id"])

    async def _by_token(self, bearer: Bearer, gate: AbstractAsyncContextManager[None]) -> Actor:
        """Whom its bearer stands for: a customer or an agent that is there."""
        role, is_person = bearer.role, bearer.role is not Role.service
        if not is_person and bearer.agent_id is None:
            return _bearing(bearer, None, None)
        # A machine is no agent only because it is called like one.
        subject = bearer.external_id if is_person and role is not Role.customer else None
        theirs = bearer.external_id if role is Role.customer else None
        ids = {"agent_id": bearer.agent_id, "customer_id": bearer.customer_id, "subject": subject}
        ids["customer_external_id"] = theirs
        async with gate:
            row = await self._db.run(lambda tx: tx.row(_STANDS_FOR, **ids), reads=True)
        assert row is not None
        needs_agent = role in (Role.agent, Role.lead) or bearer.agent_id is not None
        if (needs_agent and row["agent_id"] is None) or (role is Role.customer and row["customer_id"] is None):
            raise Unauthenticated("the token is good, and nobody here is the one it names")
        return _bearing(bearer, row["agent_id"], row["customer_id"])


def _bearing(bearer: Bearer, agent_id: UUID | None, customer_id: UUID | None) -> Actor:
    id_ = bearer.caller_id(agent_id, customer_id)
    return Actor(id_, bearer.role, bearer.scopes, agent_id, customer_id, bearer.expires_at, bearer.id)
