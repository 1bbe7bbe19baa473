"""How many there are, about: exact where that is cheap, and what the planner takes it for where it is not."""

from typing import Any

import orjson
from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from app.db import Row

EXACT = 10_000


class Explain(Executable, ClauseElement):
    """The plan of a statement, as JSON."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(Explain)
def _explain(element: Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def counted(found: Select[Any]) -> Select[Any]:
    """Up to one more than is counted exactly, as `found`."""
    some = found.limit(literal_column(str(EXACT + 1))).subquery()
    return select(func.count().label("found")).select_from(some)


def planned_rows(row: Row) -> int:
    return int(orjson.loads(row[0])[0]["Plan"]["Plan Rows"])
