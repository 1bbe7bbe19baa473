"""Customers and organizations by what people remember of them: words of a name, an e-mail address or an external id,
from their beginnings, whatever their accents. The function `folded_words` of the database cuts them and
`fold_accents` folds what is asked for; an index holds what is made of a row."""

import re
import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, TSVECTOR

# What stands between words, in `folded_words` as well.
_BETWEEN = re.compile(r"[\s.,;:@_\-+/\\|()\[\]{}<>\"'!?#&*=~%$^`]+")
_MOST_WORDS = 10


def beginnings(text: str) -> str:
    """The words of what was typed, as a query for `words_begin`; empty where there are none."""
    words = _BETWEEN.split(unicodedata.normalize("NFKC", text))
    # Of an accent by itself folding leaves nothing, which is no query.
    some = [word for word in words if any(char.isalnum() for char in word)]
    return " & ".join(f"'{word}':*" for word in some[:_MOST_WORDS])


def words_begin(columns: Any, name: str) -> ColumnElement[bool]:
    """Whether the words of a row begin with those of the parameter; nothing begins with nothing."""
    words = func.folded_words(columns.name, columns.email, columns.external_id, type_=TSVECTOR)
    simple = literal_column("'simple'::regconfig", REGCONFIG)
    asked = func.fold_accents(bindparam(name, type_=Text), type_=Text)
    return words.bool_op("@@")(func.to_tsquery(simple, asked, type_=TSQUERY))
