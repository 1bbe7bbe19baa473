"""RFC 9457: every answer that is not a 2xx. This module alone knows how a refusal, a validation error or a fault of the
database looks on the wire."""

import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import asyncpg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
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

MEDIA_TYPE = "application/problem+json"
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
    errors: list[ProblemError] | None = Field(default=None, description="With 422: each wrong part.")


def as_problem(error: AppError, instance: str) -> Problem:
    return Problem(
        type=f"/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=instance,
        code=error.code,
        errors=[ProblemError(pointer=e.pointer, code=e.code, detail=e.detail) for e in error.errors] or None,
    )


def respond(request: Request, error: AppError) -> Response:
    # Not `request.url`: that is put together with the caller's Host header, and fails where that is nonsense.
    body = as_problem(error, as_instance(request.scope["path"])).model_dump_json(exclude_none=True)
    return Response(body, error.status, headers=error.headers, media_type=MEDIA_TYPE)


def as_instance(path: str) -> str:
    return quote(path, safe="/:@!$&'()*+,;=", errors="replace")


def install(app: FastAPI, allowed_methods: Callable[[str], Iterable[str]]) -> None:
    """Register the handlers. `allowed_methods` says which methods a path has."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)
        return respond(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(request, _from_validation(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            # What names no methods are the files of /docs.
            allow = ", ".join(sorted(set(allowed_methods(request.scope["path"])) or {"GET", "HEAD"}))
            return respond(request, MethodNotAllowed(f"this path takes {allow}", headers={"Allow": allow}))
        return respond(request, NotFound("there is nothing at this path"))

    async def fault(request: Request, error: Exception) -> Response:
        return respond(request, from_fault(error))

    app.add_exception_handler(AppError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    for kind in (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, Exception):
        app.add_exception_handler(kind, fault)


def _from_validation(error: RequestValidationError) -> Invalid:
    found = error.errors()
    errors = tuple(
        FieldError(pointer(e["loc"]), str(e["type"]), str(e["msg"]).removeprefix("Value error, "))
        for e in found[:_MOST_ERRORS]
    )
    where = f"{errors[0].pointer or 'the body'}: {errors[0].detail}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Invalid(where + more, errors=errors)


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
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        log.warning("database_unreachable", error=repr(error))
        return Unavailable("the database is not reachable")
    # Where it happened, not what it said: the text of an exception may hold customers' data.
    frames = traceback.extract_tb(error.__traceback__)
    log.error("bug", kind=type(error).__name__, at=[f"{f.filename}:{f.lineno} {f.name}" for f in frames[-12:]])
    return InternalError()
