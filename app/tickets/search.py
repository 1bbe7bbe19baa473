"""What somebody searches for, as PostgreSQL understands it.

Only the server turns text into a query: it reads the words in the forgiving way of web searches, and what it wrote down
itself is all that is ever cast back."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, bindparam, cast, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import REGCONFIG

from app.db import Query, Transaction
from app.tickets.tables import search_languages
from app.tickets.words import asked

CONFIGURATIONS = union_all(
    select(literal("simple", Text).label("name")), select(search_languages.c.name).order_by(search_languages.c.name)
).subquery()


def _read(words: str) -> ColumnElement[str]:
    return func.websearch_to_tsquery(cast(CONFIGURATIONS.c.name, REGCONFIG), bindparam(words, type_=Text), type_=Text)


_READ = Query(
    select(
        cast(_read("wanted"), Text).label("wanted"),
        cast(_read("excluded"), Text).label("excluded"),
        func.querytree(_read("wanted")).label("indexable"),
    )
)


@dataclass(frozen=True, slots=True)
class Sought:
    """`indexed`: whether an index of words can answer it; what only excludes words it cannot."""

    query: str
    indexed: bool


async def read(tx: Transaction, q: str) -> Sought | None:
    """The words in every language that tickets are read in, any of them; what is excluded is so in all of them. None
    where there is no word."""
    words = asked(q)
    rows = await tx.rows(_READ, wanted=words.wanted, excluded=words.excluded)
    wanted = _any(_begun(row["wanted"]) if words.unfinished else row["wanted"] for row in rows)
    excluded = _any(row["excluded"] for row in rows)
    query = " & ".join([*([f"({wanted})"] if wanted else []), *([f"!({excluded})"] if excluded else [])])
    indexed = wanted != "" and all(row["indexable"] not in ("", "T") for row in rows if row["wanted"])
    return Sought(query, indexed) if query else None


def _any(queries: Iterable[str]) -> str:
    return " | ".join(f"({query})" for query in dict.fromkeys(queries) if query)


def _begun(query: str) -> str:
    """The last word as the beginning of one."""
    return f"{query}:*" if query.endswith("'") else query
