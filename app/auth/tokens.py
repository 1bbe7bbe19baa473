"""JSON Web Tokens of an identity provider: who signed them, for whom, until when, and what they say of their bearer.
What a role may do is not theirs to say."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid5

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.utils import base64url_decode

from app.auth.dependencies import Unauthenticated
from app.auth.jwks import PublicKey, fits
from app.auth.roles import SCOPES, Role, granted
from app.settings import SettingsError
from app.token_settings import TokenSettings

MOST_CHARACTERS = 8192
_SHAPE = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}")
# Tokens that say of themselves that they are something else (a logout, an event) prove nothing here.
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_MOST_KID = 256
_MOST_SUB = 255
# Whoever remembers one for that long has something else in mind.
_FARTHEST_SECONDS = 10 * 366 * 86_400
_ACTORS = UUID("6f6b1d1c-8a43-5d0a-9d7e-5b1a6a0c9b52")
# Whatever the library raises over a token, down to json's own complaints, is said of the token.
_BAD = (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
# Of several roles the last one counts.
_RANKS = (Role.customer, Role.service, Role.agent, Role.lead, Role.admin)


class _Wrong(ValueError):
    """What is wrong with a token, in words that hold nothing of it."""


class Keys(Protocol):
    async def key(self, kid: str | None, algorithm: str) -> PublicKey | bytes | None: ...


class OneKey:
    """A key that is written into the settings."""

    def __init__(self, key: PublicKey | bytes) -> None:
        self._key = key

    async def key(self, _kid: str | None, algorithm: str) -> PublicKey | bytes | None:
        return self._key if isinstance(self._key, bytes) or fits(self._key, algorithm) else None


def key_in(settings: TokenSettings) -> OneKey | None:
    """The key that the settings hold. Raises SettingsError where it is none for its algorithms."""
    if settings.jwt_secret:
        return OneKey(settings.jwt_secret.encode())
    if not settings.jwt_public_key:
        return None
    try:
        key = load_pem_public_key(settings.jwt_public_key.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError("jwt_public_key: not a public key in PEM") from None
    if not isinstance(key, PublicKey) or not any(fits(key, each) for each in settings.jwt_algorithms):
        raise SettingsError(f"jwt_public_key: no key for {', '.join(settings.jwt_algorithms)}")
    return OneKey(key)


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a good token says of who sends it. The ids are claims still: whether they exist is to be looked up."""

    issuer: str
    subject: str
    role: Role
    scopes: frozenset[str]
    agent_id: UUID | None
    customer_id: UUID | None
    external_id: str | None
    expires_at: float

    @property
    def id(self) -> UUID:
        """Whoever it is, whatever this token lets them do: for the log."""
        return uuid5(_ACTORS, f"{self.issuer}\n{self.subject}\n")

    def caller_id(self, agent_id: UUID | None, customer_id: UUID | None) -> UUID:
        """Of those who may do the same and stand for the same. An answer that is kept for a repeat is nobody else's:
        who may do less must not be shown what was answered to somebody who may more."""
        parts = [self.issuer, self.subject, self.role, sorted(self.scopes), str(agent_id), str(customer_id)]
        return uuid5(_ACTORS, json.dumps(parts))


