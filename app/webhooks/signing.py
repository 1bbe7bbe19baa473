"""Secrets and signatures, as Standard Webhooks has them, and secrets as they lie in the database.

A secret must be at hand to sign with, so a hash of it will not do. With NINETY_WEBHOOK_SECRET_KEYS it is stored
encrypted, and a copy of the database alone signs nothing."""

import base64
import binascii
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from standardwebhooks import Webhook

PREFIX = "whsec_"
_BYTES = 32
_FEWEST, _MOST = 24, 64


class SecretUnreadable(Exception):
    """A stored secret was encrypted with a key that this process does not have."""


def make_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key in a `whsec_…`. Raises ValueError where it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _FEWEST <= len(key) <= _MOST:
        raise ValueError(f"{PREFIX} and {_FEWEST} to {_MOST} bytes in base64")
    return key


def sign(keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key that is valid."""
    at, text = datetime.fromtimestamp(timestamp, UTC), body.decode()
    return " ".join(Webhook(key).sign(id, at, text) for key in keys)


class Vault:
    """Turns keys into what is stored and back. The first of `keys` encrypts; all of them decrypt."""

    def __init__(self, keys: Iterable[str]) -> None:
        known = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(known) if known else None

    def sealed(self, key: bytes) -> tuple[bytes, bool]:
        """What to store, and whether it is encrypted."""
        return (self._fernet.encrypt(key), True) if self._fernet else (key, False)

    def opened(self, stored: bytes, sealed: bool) -> bytes:
        """Raises SecretUnreadable."""
        if not sealed:
            return stored
        if self._fernet is None:
            raise SecretUnreadable
        try:
            return self._fernet.decrypt(stored)
        except InvalidToken:
            raise SecretUnreadable from None
