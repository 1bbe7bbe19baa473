"""Statements: composed with SQLAlchemy Core, compiled once, and several of them made one."""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, Insert, MetaData, TableValuedAlias, bindparam, column, func, literal_column
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

# The names are what `23505` reports and what migrations refer to: they must not depend on the server.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_DIALECT = dialect()  # type: ignore[no-untyped-call]
_PLACEHOLDER = re.compile(r"\$(\d+)")
_VALUES = re.compile(r"^(?P<head>INSERT INTO .* VALUES )(?P<row>\(.*?\))(?P<tail>(?: ON CONFLICT .*)?)$", re.DOTALL)


def rows_of(
    columns: Mapping[str, TypeEngine[Any] | type[TypeEngine[Any]]], name: str, **options: Any
) -> TableValuedAlias:
    """Arrays as rows: each of `columns` is a parameter of that name, an array with an item for each row. `options` are
    those of `table_valued`."""
    arrays = (bindparam(column_name, type_=ARRAY(type_)) for column_name, type_ in columns.items())
    named = (column(column_name, type_) for column_name, type_ in columns.items())
    return func.unnest(*arrays).table_valued(*named, name=name, **options).render_derived()


class Query:
    """A Core statement, compiled once. Make it at import time, or behind a cache: compiling takes milliseconds.

    `columns` names what an INSERT or UPDATE sets: each is a parameter of that name. A write that
    `expect_one_row` changes exactly one row; where it does not, the whole transaction fails, and the unit
    runs again with locks. A write that `adds` a parameter to what is stored is done once for all rows that are alike in
    the others: a statement changes no row twice."""

    __slots__ = ("adds", "constants", "expect_one_row", "insert", "module", "names", "sql", "table")

    def __init__(
        self,
        statement: Executable,
        columns: Sequence[str] | None = None,
        *,
        expect_one_row: bool = False,
        adds: str | None = None,
    ) -> None:
        self.module: str = sys._getframe(1).f_globals["__name__"]
        self.table: str | None = None
        self.expect_one_row = expect_one_row
        self.adds = adds
        if expect_one_row:
            assert isinstance(statement, UpdateBase)
            statement = statement.returning(literal_column("1"))
        if isinstance(statement, Insert):
            self.table = statement.table.name
            statement = statement.inline()  # or SQLAlchemy returns a generated key that nobody asked for
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=_DIALECT, column_keys=list(columns) if columns is not None else None)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self.names = tuple(compiled.positiontup or ())
        self.constants = {name: compiled.params[name] for name in self.names if not compiled.binds[name].required}
        self.insert = _VALUES.match(self.sql)

    @property
    def name(self) -> str:
        """Where it stands in the source: `goals.watching._CLAIM`; the module alone where it has no name of its own.
        Looks through the module each time: for what is slow anyway."""
        module = self.module.removeprefix("app.")
        for name, value in vars(sys.modules[self.module]).items():
            if value is self or (isinstance(value, dict) and any(each is self for each in value.values())):
                return f"{module}.{name}"
        return module

    def args(self, params: dict[str, Any]) -> list[Any]:
        if self.constants:
            params = self.constants | params
        return [params[name] for name in self.names]

    def added_up(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`rows` of several units as one statement takes them; those that add, in the order of what they add to."""
        if self.adds is None:
            return rows
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            key = tuple(value for name, value in sorted(row.items()) if name != self.adds)
            sums[key] = {**row, self.adds: row[self.adds] + (sums[key][self.adds] if key in sums else 0)}
        return [sums[key] for key in sorted(sums, key=str)]


def _shifted(sql: str, by: int) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + by}", sql) if by else sql


@lru_cache(maxsize=2048)
def composed(shape: tuple[tuple[Query, int], ...]) -> str:
    """One statement that does all of `shape`: (query, how many rows). Rows of one INSERT become one VALUES list,
    because PostgreSQL runs sibling CTEs in an order of its own and the rows of the event log must keep theirs."""
    parts, hits, used = list[str](), list[str](), 0
    for query, rows in shape:
        if query.expect_one_row:
            names = (f"w{len(parts) + n}" for n in range(rows))
            hits.extend(f"(SELECT count(*) FROM {name}) = 1" for name in names)  # noqa: S608 # nosec B608
        width = len(query.names)
        if query.insert:
            values = ", ".join(_shifted(query.insert["row"], used + n * width) for n in range(rows))
            parts.append(f"{query.insert['head']}{values}{query.insert['tail']}")
        else:
            parts.extend(_shifted(query.sql, used + n * width) for n in range(rows))
        used += rows * width
    if hits:
        # What was queued last is done first: a ticket's row is locked before those of its clocks. Where one was missed
        # the division fails.
        parts.append(f"SELECT 1 / CASE WHEN {' AND '.join(reversed(hits))} THEN 1 ELSE 0 END")
    if len(parts) == 1:
        return parts[0]
    first = ", ".join(f"w{n} AS ({part})" for n, part in enumerate(parts[:-1]))
    return f"WITH {first} {parts[-1]}"