class Tokens:
    def __init__(self, settings: TokenSettings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._role_map = settings.jwt_roles
        self._roles = {word: Role(role) for word, role in (self._role_map or {r: r for r in Role}).items()}

    @property
    def issuers(self) -> list[str]:
        return self._settings.jwt_issuers

    async def bearer(self, token: str) -> Bearer:
        """Raises Unauthenticated, ProviderAway and KeyNotYetKnown."""
        check_shape(token)
        kid, algorithm = self._header(token)
        key = await self._keys.key(kid, algorithm)
        if key is None:
            raise _bad("no key of this id fits the algorithm")
        try:
            _check_unambiguous(token)
            return self._bearer(self._verified(token, key, algorithm))
        except jwt.ExpiredSignatureError:
            # The one thing that a well-meaning client can mend by itself.
            raise Unauthenticated("the token has expired") from None
        except _BAD as wrong:
            raise _bad(_reason(wrong)) from None

    def _header(self, token: str) -> tuple[str | None, str]:
        try:
            header = jwt.get_unverified_header(token)
        except _BAD as wrong:
            raise _bad(_reason(wrong)) from None
        kid, algorithm, type_ = header.get("kid"), header.get("alg"), header.get("typ", "JWT")
        known = algorithm in self._settings.jwt_algorithms
        # An extension that must be understood is not.
        if not known or "crit" in header or not isinstance(type_, str) or type_.lower() not in _TYPES:
            raise _bad("the header's alg, crit or typ is not taken")
        if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MOST_KID):
            raise _bad("the header's kid is no key id")
        return kid, str(algorithm)

    def _verified(self, token: str, key: PublicKey | bytes, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        by = settings.jwt_audience_claim
        claims: dict[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=[algorithm],
            issuer=settings.jwt_issuers,
            audience=settings.jwt_audiences if by == "aud" else None,
            leeway=settings.jwt_leeway_seconds,
            options={"require": ["exp", "iss", by, "sub"], "verify_aud": by == "aud"},
        )
        if by != "aud" and claims[by] not in settings.jwt_audiences:
            raise _Wrong(f"{by} is another one")
        # The library also takes a string or a boolean for an instant.
        if any(type(claims[name]) not in (int, float) for name in ("exp", "nbf", "iat") if name in claims):
            raise _Wrong("an instant is a number")
        if not claims["exp"] < time.time() + _FARTHEST_SECONDS:
            raise _Wrong("a token ends some day")
        return claims

    def _bearer(self, claims: Mapping[str, Any]) -> Bearer:
        settings = self._settings
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _MOST_SUB or "\0" in subject:
            raise _Wrong("no subject")
        role = self._role(_claim(claims, settings.jwt_role_claim))
        external_id = self._external_id(claims, role, subject)
        customer_id = _uuid(_claim(claims, settings.jwt_customer_claim)) if role is Role.customer else None
        if role is Role.customer and customer_id is None and external_id is None:
            raise _Wrong("a customer's token names its customer")
        return Bearer(
            issuer=claims["iss"],
            subject=subject,
            role=role,
            scopes=granted(role, self._scopes(_claim(claims, settings.jwt_scope_claim))),
            agent_id=_uuid(_claim(claims, settings.jwt_agent_claim)) if role is not Role.customer else None,
            customer_id=customer_id,
            external_id=external_id,
            expires_at=float(claims["exp"]) + settings.jwt_leeway_seconds,
        )

    def _role(self, value: Any) -> Role:
        """The highest of those that a token names. Raises ValueError where it names none."""
        words = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(word, str) for word in words):
            raise _Wrong("roles are words")
        roles = [self._roles[word] for word in words if word in self._roles]
        if not roles and self._settings.jwt_default_role and (self._role_map or not words):
            return Role(self._settings.jwt_default_role)
        if not roles:
            raise _Wrong("none of the token's roles is one here")
        return max(roles, key=_RANKS.index)

    def _scopes(self, value: Any) -> list[str] | None:
        """None, which is all of the role, where the token has scopes of others only. What bears our prefix is ours,
        and nothing where nobody here knows it."""
        words, prefix = _words(value), self._settings.jwt_scope_prefix
        if not words:
            return words
        ours = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
        known = [word for word in ours if word in SCOPES]
        return known if known or (prefix and ours) else None

    def _external_id(self, claims: Mapping[str, Any], role: Role, subject: str) -> str | None:
        """Of the agent or the customer. A customer is known by it only where a setting names the claim."""
        name = self._settings.jwt_external_id_claim
        if name is None:
            return None if role is Role.customer else subject
        value = _claim(claims, name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= _MOST_SUB and "\0" not in value):
            raise _Wrong("not an external id")
        return value


class TokensOfSeveral:
    """Each issuer's tokens are verified by its own keys, and read by its own settings."""

    def __init__(self, each: Sequence[Tokens]) -> None:
        self._by_issuer = {issuer: tokens for tokens in each for issuer in tokens.issuers}

    async def bearer(self, token: str) -> Bearer:
        """Raises what those of the issuer raise. What the token says of its issuer is only believed once they have
        verified it."""
        check_shape(token)
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
            tokens = self._by_issuer.get(str(claims.get("iss")))
        except _BAD as wrong:
            raise _bad(_reason(wrong)) from None
        if tokens is None:
            raise _bad("the issuer is none of those that are known")
        return await tokens.bearer(token)


def check_shape(token: str) -> None:
    """Raises Unauthenticated."""
    if len(token) > MOST_CHARACTERS or not _SHAPE.fullmatch(token):
        raise Unauthenticated("this is neither a key nor a token")


def _check_unambiguous(token: str) -> None:
    """Of a name that is there twice one reader takes the first, another the last. Raises ValueError."""
    for part in token.split(".")[:2]:
        json.loads(base64url_decode(part), object_pairs_hook=_once)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise _Wrong("a name is there twice")
    return found


def _bad(reason: str) -> Unauthenticated:
    return Unauthenticated("the token is not valid here", reason)


def _reason(wrong: Exception) -> str:
    """For the log. What others complain of may hold words of the token."""
    return str(wrong) if isinstance(wrong, (jwt.PyJWTError, _Wrong)) else type(wrong).__name__


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name, which may be a URL; else the one that a path with dots leads to."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _words(value: Any) -> list[str] | None:
    """Scopes as OAuth writes them, or as a list. None where the token has none. Raises ValueError."""
    if value is None:
        return None
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _Wrong("not scopes")
    return words


def _uuid(value: Any) -> UUID | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Wrong("not an id")
    return UUID(value)
