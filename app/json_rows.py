"""Rows of parameters as one JSON array, so that a statement's text does not depend on how many there are
(`json_to_recordset`)."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from app.connections import to_json
from app.statements import Query

# What has an exact form in JSON.
_TYPE = (
    r"(?:UUID|VARCHAR|TEXT|TIMESTAMP WITH TIME ZONE|DATE|JSONB|BIGINT|INTEGER|SMALLINT|BOOLEAN|FLOAT|INTERVAL)(?:\[\])?"
)  # fmt: skip
_PARAMETER = re.compile(rf"\$(\d+)(?:::({_TYPE})(?![\w\[]))?")


@lru_cache(maxsize=1024)
def types_of(sql: str) -> Mapping[int, str] | None:
    """The types of its parameters by number; None where one has no type, or one that JSON does not hold exactly."""
    types = {int(number): type_ for number, type_ in _PARAMETER.findall(sql)}
    return types if all(types.values()) else None


def has_parameters(sql: str) -> bool:
    return _PARAMETER.search(sql) is not None


def from_rows(sql: str) -> str:
    """With the columns of `recordset` in the place of its parameters."""
    return _PARAMETER.sub(lambda parameter: f"given.p{parameter[1]}", sql)


def recordset(number: int | str, types: Mapping[int, str], *more: str) -> str:
    """The rows of parameter `number`, to select from."""
    columns = ", ".join((*(f"p{n} {type_}" for n, type_ in sorted(types.items())), *more))
    return f"json_to_recordset(${number}::json) AS given({columns})"


def argument(query: Query, rows: Sequence[dict[str, Any]], *, numbered: bool = False) -> str:
    """The `recordset` of a query's parameters; `numbered`: with the number of the row as `n`."""
    names = [f"p{n}" for n in range(1, len(query.names) + 1)]
    found = [dict(zip(names, map(_plain, query.args(row)), strict=True)) for row in rows]
    if numbered:
        found = [{**row, "n": n} for n, row in enumerate(found)]
    return to_json(found).decode()


def _plain(value: object) -> object:
    """An interval as asyncpg sends it: days are not hours."""
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds}.{value.microseconds:06d} seconds"
    return value
