"""What this release can work on: a schema of its own or a newer one that still has what it needs, and rows in which a
newer release, that runs beside it for a while, has written words that this one does not know."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import TypeVar

import structlog

from app.errors import Unavailable

log = structlog.get_logger("ninety.release")

T = TypeVar("T")
R = TypeVar("R")
Word = TypeVar("Word", bound=StrEnum)


class NewerRelease(Unavailable):
    """What was asked for holds something that a newer release of this service has written, and the process that
    answered runs an older one. Repeat the request: the newer ones can do it."""

    code = "newer_release"
    title = "Written by a newer release"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not known to this release; processes of the newer release know it")


def word(kind: type[Word], text: str) -> Word:
    """A stored word of this kind. Raises NewerRelease."""
    try:
        return kind(text)
    except ValueError:
        raise NewerRelease(f"the {kind.__name__} {text!r}") from None


def understood(read: Callable[[R], T], rows: Iterable[R]) -> Iterator[T]:
    """What `read` makes of each row, without those that only a newer release understands."""
    for row in rows:
        try:
            yield read(row)
        except NewerRelease as newer:
            log.warning("passed_over", reason=newer.detail)


def can_work_on(own: str, schema: str | None, not_below: str | None) -> bool:
    """Whether a release whose newest migration is `own` serves a database at `schema`, whose migrations have said that
    no release below `not_below` does. Versions are numbers with leading zeros."""
    return schema is not None and own <= schema and (not_below or "") <= own
