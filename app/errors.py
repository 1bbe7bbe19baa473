"""The family of refusals. A refusal is a class with a status and a code, kept next to the rule it guards; what is
here are the ones that every feature shares. `web/problems.py` alone turns them into HTTP."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong part of the input. `pointer` is an RFC 6901 pointer into the body, or /query/…, /path/…, /header/…."""

    pointer: str
    code: str
    detail: str


class AppError(Exception):
    """A refusal. The docstring of a subclass is what `/problems/{code}` answers; `detail` says what would be right."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.headers = dict(headers or {})


class InternalError(AppError):
    """A bug in the service. Nothing was stored. The request id in the answer finds the log line."""


class Invalid(AppError):
    """The request was understood and refused: `errors` lists each wrong part with a pointer to it."""

    status = 422
    code = "invalid"
    title = "The input is not valid"

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> "Invalid":
        return cls(detail, errors=(FieldError(pointer, code, detail),))


class Malformed(AppError):
    """The body is not the JSON that this service reads: UTF-8, no NaN, no duplicate keys, depth 24 at most,
    integers within ±(2^53-1), no NUL and no lone surrogates."""

    status = 400
    code = "malformed_body"
    title = "The body cannot be read"


class MalformedRequest(AppError):
    """The path or the query is not UTF-8, percent-encoded, without NUL."""

    status = 400
    code = "malformed_request"
    title = "The request cannot be read"


class NotFound(AppError):
    """There is no such thing, or it is not yours to know of."""

    status = 404
    code = "not_found"
    title = "Not found"


class Forbidden(AppError):
    """The caller is known, and may not do this. The detail names what is missing."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class Conflict(AppError):
    """The request does not fit the present state of the thing, or collides with another one."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Unavailable(AppError):
    """The service cannot answer just now. Nothing is lost: repeat the request after `Retry-After` seconds, with its
    Idempotency-Key where it creates or acts."""

    status = 503
    code = "unavailable"
    title = "Not available just now"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class Overloaded(Unavailable):
    """The service takes no more work just now."""

    code = "overloaded"
    title = "Too much at once"


def every_error() -> Iterator[type[AppError]]:
    """All refusals that have been imported, once per code."""
    seen: set[str] = set()
    pending = [AppError]
    while pending:
        kind = pending.pop(0)
        pending.extend(kind.__subclasses__())
        if kind is not AppError and kind.code not in seen:
            seen.add(kind.code)
            yield kind
