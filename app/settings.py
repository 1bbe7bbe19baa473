"""Every setting, read once from the environment. Refuses what it does not know, so that a typing error cannot
silently fall back to a default."""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.token_settings import TokenSettings, Words, providers_in, words

PREFIX = "NINETY_"
RateLimit = Annotated[int, Field(ge=1, le=1_000_000_000)]
BASE_PATH = r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)+"
OWN_WORDS = frozenset({"v1", "console", "docs", "problems", "openapi.json", "livez", "readyz", "metrics"})
"""With which the service's own paths begin."""
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class SettingsError(ValueError):
    """A setting is unknown or makes no sense. The message is for people."""


def cannot_listen(variable: str, host: str, port: int, refused: Exception) -> SettingsError:
    why = getattr(refused, "strerror", None) or str(refused)
    return SettingsError(
        f"{variable}: cannot listen on {host}:{port} ({why}): take a free port, and an address of this machine as "
        "NINETY_HOST"
    )


class Settings(TokenSettings, BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    database_url: Annotated[
        str | None, Field(validation_alias=AliasChoices("DATABASE_URL", "database_url"), repr=False)
    ] = None
    """postgresql://… of any PostgreSQL ≥ 15; without it the embedded one is started."""
    database_pooler: Annotated[
        Literal["none", "pgbouncer"], Field(validation_alias=AliasChoices("DATABASE_POOLER", "database_pooler"))
    ] = "none"
    """`pgbouncer` turns prepared statements off, which is right for every PgBouncer in transaction mode."""
    read_database_url: Annotated[str | None, Field(repr=False)] = None
    """postgresql://… of a standby, or of what leads to several; without it reports are read from the primary."""
    read_max_lag_seconds: Annotated[float, Field(ge=3, le=3_600)] = 10.0
    """By how much it may be behind. A worker's heartbeat shows that, and comes every two seconds."""

    database_role: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "ninety_service"
    """What the service runs as once it is connected: the role that the migrations make, which cannot change the log."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("var")
    admin_key: Annotated[str | None, Field(pattern=r"^nty_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$", repr=False)] = None
    """A bootstrap admin key, in place of the one that a first start makes."""

    jwt_providers: Annotated[tuple[TokenSettings, ...], NoDecode, Field(repr=False)] = ()
    """More who sign tokens, each with keys and claims of its own: a JSON list."""

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
    slow_statement_seconds: Annotated[float, Field(gt=0, le=600)] = 0.5
    """A statement that takes longer gets a line in the log."""
    customers_set: Annotated[tuple[Literal["priority", "tags"], ...], NoDecode] = ()
    """What customers set of their own tickets besides what they say. Tags are shown to them where they set them."""
    cost_field: Annotated[str, Field(max_length=100)] | None = None
    """Of tickets, a custom field of numbers: what a complaint or return cost. It is kept where a customer is erased."""
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
    report_zones: Words = ()
    """Time zones by whose days reports are kept added up; without any UTC and those of the business calendars."""
    event_retention_days: Annotated[int, Field(ge=31, le=36_500)] | None = None
    """How long the log is kept: whole months go once all of them is older. Without it, for ever."""
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    """How long a process that was sent SIGTERM goes on answering while `/readyz` already sends the balancer away."""
    shutdown_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How long running requests may take to finish after that."""
    otlp_endpoint: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
            pattern=r"^https?://[^/\s?#]+(/[^\s?#]*)?$",
            repr=False,
        ),
    ] = None
    """Where traces go, by OTLP over HTTP; without it there are none."""
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

    @field_validator("report_zones")
    @classmethod
    def _are_zones(cls, zones: tuple[str, ...]) -> tuple[str, ...]:
        for zone in zones:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"{zone} is no IANA time zone: write Europe/Helsinki, with commas between") from None
        return zones

    @field_validator("database_url", "read_database_url")
    @classmethod
    def _is_postgres(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if urlsplit(url).scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
            raise ValueError("must be postgresql://user:password@host:5432/database, or not be set")
        # Several hosts with ports of their own are allowed, which `urlsplit` does not read.
        for host in urlsplit(url).netloc.rpartition("@")[2].split(","):
            port = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
            if port and not (port.isdecimal() and 0 < int(port) <= 65535):
                raise ValueError(f"{port} is no port: write postgresql://user:password@host:5432/database")
        # asyncpg knows `postgresql` only; a plain prefix swap keeps odd but valid URLs (socket hosts) as they are.
        return "postgresql" + url[url.index("://") :]

    @field_validator("cors_origins", "cors_headers", "customers_set", "report_zones", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return words(value) if isinstance(value, str) else value

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
            return tuple(map(ip_network, words(value))) if isinstance(value, str) else value
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

    @field_validator("jwt_providers", mode="before")
    @classmethod
    def _are_providers(cls, value: object) -> object:
        return providers_in(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _issuers_differ(self) -> "Settings":
        names = [name for each in self.token_settings for name in each.jwt_issuers]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"jwt_issuer: {', '.join(sorted(twice))} is there twice, and a token has one provider")
        return self

    @property
    def token_settings(self) -> tuple[TokenSettings, ...]:
        """Of each provider whose tokens are taken."""
        return (*((self,) if self.jwt_issuer else ()), *self.jwt_providers)

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


_WITHOUT_PREFIX = {"DATABASE_URL", "DATABASE_POOLER", "OTEL_EXPORTER_OTLP_ENDPOINT"}
_PATTERNS = {
    "admin_key": "not a key of this service; `ninety make-key` makes one",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http:// or https:// with a host",
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
    within = ".".join(str(part).removeprefix("jwt_") for part in error["loc"][1:] if part != name)
    variable = name.upper() if name.upper() in _WITHOUT_PREFIX else PREFIX + name.upper()
    said = str(error["msg"]).removeprefix("Value error, ")
    says = _PATTERNS.get(name, said) if error["type"] == "string_pattern_mismatch" else said
    return f"{variable}: {within + ': ' if within else ''}{says}" if name else says
