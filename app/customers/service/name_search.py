"""Customers and organizations by what people remember of them: words of a name, an e-mail address or an external id,
from their beginnings. The function `known_words` of the database cuts them; an index holds what it makes of a row."""

import re
import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, TSVECTOR

# What stands between words, in `known_words` as well.
_BETWEEN = re.compile(r"[\s.,;:@_\-+/\\|()\[\]{}<>\"'!?#&*=~%$^`]+")
_MOST_WORDS = 10


def beginnings(text: str) -> str:
    """The words of what was typed, as a query for `words_begin`; empty where there are none."""
    words = _BETWEEN.split(unicodedata.normalize("NFKC", text))
    return " & ".join(f"'{word}':*" for word in [word for word in words if word][:_MOST_WORDS])


def words_begin(columns: Any, name: str) -> ColumnElement[bool]:
    """Whether the words of a row begin with those of the parameter; nothing begins with nothing."""
    words = func.known_words(columns.name, columns.email, columns.external_id, type_=TSVECTOR)
    simple = literal_column("'simple'::regconfig", REGCONFIG)
    return words.bool_op("@@")(func.to_tsquery(simple, bindparam(name, type_=Text), type_=TSQUERY))
