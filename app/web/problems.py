"""RFC 9457: every answer that is not a 2xx. This module alone knows how a refusal, a validation error or a fault of the
database looks on the wire."""

import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import (
    AppError,
    Conflict,
    FieldError,
    InternalError,
    Invalid,
    NotFound,
    Overloaded,
    Unavailable,
)
from app.release import NewerRelease
from app.web import names
from app.web.outside import BASE
from app.web.schemas import PATTERNS, by_newer_release
from app.web.taken import conflict

MEDIA_TYPE = "application/problem+json"
# Where the code of a refusal is left for the access log.
CODE = "ninety.problem"
log = structlog.get_logger("ninety.problems")

# An answer stays small however much is wrong with the request.
_MOST_ERRORS = 100
_LONGEST_PART = 200


class MethodNotAllowed(AppError):
    """The path exists, the method does not: `Allow` lists the methods that do."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class ProblemError(BaseModel):
    """One wrong part of the request."""

    pointer: str = Field(description="RFC 6901 pointer into the body, or /query/…, /path/…, /header/…")
    code: str = Field(description="Stable, for programs.")
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="A path of this service that explains the code.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="Stable, for programs.")
    errors: list[ProblemError] | None = Field(
        default=None,
        description="With 422: each wrong part. With 409: the taken values. With 412 to a reply: what came meanwhile.",
    )


def as_problem(error: AppError, instance: str) -> Problem:
    base = BASE.get()
    return Problem(
        type=f"{base}/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=base + instance,
        code=error.code,
        errors=[ProblemError(pointer=e.pointer, code=e.code, detail=e.detail) for e in error.errors] or None,
    )


def respond(request: Request, error: AppError) -> Response:
    request.scope[CODE] = error.code
    # Not `request.url`: that is put together with the caller's Host header, and fails where that is nonsense.
    body = as_problem(error, as_instance(request.scope["path"])).model_dump_json(exclude_none=True)
    return Response(body, error.status, headers=error.headers, media_type=MEDIA_TYPE)


_NO_ID = "there is nothing with this id: ids are UUIDs"


def as_instance(path: str) -> str:
    return quote(path, safe="/:@!$&'()*+,;=", errors="replace")


def install(app: FastAPI, allowed_methods: Callable[[str], Iterable[str]]) -> None:
    """Register the handlers. `allowed_methods` says which methods a path has."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)
        return respond(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(request, _from_validation(request, error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            # What names no methods are the files of /docs.
            allow = ", ".join(sorted(set(allowed_methods(request.scope["path"])) or {"GET", "HEAD"}))
            return respond(request, MethodNotAllowed(f"this path takes {allow}", headers={"Allow": allow}))
        return respond(request, _nothing_at(request.scope["path"], allowed_methods))

    async def fault(request: Request, error: Exception) -> Response:
        if isinstance(error, asyncpg.UniqueViolationError):
            async with request.app.state.db.transaction() as tx:
                return respond(request, await conflict(tx, error))
        return respond(request, from_fault(error))

    app.add_exception_handler(AppError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    for kind in (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, Exception):
        app.add_exception_handler(kind, fault)


def _nothing_at(path: str, allowed_methods: Callable[[str], Iterable[str]]) -> NotFound:
    """A bare word where ids are is an id that is none, as any other is."""
    parent, _, word = path.rpartition("/")
    if word and any(allowed_methods(f"{parent}/{UUID(int=0)}")):
        return NotFound(_NO_ID)
    return NotFound(f"there is nothing at this path{_nearby(path, allowed_methods)}")


def _nearby(path: str, allowed_methods: Callable[[str], Iterable[str]]) -> str:
    """What was probably meant: a slash too many around it, or the version left out."""
    tidy = f"/{path.strip('/')}"
    near = next((each for each in (tidy, f"/v1{tidy}") if each != path and any(allowed_methods(each))), None)
    return f"; there is something at {BASE.get()}{as_instance(near)}" if near and len(near) <= _LONGEST_PART else ""


def _from_validation(request: Request, error: RequestValidationError) -> AppError:
    found = error.errors()
    # Of a thing that is not there, nothing else that was sent matters.
    for each in found:
        if each["loc"][0] == "path" and each["type"] == "uuid_parsing":
            return _no_id(request, str(each["input"]))
    route = request.scope["route"]
    errors = tuple(FieldError(pointer(e["loc"]), str(e["type"]), _explained(route, e)) for e in found[:_MOST_ERRORS])
    where = f"{errors[0].pointer or 'the body'}: {errors[0].detail}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Invalid(where + more, errors=errors)


def _no_id(request: Request, given: str) -> NotFound:
    """Nothing has such an id; what says a number may mean a ticket's."""
    of_tickets = given.isascii() and given.isdecimal() and request.scope["route"].path.startswith("/v1/tickets/")
    hint = f"; a ticket's number is read at /v1/tickets/by-number/{given[:19]}" if of_tickets else ""
    return NotFound(f"{_NO_ID}{hint}")


def _explained(route: APIRoute, error: dict[str, Any]) -> str:
    """In words: a name that is not known, and what a pattern asks for."""
    if error["type"] == names.UNKNOWN:
        return names.unknown(str(error["loc"][-1]), names.known_at(route.dependant, error["loc"]))
    if error["type"] == "string_pattern_mismatch":
        return PATTERNS.get(error["ctx"]["pattern"], "a text of another form")
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["loc"][0] == "body" and error.get("input", ...) is None:
        return f"{said}, not null: {_IN_PLACE_OF_NULL.get(error['type'], 'leave it out')}"
    return said


# A field without a null of its own.
_IN_PLACE_OF_NULL = {"list_type": "leave it out, or write [] for none", "dict_type": "leave it out, or write {}"}


def pointer(location: Iterable[Any]) -> str:
    """FastAPI's `loc` as an RFC 6901 pointer; the body is the root."""
    parts = [str(part)[:_LONGEST_PART].replace("~", "~0").replace("/", "~1") for part in location]
    if parts and parts[0] == "body":
        parts = parts[1:]
    return "".join(f"/{part}" for part in parts)


_BY_SQLSTATE: dict[str, Callable[[], AppError]] = {
    "23505": lambda: Conflict("something with the same unique value exists already"),
    "23503": lambda: Conflict("something that this refers to does not exist, or is still referred to"),
    "57014": lambda: Unavailable("the database took too long"),
    "55P03": lambda: Unavailable("the database took too long to lock a row"),
    "53300": lambda: Overloaded("the database takes no more connections"),
    "53100": lambda: Unavailable("the database cannot write just now", retry_after_seconds=5),
}
_BY_CLASS: dict[str, Callable[[], AppError]] = {
    "08": lambda: Unavailable("the connection to the database was lost"),
    "40": lambda: Unavailable("too many callers at the same rows"),
    "53": lambda: Overloaded("the database is short of resources"),
    "57": lambda: Unavailable("the database is not available"),
    "58": lambda: Unavailable("the database is not available"),
    # Validation should have caught these: they reach the log as errors, the caller as its own mistake.
    "22": lambda: Invalid("a value does not fit the database"),
    "23": lambda: Invalid("a value breaks a rule of the database"),
    "54": lambda: Invalid("a value is larger than the database can hold"),
    "25": lambda: Unavailable("the database takes no writes just now"),
}


def from_fault(error: Exception) -> AppError:
    """What a caller is told of an exception that is not a refusal. Never its text: that may hold customers' data."""
    state: str | None = getattr(error, "sqlstate", None)
    if state:
        known = _BY_SQLSTATE.get(state) or _BY_CLASS.get(state[:2])
        if known and state[:2] not in {"22", "23", "54"}:
            log.warning("database_fault", sqlstate=state)
            return known()
        log.error("database_refused", sqlstate=state, constraint=getattr(error, "constraint_name", None))
        return known() if known else InternalError()
    if isinstance(error, TimeoutError):
        return Unavailable("the database took too long")
    if isinstance(error, ResponseValidationError) and by_newer_release(error.errors()):
        return NewerRelease("a part of it")
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        log.warning("database_unreachable", error=repr(error))
        return Unavailable("the database is not reachable")
    # Where it happened, not what it said: the text of an exception may hold customers' data.
    frames = traceback.extract_tb(error.__traceback__)
    log.error("bug", kind=type(error).__name__, at=[f"{f.filename}:{f.lineno} {f.name}" for f in frames[-12:]])
    return InternalError()
