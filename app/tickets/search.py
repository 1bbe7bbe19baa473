"""What somebody searches for, as PostgreSQL understands it.

Only the server turns text into a query: it reads the words in the forgiving way of web searches, and what it wrote down
itself is all that is ever cast back."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ARRAY, Boolean, Text, bindparam, cast, column, func, literal, not_, or_, select, union_all
from sqlalchemy.dialects.postgresql import REGCONFIG

from app.db import Query, Transaction
from app.tickets.tables import search_languages
from app.tickets.words import asked

_AS_IS = "simple"
CONFIGURATIONS = union_all(
    select(literal(_AS_IS, Text).label("name")), select(search_languages.c.name).order_by(search_languages.c.name)
).subquery()
_given = (
    func.unnest(bindparam("texts", type_=ARRAY(Text)), bindparam("verbatim", type_=ARRAY(Boolean)))
    .table_valued(column("text", Text), column("verbatim", Boolean), with_ordinality="place")
    .render_derived()
)
_read = func.websearch_to_tsquery(cast(CONFIGURATIONS.c.name, REGCONFIG), _given.c.text, type_=Text)
_READ = Query(
    select(_given.c.place, cast(_read, Text).label("query"), func.querytree(_read).label("indexable"))
    .join(CONFIGURATIONS, or_(CONFIGURATIONS.c.name == _AS_IS, not_(_given.c.verbatim)))
    .order_by(_given.c.place)
)


@dataclass(frozen=True, slots=True)
class Sought:
    """`indexed`: whether an index of words can answer it; what only excludes words it cannot."""

    query: str
    indexed: bool


async def read(tx: Transaction, q: str) -> Sought | None:
    """The words in every language that tickets are read in, any of them; phrases as they are, which stems in the
    index may happen to be as well. What is excluded is so in all languages. None where there is no word."""
    words = asked(q)
    of_wanted = [part for group in words.wanted for part in group]
    parts = [*of_wanted, *words.excluded]
    rows = await tx.rows(_READ, texts=[part.text for part in parts], verbatim=[part.verbatim for part in parts])
    read_as: list[list[str]] = [[] for _ in parts]
    for row in rows:
        read_as[row["place"] - 1].append(row["query"])
    queries = iter(
        [_any(map(_begun, some) if part.unfinished else some) for part, some in zip(parts, read_as, strict=True)]
    )
    wanted = _any(_all(next(queries) for _ in group) for group in words.wanted)
    excluded = _any(queries)
    indexed = wanted != "" and all(
        row["indexable"] not in ("", "T") for row in rows if row["query"] and row["place"] <= len(of_wanted)
    )
    query = _all((wanted, f"!({excluded})" if excluded else ""))
    return Sought(query, indexed) if query else None


def _any(queries: Iterable[str]) -> str:
    return " | ".join(f"({query})" for query in dict.fromkeys(queries) if query)


def _all(queries: Iterable[str]) -> str:
    return " & ".join(f"({query})" for query in dict.fromkeys(queries) if query)


def _begun(query: str) -> str:
    """The last word as the beginning of one."""
    return f"{query}:*" if query.endswith("'") else query
