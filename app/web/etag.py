"""Strong ETags from a resource's version, and what callers may demand of them (RFC 9110, 13.1)."""

import re
from typing import Annotated, Any

from fastapi import Header
from starlette.responses import Response

from app.db import Values
from app.errors import AppError

_BY_PROXIES = re.compile(r"[-;](?:gzip|br|zstd|deflate)\"$")
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="Change it only if it is still this version.", max_length=1000)
]

# No longer one is read.
LONGEST_HEADER = 32_768
KNOWN = "The ETag of what the caller has: 304 where it is still this version."
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description=KNOWN, max_length=LONGEST_HEADER)]


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
    current = etag(version, archived=archived)
    given = [_own(part) for part in if_match.split(",")]
    if current not in given:
        unquoted = "; a tag is written within double quotes" if not any('"' in part for part in given) else ""
        raise PreconditionFailed(f"the current version is {current}{unquoted}")


def _own(part: str) -> str:
    """The tag as it was given out: proxies that compress make it weak, or write that into it."""
    return _BY_PROXIES.sub('"', part.strip().removeprefix("W/"))


def unchanged(if_none_match: str | None, current: str | None) -> bool:
    if not if_none_match or not current:
        return False
    tags = [_own(part) for part in if_none_match.split(",")]
    return current in tags or "*" in tags
