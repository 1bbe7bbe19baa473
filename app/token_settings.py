"""Settings of one identity provider: where its keys are, which of its tokens are meant for this service, and what they
call a role. Each of several has all of them."""

import json
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import NoDecode

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"
]  # fmt: skip
Words = Annotated[tuple[str, ...], NoDecode]


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


class TokenSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    jwt_jwks_url: str | None = None
    jwt_public_key: str | None = None
    jwt_secret: Annotated[str | None, Field(min_length=32, repr=False)] = None
    """Where the keys of tokens are: at one of these. Without any of them there are no tokens."""
    jwt_issuer: Annotated[str | None, Field(min_length=1)] = None
    jwt_audience: Annotated[str | None, Field(min_length=1)] = None
    jwt_algorithms: Annotated[tuple[Algorithm, ...], NoDecode] = ()
    """RS256, ES256 and EdDSA unless told otherwise; HS256, and nothing else, with a shared secret."""
    jwt_role_claim: Annotated[str, Field(min_length=1)] = "role"
    jwt_scope_claim: Annotated[str, Field(min_length=1)] = "scope"
    jwt_customer_claim: Annotated[str, Field(min_length=1)] = "customer_id"
    jwt_agent_claim: Annotated[str, Field(min_length=1)] = "agent_id"
    jwt_external_id_claim: Annotated[str | None, Field(min_length=1)] = None
    """Holds the `external_id` of the agent or customer. Without it agents are known by `sub`."""
    jwt_audience_claim: Literal["aud", "client_id", "azp"] = "aud"
    jwt_scope_prefix: str = ""
    jwt_role_map: Words = ()
    """`word=role`: with it no other word of a token is a role."""
    jwt_default_role: Literal["customer", "agent", "service"] | None = None
    jwt_leeway_seconds: Annotated[int, Field(ge=0, le=120)] = 30
    jwt_allow_http: bool = False
    """Keys over plain HTTP, from this machine only."""

    @field_validator("jwt_algorithms", "jwt_role_map", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value) if isinstance(value, str) else value

    @field_validator("jwt_public_key")
    @classmethod
    def _is_public(cls, pem: str | None) -> str | None:
        if pem is not None and "PRIVATE KEY" in pem:
            raise ValueError("this is a private key: give the public one")
        return pem

    @model_validator(mode="after")
    def _tokens_make_sense(self) -> Self:
        sources = [each for each in (self.jwt_jwks_url, self.jwt_public_key, self.jwt_secret) if each]
        if len(sources) > 1:
            raise ValueError("tokens are verified by one of jwt_jwks_url, jwt_public_key and jwt_secret")
        if not sources:
            if self.jwt_issuer or self.jwt_audience or self.jwt_algorithms:
                raise ValueError("tokens need jwt_jwks_url, jwt_public_key or jwt_secret")
            return self
        if not self.jwt_issuer or not self.jwt_audience:
            raise ValueError("tokens need jwt_issuer and jwt_audience")
        if self.jwt_jwks_url:
            self._check_provider(self.jwt_jwks_url)
        fitting = ("HS256",) if self.jwt_secret else ("RS256", "ES256", "EdDSA")
        if (
            self.jwt_algorithms
            and ("HS256" in self.jwt_algorithms or self.jwt_secret)
            and self.jwt_algorithms != fitting
        ):
            raise ValueError("HS256 goes with jwt_secret, and nothing else does")
        # The model is frozen for everybody else.
        object.__setattr__(self, "jwt_algorithms", self.jwt_algorithms or fitting)
        return self

    @property
    def jwt_issuers(self) -> list[str]:
        """All of them sign with the same keys."""
        return list(words(self.jwt_issuer or ""))

    @property
    def jwt_audiences(self) -> list[str]:
        return list(words(self.jwt_audience or ""))

    @property
    def jwt_roles(self) -> dict[str, str]:
        return {word.strip(): role.strip() for word, _, role in (each.rpartition("=") for each in self.jwt_role_map)}

    @field_validator("jwt_role_map")
    @classmethod
    def _maps_to_roles(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        for pair in pairs:
            word, _, role = pair.rpartition("=")
            if not word.strip() or role.strip() not in ("customer", "agent", "lead", "admin", "service"):
                raise ValueError("write word=role, separated by commas, with customer, agent, lead, admin or service")
        return pairs

    def _check_provider(self, jwks_url: str) -> None:
        url = urlsplit(jwks_url)
        local = self.jwt_allow_http and url.scheme == "http" and url.hostname in _LOOPBACK
        if not url.hostname or url.username is not None or not (url.scheme == "https" or local):
            raise ValueError("jwt_jwks_url is an https:// URL")


def providers_in(text: str) -> list[dict[str, Any]]:
    """A JSON list of objects whose names are those of the settings, without `NINETY_JWT_` and in small letters. Raises
    ValueError, and repeats no value: some are secrets."""
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError('a JSON list of objects, as [{"issuer": "…", "jwks_url": "…", "audience": "…"}]')
    known = {name.removeprefix("jwt_") for name in TokenSettings.model_fields}
    for each in listed:
        if unknown := sorted(set(each) - known):
            raise ValueError(f"unknown name {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        if not each.get("issuer"):
            raise ValueError("each needs issuer, audience, and one of jwks_url, public_key and secret")
    return [{f"jwt_{name}": value for name, value in each.items()} for each in listed]
