"""API keys: `nty_<id>_<secret>`. The secret is 256 random bits and only its SHA-256 is stored."""

import hashlib
import hmac
import re
import secrets
import time
from uuid import UUID

from sqlalchemy import bindparam, func, or_, select
from uuid_utils.compat import uuid7

from app.auth.guard import Actor, Unauthenticated
from app.auth.roles import Role, granted
from app.auth.tables import api_keys
from app.db import Database, Query

_KEY = re.compile(r"nty_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
# A revoked key must be dead within 5 seconds everywhere.
_CACHE_SECONDS = 3.0
_CACHE_SIZE = 10_000

_BY_ID = Query(
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


def make_key() -> tuple[UUID, str]:
    """A new id and the whole key, which is shown once and stored nowhere."""
    id_ = uuid7()
    return id_, f"nty_{id_.hex}_{secrets.token_urlsafe(32)}"


def split_key(key: str) -> tuple[UUID, bytes] | None:
    """The key's id and the hash of its secret; None where it does not look like a key."""
    found = _KEY.fullmatch(key)
    return (UUID(found[1]), hashlib.sha256(found[2].encode()).digest()) if found else None


class Credentials:
    """Turns keys into actors, and remembers them for seconds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[bytes, tuple[float, Actor]] = {}

    async def actor(self, token: str) -> Actor:
        """Raises Unauthenticated; it does not say which part is wrong."""
        # Remembered under a hash, so that no heap dump of the process holds live keys.
        digest = hashlib.sha256(token.encode()).digest()
        until, actor = self._known.get(digest, (0.0, None))
        if actor is not None and time.monotonic() < until:
            return actor
        actor = await self._look_up(token)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (time.monotonic() + _CACHE_SECONDS, actor)
        return actor

    async def _look_up(self, token: str) -> Actor:
        parts = split_key(token)
        if parts is None:
            raise Unauthenticated("this is not a key")
        id_, secret_hash = parts
        row = await self._db.run(lambda tx: tx.row(_BY_ID, id=id_))
        if row is None or not hmac.compare_digest(row["secret_hash"], secret_hash):
            raise Unauthenticated("the key is unknown, revoked or expired")
        role = Role(row["role"])
        return Actor(id_, role, granted(role, row["scopes"]), row["agent_id"], row["customer_id"])
