"""Every setting, read once from the environment. Refuses what it does not know, so that a typing error cannot
silently fall back to a default."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "NINETY_"
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class SettingsError(ValueError):
    """A setting is unknown or makes no sense. The message is for people."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    database_url: Annotated[str | None, Field(validation_alias=AliasChoices("DATABASE_URL", "database_url"))] = None
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
