"""Every setting, read once from the environment. Refuses what it does not know, so that a typing error cannot
silently fall back to a default."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "NINETY_"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"
]  # fmt: skip
RateLimit = Annotated[int, Field(ge=1, le=1_000_000_000)]
Words = Annotated[tuple[str, ...], NoDecode]
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class SettingsError(ValueError):
    """A setting is unknown or makes no sense. The message is for people."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    database_url: Annotated[
        str | None, Field(validation_alias=AliasChoices("DATABASE_URL", "database_url"), repr=False)
    ] = None
    """postgresql://… of any PostgreSQL ≥ 15; without it the embedded one is started."""
    database_pooler: Annotated[
        Literal["none", "pgbouncer"], Field(validation_alias=AliasChoices("DATABASE_POOLER", "database_pooler"))
    ] = "none"
    """`pgbouncer` turns prepared statements off, which is right for every PgBouncer in transaction mode."""

    database_role: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "ninety_service"
    """What the service runs as once it is connected: the role that the migrations make, which cannot change the log."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("var")
    admin_key: Annotated[str | None, Field(pattern=r"^nty_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$", repr=False)] = None
    """A bootstrap admin key, in place of the one that a first start makes."""

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
    jwt_leeway_seconds: Annotated[int, Field(ge=0, le=120)] = 30
    jwt_allow_http: bool = False
    """Keys over plain HTTP, from this machine only."""

    cors_origins: Words = ()
    """Of web pages that may call from a browser. None unless named."""
    hsts_seconds: Annotated[int, Field(ge=0)] = 0

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """API processes."""
    worker: bool = True
    """Whether the API processes run the worker's loops too; else `ninety worker` must run somewhere."""

    pool_size: Annotated[int, Field(ge=1, le=500)] = 16
    """Database connections per process."""
    pool_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    statement_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    body_limit_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    import_limit_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    head_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    body_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """In which the head of a request, and then its body, must have arrived whole."""
    request_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """In which the statements of a request must be done. A COMMIT is never broken off."""
    keep_alive_seconds: Annotated[int, Field(ge=1, le=600)] = 75
    connections: Annotated[int, Field(ge=1, le=100_000)] = 4096
    """Open connections per process."""
    concurrency: Annotated[int, Field(ge=4, le=10_000)] = 64
    """Requests that a process answers at once; lists, exports and reports may be half of them."""
    caller_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 32
    caller_streams: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Requests of one caller that a process answers at once."""
    rate_limit_customer: RateLimit = 6_000
    rate_limit_agent: RateLimit = 30_000
    rate_limit_lead: RateLimit = 30_000
    rate_limit_admin: RateLimit = 600_000
    rate_limit_service: RateLimit = 600_000
    """Requests a minute of one caller, in each process."""
    sweep_interval_seconds: Annotated[float, Field(ge=0.01, le=60)] = 0.1
    webhook_private_targets: bool = False
    """Webhooks may go to http, to every port and to addresses that are not public: for development and tests."""
    webhook_secret_keys: Annotated[str, Field(repr=False)] = ""
    """Fernet keys, with commas, that webhooks' secrets are encrypted with in the database: the first one encrypts."""
    event_retention_days: Annotated[int, Field(ge=31, le=36_500)] | None = None
    """How long the log is kept: whole months go once all of them is older. Without it, for ever."""
    shutdown_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How long running requests may take to finish after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def secret_keys(self) -> list[str]:
        return [key for key in self.webhook_secret_keys.split(",") if key]

    @field_validator("webhook_secret_keys")
    @classmethod
    def _are_keys(cls, keys: str) -> str:
        if not all(_FERNET_KEY.fullmatch(key) for key in keys.split(",") if key):
            raise ValueError("each is 32 bytes in URL-safe base64, with commas between")
        return keys

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if urlsplit(url).scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
            raise ValueError("must be a postgresql:// URL")
        # asyncpg knows `postgresql` only; a plain prefix swap keeps odd but valid URLs (socket hosts) as they are.
        return "postgresql" + url[url.index("://") :]

    @field_validator("jwt_algorithms", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            url = urlsplit(origin)
            # As a browser writes it: in lower case, without a path. `*` is no list.
            if (
                url.scheme not in {"http", "https"}
                or not url.hostname
                or origin != f"{url.scheme}://{url.netloc}".lower()
            ):
                raise ValueError("an origin is https://host or https://host:port, and nothing more")
        return origins

    @field_validator("jwt_public_key")
    @classmethod
    def _is_public(cls, pem: str | None) -> str | None:
        if pem is not None and "PRIVATE KEY" in pem:
            raise ValueError("this is a private key: give the public one")
        return pem

    @model_validator(mode="after")
    def _tokens_make_sense(self) -> "Settings":
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

    def _check_provider(self, jwks_url: str) -> None:
        url = urlsplit(jwks_url)
        local = self.jwt_allow_http and url.scheme == "http" and url.hostname in _LOOPBACK
        if not url.hostname or url.username is not None or not (url.scheme == "https" or local):
            raise ValueError("jwt_jwks_url is an https:// URL")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
    """Settings from the environment; `overrides` (command-line options) win. Raises SettingsError."""
    known = {PREFIX + name.upper() for name, field in Settings.model_fields.items() if not field.validation_alias}
    unknown = sorted(name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as refused:
        # Not the input: DATABASE_URL and the admin key are secrets.
        lines = (f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in refused.errors(include_input=False))
        raise SettingsError("; ".join(lines)) from None
