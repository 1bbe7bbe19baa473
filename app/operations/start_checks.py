"""What is looked at before anything starts: the server, the database, the login, the role and the schema. What stands
in the way is said in one line, with what would be right."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from app.connections import GUARD_RAILS, server_settings
from app.db import FAULTS
from app.release import can_work_on
from app.settings import Settings

log = structlog.get_logger("ninety.start")

_CONNECT_SECONDS = 5
# On a local socket the server keeps nothing alive, and says 0.
_TIMEOUTS = [name for name in GUARD_RAILS if name.endswith("_timeout")]
# The migration that makes the role.
_ROLE_SINCE = "0004"
_OWN_ROLE = "ninety_service"
_LOGIN = """
SELECT current_user AS login, r.rolsuper OR r.rolcreaterole AS makes_roles,
    EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS role_there,
    EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(current_user, oid, 'MEMBER')) AS may_take_role,
    to_regclass('alembic_version') IS NOT NULL AS migrated,
    to_regclass('schema_support') IS NOT NULL AS supported,
    ARRAY(SELECT name FROM pg_settings WHERE name = ANY($2::text[]) AND setting = '0') AS without
FROM pg_roles r WHERE r.rolname = current_user"""


class CannotStart(Exception):
    """The database is not there or cannot be used as it is. The message is for people, and one line."""


@dataclass(frozen=True, slots=True)
class Found:
    login: str
    makes_roles: bool
    role_there: bool
    may_take_role: bool
    without: tuple[str, ...]
    schema: str | None
    not_below: str | None


async def check(settings: Settings, schema_head: str) -> bool:
    """Whether the schema is older than this release, and there is something to migrate. Raises CannotStart."""
    try:
        found = await look(settings)
    except FAULTS as failed:
        raise CannotStart(explained(failed, settings)) from failed
    check_found(found, schema_head, settings)
    if found.without:
        log.warning("guard_rails_missing", settings=list(found.without), remedy=rails_remedy(found, settings))
    return found.schema is None or found.schema < schema_head


def check_found(found: Found, schema_head: str, settings: Settings) -> None:
    """Raises CannotStart."""
    if found.schema and found.schema > schema_head:
        _check_newer(found, schema_head)
    _check_role(found, settings)


async def look(settings: Settings) -> Found:
    # With what the service's own connections bring along, but the role: that may be still to be made.
    given = {name: value for name, value in server_settings(settings).items() if name != "role"}
    connection = await asyncpg.connect(
        settings.database_url, timeout=_CONNECT_SECONDS, statement_cache_size=0, server_settings=given
    )
    try:
        [row] = await connection.fetch(_LOGIN, settings.database_role, _TIMEOUTS)
        schema = await connection.fetchval("SELECT max(version_num) FROM alembic_version") if row["migrated"] else None
        floor = await connection.fetchval("SELECT not_below FROM schema_support") if row["supported"] else None
    finally:
        await connection.close()
    return Found(
        row["login"], row["makes_roles"], row["role_there"], row["may_take_role"], tuple(row["without"]), schema, floor
    )


def _check_newer(found: Found, own: str) -> None:
    if not can_work_on(own, found.schema, found.not_below):
        raise CannotStart(
            f"the database's schema is {found.schema}, and works with releases from {found.not_below} on; this release "
            f"is {own}: start the newer release"
        )
    log.warning("newer_schema", schema=found.schema, own=own)


def _check_role(found: Found, settings: Settings) -> None:
    role, login = settings.database_role, found.login
    if not found.role_there:
        is_made = role == _OWN_ROLE and (found.schema or "") < _ROLE_SINCE
        if is_made and found.makes_roles:
            return
        what = "the first migration makes it, for which the login needs CREATEROLE" if is_made else "no dump brings it"
        raise CannotStart(
            f"there is no role {role} ({what}): as an administrator, CREATE ROLE {role} NOLOGIN; "
            f'GRANT {role} TO "{login}";'
        )
    if not found.may_take_role and not found.makes_roles:
        raise CannotStart(f'the login {login} may not become {role}: as an administrator, GRANT {role} TO "{login}";')


def rails_remedy(found: Found, settings: Settings) -> str:
    database = unquote(urlsplit(settings.database_url or "").path.lstrip("/"))
    return "; ".join(
        f'ALTER ROLE "{found.login}" IN DATABASE "{database}" SET {name} = \'{GUARD_RAILS[name]}\''
        for name in found.without
    )


def explained(failed: BaseException, settings: Settings) -> str:
    """One line on what is wrong with the database, and what would be right."""
    if isinstance(failed, DBAPIError) and failed.orig is not None:
        # What Alembic's engine raises carries the driver's error inside.
        failed = failed.orig.__cause__ or failed.orig
    state = getattr(failed, "sqlstate", None) or ""
    if isinstance(failed, asyncpg.ClientConfigurationError):
        return f"DATABASE_URL: {' '.join(str(failed).split())}"
    advice = _ADVICE.get(state) or (_ADVICE_OF_CLASS.get(state[:2]) if state else _away)
    said = " ".join(str(failed).split()) or type(failed).__name__
    return advice(said, settings) if advice else f"the database cannot be used: {said}"


def _away(said: str, settings: Settings) -> str:
    return f"the database server at {_place(settings)} does not answer ({said}): start it, or correct DATABASE_URL"


def _no_database(said: str, settings: Settings) -> str:
    return f"{said} at {_place(settings)}: create it, or correct DATABASE_URL"


def _no_login(said: str, settings: Settings) -> str:
    where = _place(settings)
    return f"the server at {where} refuses the login ({said}): correct DATABASE_URL, or the server's pg_hba.conf"


def _no_role(said: str, settings: Settings) -> str:
    role = settings.database_role
    return (
        f"the role cannot be taken ({said}): as an administrator, CREATE ROLE {role} NOLOGIN; GRANT {role} TO the login"
    )


def _pooler(said: str, settings: Settings) -> str:
    if settings.database_pooler == "none":
        return f"DATABASE_URL leads to a pooler ({said}): set DATABASE_POOLER=pgbouncer"
    return f"the pooler at {_place(settings)} refuses the connection: {said}"


def _not_allowed(said: str, _: Settings) -> str:
    return f"the login lacks a right ({said}): grant it as the owner of the database or an administrator"


_Advice = Callable[[str, Settings], str]
_ADVICE: dict[str, _Advice] = {
    "3D000": _no_database, "22023": _no_role, "42501": _not_allowed, "08P01": _pooler, "26000": _pooler,
    "42P05": _pooler,
}  # fmt: skip
_ADVICE_OF_CLASS: dict[str, _Advice] = {"08": _away, "28": _no_login, "57": _away}


def _place(settings: Settings) -> str:
    """The server of DATABASE_URL, without what is secret in it."""
    if settings.database_url is None:
        return "the socket of the embedded PostgreSQL"
    hosts = urlsplit(settings.database_url).netloc.rpartition("@")[2]
    if not hosts:
        return "the socket of DATABASE_URL"
    return ",".join(host if ":" in host.rpartition("]")[2] else f"{host}:5432" for host in hosts.split(","))
