"""What somebody searches for, as PostgreSQL understands it.

Words are cut and put together by `words`, so that no text of a user reaches a parser; of the server is asked only what
the languages make of single words of letters, and what it answers is its own writing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, cast, func, literal, select, true, union_all
from sqlalchemy.dialects.postgresql import REGCONFIG

from app.db import Query, Transaction
from app.search.tables import search_languages
from app.search.text import Part, asked
from app.statements import rows_of

CONFIGURATIONS = union_all(
    select(literal("simple", Text).label("name")), select(search_languages.c.name).order_by(search_languages.c.name)
).subquery()
_given = rows_of({"text": Text}, "given", with_ordinality="place")
_read = func.plainto_tsquery(cast(search_languages.c.name, REGCONFIG), _given.c.text, type_=Text)
_READ = Query(
    select(_given.c.place, search_languages.c.name, cast(_read, Text).label("query"))
    .join(search_languages, true())
    .order_by(search_languages.c.name)
)

# What one language makes of each text.
_Stems = dict[str, str]


@dataclass(frozen=True, slots=True)
class Sought:
    """`indexed`: whether an index of words can answer it; what only excludes words it cannot."""

    query: str
    indexed: bool


async def read(tx: Transaction, q: str) -> Sought | None:
    """The words as they are, or as any language of tickets bends them. What is excluded is so in all languages. None
    where there is no word."""
    words = asked(q)
    groups = [*words.wanted, *((part,) for part in words.excluded)]
    stems = await _stems(tx, [text for group in groups for text in _plain(group)])
    wanted = _any(_group(group, stems) for group in words.wanted)
    excluded = _any(_group((part,), stems) for part in words.excluded)
    query = _all((wanted, f"!({excluded})" if excluded else ""))
    return Sought(query, wanted != "") if query else None


def _plain(group: Iterable[Part]) -> list[str]:
    """What the languages are asked of: the finished words, and the one that is not."""
    finished = " ".join(part.plain for part in group if part.plain and not part.unfinished)
    return [text for text in (finished, *(part.plain for part in group if part.plain and part.unfinished)) if text]


async def _stems(tx: Transaction, texts: Sequence[str]) -> dict[str, _Stems]:
    """By language, and by text."""
    found: dict[str, _Stems] = {}
    for row in await tx.rows(_READ, text=list(texts)) if texts else ():
        found.setdefault(row["name"], {})[texts[row["place"] - 1]] = row["query"]
    return found


def _group(group: Sequence[Part], stems: dict[str, _Stems]) -> str:
    """Each language reads all words; what no language bends is the same in each."""
    plain = [part for part in group if part.plain]
    as_is = _all(part.exact for part in plain)
    unfinished = {part.plain for part in plain if part.unfinished}
    in_languages = (
        _all(_begun(of[text]) if text in unfinished else of[text] for text in _plain(plain)) for of in stems.values()
    )
    return _all((_any((as_is, *in_languages)), *(part.exact for part in group if not part.plain)))


def _any(queries: Iterable[str]) -> str:
    return " | ".join(f"({query})" for query in dict.fromkeys(queries) if query)


def _all(queries: Iterable[str]) -> str:
    return " & ".join(f"({query})" for query in dict.fromkeys(queries) if query)


def _begun(query: str) -> str:
    """The last word as the beginning of one."""
    return f"{query}:*" if query.endswith("'") else query
