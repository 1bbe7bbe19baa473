"""Every setting, read once from the environment. Refuses what it does not know, so that a typing error cannot
silently fall back to a default."""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
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
BASE_PATH = r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)+"
OWN_WORDS = frozenset({"v1", "console", "docs", "problems", "openapi.json", "livez", "readyz", "metrics"})
"""With which the service's own paths begin."""
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class SettingsError(ValueError):
    """A setting is unknown or makes no sense. The message is for people."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


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

    base_path: Annotated[str, Field(max_length=200)] = ""
    """Stands before every path of the service where it is called from: `/support`."""
    public_origin: str = ""
    """With it Location and Link are absolute: `https://desk.example`."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Addresses and networks of proxies whose X-Forwarded-Prefix counts, in place of `base_path`."""

    cors_origins: Words = ()
    """Of web pages that may call from a browser. None unless named."""
    cors_headers: Words = ()
    """That such a page may send beside those that the API and tracing know."""
    console: bool = True
    """Whether the live console is served at /console."""
    hsts_seconds: Annotated[int, Field(ge=0)] = 0

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """API processes."""
    worker: bool = True
    """Whether `ninety serve` runs the worker's loops too; else `ninety worker` must run somewhere."""
    worker_process: bool = True
    """Whether it runs them in a process of their own. Within the API processes, what these do holds up the sweep."""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """A port of their own for the figures, which are then not at `/metrics` any more; of a separate worker, too."""

    pool_size: Annotated[int, Field(ge=1, le=500)] = 16
    """Database connections per process."""
    pool_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    statement_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    customers_set: Annotated[tuple[Literal["priority", "tags"], ...], NoDecode] = ()
    """What customers set of their own tickets besides what they say. Tags are shown to them where they set them."""
    body_limit_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    import_limit_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    customer_day_bytes: Annotated[int, Field(ge=1024, le=2**53)] = 128 * 1024 * 1024
    ticket_bytes: Annotated[int, Field(ge=1024, le=2**53)] = 512 * 1024 * 1024
    """Text and files that one customer may store in a day, and that a ticket holds before its customers store no more
    on it."""
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
    caller_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    caller_streams: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Requests of one caller that a process answers at once; unless told otherwise three quarters of `pool_size`, and
    less than what lists may take of `concurrency`."""
    rate_limit_customer: RateLimit = 6_000
    rate_limit_agent: RateLimit = 30_000
    rate_limit_lead: RateLimit = 30_000
    rate_limit_admin: RateLimit = 600_000
    rate_limit_service: RateLimit = 600_000
    """Requests a minute of one caller, in each process."""
    availability_silence_seconds: Annotated[float, Field(gt=0, le=86_400)] = 90.0
    """How long an agent stays available without a word."""
    claim_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120
    """In which a claimed ticket is answered; then it is taken back."""
    sweep_interval_seconds: Annotated[float, Field(ge=0.01, le=60)] = 0.1
    webhook_private_targets: bool = False
    """Webhooks may go to http, to every port and to addresses that are not public: for development and tests."""
    webhook_secret_keys: Annotated[str, Field(repr=False)] = ""
    """Fernet keys, with commas, that webhooks' secrets are encrypted with in the database: the first one encrypts."""
    event_retention_days: Annotated[int, Field(ge=31, le=36_500)] | None = None
    """How long the log is kept: whole months go once all of them is older. Without it, for ever."""
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    """How long a process that was sent SIGTERM goes on answering while `/readyz` already sends the balancer away."""
    shutdown_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How long running requests may take to finish after that."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
    """Of the log; without it `console` where stderr is a terminal, else `json`."""

    @property
    def share_of_caller(self) -> int:
        """Nobody alone takes all connections, or all room that lists may take: others would be refused for it."""
        return self.caller_concurrency or max(1, min(self.pool_size * 3 // 4, self.concurrency // 2 - 1))

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

    @field_validator("jwt_algorithms", "jwt_role_map", "cors_origins", "cors_headers", "customers_set", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _words(value) if isinstance(value, str) else value

    @field_validator("base_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if path and not re.fullmatch(BASE_PATH, path):
            raise ValueError("a path such as /support: letters, digits, and . _ ~ - between slashes")
        if path and path.split("/")[1] in OWN_WORDS:
            raise ValueError(f"/{path.split('/')[1]} is a path of the service itself: take another")
        return path

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _are_networks(cls, value: object) -> object:
        try:
            return tuple(map(ip_network, _words(value))) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("addresses and networks, as 10.0.0.7 and 10.1.0.0/16, separated by commas") from None

    @field_validator("cors_origins", "public_origin")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for origin in [origins] if isinstance(origins, str) else origins:
            url = urlsplit(origin)
            # As a browser writes it: in lower case, without a path. `*` is no list.
            if origin and (
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

    @property
    def jwt_issuers(self) -> list[str]:
        """All of them sign with the same keys."""
        return list(_words(self.jwt_issuer or ""))

    @property
    def jwt_audiences(self) -> list[str]:
        return list(_words(self.jwt_audience or ""))

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


_WITHOUT_PREFIX = {"DATABASE_URL", "DATABASE_POOLER"}
_PATTERNS = {
    "admin_key": "not a key of this service; `ninety make-key` makes one",
    "database_role": "a role's name: small letters, digits and underscores, the first no digit",
}


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
        raise SettingsError("; ".join(map(_explained, refused.errors(include_input=False)))) from None


def _explained(error: Mapping[str, Any]) -> str:
    """With the variable to set, and without regular expressions."""
    name = str(error["loc"][0]) if error["loc"] else ""
    variable = name.upper() if name.upper() in _WITHOUT_PREFIX else PREFIX + name.upper()
    says = _PATTERNS.get(name, str(error["msg"])) if error["type"] == "string_pattern_mismatch" else str(error["msg"])
    return f"{variable}: {says}" if name else says
