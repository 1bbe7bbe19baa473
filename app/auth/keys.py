"""API keys: `nty_<id>_<secret>`. The secret is 256 random bits and only its SHA-256 is stored."""

import hashlib
import re
import secrets
from uuid import UUID

from uuid_utils.compat import uuid7

_KEY = re.compile(r"nty_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


def make_key() -> tuple[UUID, str]:
    """A new id and the whole key, which is shown once and stored nowhere."""
    id_ = uuid7()
    return id_, f"nty_{id_.hex}_{secrets.token_urlsafe(32)}"


def split_key(key: str) -> tuple[UUID, bytes] | None:
    """The key's id and the hash of its secret; None where it does not look like a key."""
    found = _KEY.fullmatch(key)
    return (UUID(found[1]), hashlib.sha256(found[2].encode()).digest()) if found else None
