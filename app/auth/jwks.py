"""The public keys of an identity provider, fetched without holding up the event loop and kept while it is away."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.errors import Unavailable

log = structlog.get_logger("ninety.jwks")

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_CURVES = {"ES256": SECP256R1, "ES384": SECP384R1, "ES512": SECP521R1}
_LEAST_RSA_BITS = 2048
# An RSA check takes the longer the larger the key, and nobody has larger ones.
_MOST_RSA_BITS = 8192
_FRESH_SECONDS = 300.0
# A provider that is away keeps nobody out who has a token; a key that was withdrawn does not live for ever.
_KEPT_SECONDS = 86_400.0
COOLDOWN_SECONDS = 10.0
_FETCH_SECONDS = 5.0
_MOST_BYTES = 256 * 1024
_MOST_KEYS = 100


class KeyNotYetKnown(Unavailable):
    """The token names a key that the identity provider may have made since its keys were fetched a moment ago. Repeat
    after Retry-After."""

    code = "token_key_unknown"
    title = "The token's key is not known yet"


class ProviderAway(Unavailable):
    """The identity provider that signs the tokens does not answer, so that nobody can say whether this token is good.
    Repeat after Retry-After."""

    code = "identity_provider_unavailable"
    title = "The identity provider does not answer"


def fits(key: object, algorithm: str) -> bool:
    """Whether a key may be used with an algorithm: each kind of key has its own, and RSA keys a least length."""
    if isinstance(key, RSAPublicKey):
        return algorithm[:2] in ("RS", "PS") and _LEAST_RSA_BITS <= key.key_size <= _MOST_RSA_BITS
    if isinstance(key, EllipticCurvePublicKey):
        return algorithm in _CURVES and isinstance(key.curve, _CURVES[algorithm])
    return algorithm == "EdDSA" and isinstance(key, (Ed25519PublicKey, Ed448PublicKey))


class Jwks:
    """The keys at a URL. What is asked for and not there is looked for again, but not more often than every
    `COOLDOWN_SECONDS`: whoever sends unknown key ids makes nobody fetch."""

    def __init__(self, url: str, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: list[tuple[str | None, str | None, PublicKey]] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key that this id names, fit for the algorithm; without an id the only one that fits. Raises
        ProviderAway where the provider may have it and does not say so, and KeyNotYetKnown where it is too early to
        ask."""
        age = self._age(self._fetched_at)
        if age > _KEPT_SECONDS:
            self._keys = []
        found = self._find(kid, algorithm)
        if found is not None:
            if age > _FRESH_SECONDS:
                self._refresh()
            return found
        task = self._refresh()
        if task is not None:
            # Whoever waits may leave; the others still want the keys.
            await asyncio.shield(task)
            found = self._find(kid, algorithm)
        if found is None and self._failed:
            raise ProviderAway("the keys of the identity provider cannot be fetched", retry_after_seconds=5)
        if found is None and task is None and kid is not None and all(its_kid != kid for its_kid, _, _ in self._keys):
            wait = math.ceil(COOLDOWN_SECONDS - self._age(self._tried_at)) or 1
            raise KeyNotYetKnown("the keys were fetched a moment ago", retry_after_seconds=wait)
        return found

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _age(self, at: float | None) -> float:
        return float("inf") if at is None else self._clock() - at

    def _find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        found = [
            key
            for its_kid, its_algorithm, key in self._keys
            if (kid is None or its_kid == kid) and its_algorithm in (None, algorithm) and fits(key, algorithm)
        ]
        return found[0] if found and (kid is not None or len(found) == 1) else None

    def _refresh(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, begun now unless one was tried a moment ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._age(self._tried_at) < COOLDOWN_SECONDS:
            return None
        self._tried_at = self._clock()
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                keys = list(_usable(orjson.loads(await self._body())))
        except Exception as failed:
            # Whatever they hold or do, those who wait are told that it is away, and it is asked again.
            self._failed = True
            log.warning("jwks_not_fetched", error=type(failed).__name__)
            return
        self._failed = False
        self._keys, self._fetched_at = keys, self._clock()

    async def _body(self) -> bytes:
        whole = bytearray()
        # As it is: what was compressed may be a thousand times as large.
        async with self._http.stream("GET", self._url, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code != httpx.codes.OK or "content-encoding" in answer.headers:
                raise ValueError("not a plain 200")
            async for chunk in answer.aiter_raw():
                whole += chunk
                if len(whole) > _MOST_BYTES:
                    raise ValueError("too large")
        return bytes(whole)


def _usable(document: Any) -> Iterator[tuple[str | None, str | None, PublicKey]]:
    """The keys that verify signatures, with what they say of themselves; what cannot be read is passed over. Raises
    ValueError where there is none."""
    entries = document.get("keys") if isinstance(document, dict) else None
    found = [key for entry in (entries if isinstance(entries, list) else [])[:_MOST_KEYS] if (key := _key_of(entry))]
    if not found:
        raise ValueError("no keys")
    yield from found


def _key_of(entry: Any) -> tuple[str | None, str | None, PublicKey] | None:
    if not isinstance(entry, dict) or not _verifies(entry):
        return None
    kid, algorithm = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    try:
        key = jwt.PyJWK(entry).key
    except Exception:
        # An odd entry is nobody's key, whatever it makes the libraries raise.
        return None
    # A shared secret is nothing to verify by.
    return (kid, algorithm, key) if isinstance(key, PublicKey) else None


def _verifies(entry: dict[str, Any]) -> bool:
    """A private key in public is nothing to verify by, and takes minutes to be read where its numbers are made up."""
    operations = entry.get("key_ops", ["verify"])
    is_for_it = isinstance(operations, list) and "verify" in operations
    return is_for_it and entry.get("use", "sig") == "sig" and "d" not in entry


def http_client() -> httpx.AsyncClient:
    """For a provider: straight to it, no redirects, nothing from the environment."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=_FETCH_SECONDS)
