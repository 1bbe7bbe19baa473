"""Strong ETags from a resource's version, and what callers may demand of them (RFC 9110, 13.1)."""

from typing import Annotated, Any

from fastapi import Header
from starlette.responses import Response

from app.db import Values
from app.errors import AppError

IfMatch = Annotated[str | None, Header(description="Change it only if it is still this version.", max_length=1000)]


class PreconditionFailed(AppError):
    """The resource is not in the version that If-Match names: somebody changed it. Read it again, then decide."""

    status = 412
    code = "precondition_failed"
    title = "Changed since you read it"


def etag(version: int, *, archived: bool = False) -> str:
    # Archiving makes no version, and is a change all the same.
    return f'"{version}-archived"' if archived else f'"{version}"'


def tag(response: Response, row: Values) -> dict[str, Any]:
    """The row as an answer, with its ETag put on."""
    response.headers["ETag"] = etag(row["version"], archived=row.get("archived_at") is not None)
    return dict(row)


def require(if_match: str | None, version: int, *, archived: bool = False) -> None:
    """Raises PreconditionFailed. Compare under the lock that the change will be made under."""
    if if_match is None or if_match.strip() == "*":
        return
    # Strong comparison: a weak tag (W/"…") never matches.
    current = etag(version, archived=archived)
    if current not in (part.strip() for part in if_match.split(",")):
        raise PreconditionFailed(f"the current version is {current}")


def unchanged(if_none_match: str | None, current: str | None) -> bool:
    if not if_none_match or not current:
        return False
    tags = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return current in tags or "*" in tags
