"""How an instant is written wherever the service writes one itself: RFC 3339, in UTC, ending with Z."""

import re
from datetime import UTC, datetime
from typing import Any

_WITH_AN_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def with_z(value: Any) -> Any:
    """The same JSON, where whatever is an instant with the offset +00:00 ends with Z: so older rows of the log have
    them, and those that a statement of SQL wrote."""
    match value:
        case str():
            return value[:-6] + "Z" if _WITH_AN_OFFSET.fullmatch(value) else value
        case list():
            return [with_z(each) for each in value]
        case dict():
            return {name: with_z(each) for name, each in value.items()}
        case _:
            return value
