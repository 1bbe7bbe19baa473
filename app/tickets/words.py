"""Texts and queries as words, before PostgreSQL sees them: blind to case, width, accents and Unicode form. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# Letters that Unicode does not take apart.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ĸ": "k", "œ": "oe", "æ": "ae", "þ": "th"}
)
# A phrase in quotes, which need not be closed, or what stands between blanks.
_PARTS = re.compile(r'-*"[^"]*"?|[^\s"]+')
# Folding may make a query longer.
_LONGEST = 400
_PUNCTUATION = re.compile(r"[\W_]+")

# The text search configurations of PostgreSQL 15, by the primary subtag of a BCP 47 tag.
_LANGUAGES = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip


def folded(text: str) -> str:
    """What is compared. A slash parts words; PostgreSQL would read a path."""
    text = text.replace("/", " ")
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFKC", bare.casefold().translate(_PLAIN))


def apart(text: str) -> str:
    """With blanks for punctuation, so that each part of an address or a file name is a word."""
    return _PUNCTUATION.sub(" ", text)


def language(tag: str | None) -> str | None:
    """The configuration that stems this language, if there is one."""
    return _LANGUAGES.get(re.split("[-_]", tag)[0].lower()) if tag else None


@dataclass(frozen=True, slots=True)
class Part:
    """In the language of web searches. `verbatim`: a phrase, whose words are meant as they are, where a stemmer would
    drop some. `unfinished`: the last word may still be being typed, because it is neither quoted nor excluded."""

    text: str
    verbatim: bool
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be there: all parts of any one of these. And what is not: none of these."""

    wanted: tuple[tuple[Part, ...], ...]
    excluded: tuple[Part, ...]


def asked(query: str) -> Asked:
    found = _PARTS.findall(folded(query)[:_LONGEST])
    wanted = [one for one in found if not one.startswith("-")]
    excluded = [one.lstrip("-") for one in found if one.startswith("-")]
    unfinished = bool(wanted) and found[-1] is wanted[-1] and wanted[-1][-1].isalnum() and '"' not in wanted[-1]
    *others, last = _alternatives(wanted)
    return Asked(
        (*(_parts(group, " ") for group in others), _parts(last, " ", unfinished=unfinished)),
        _parts(excluded, " or "),
    )


def _alternatives(wanted: Sequence[str]) -> list[list[str]]:
    """`or` between two others parts them; elsewhere it is a word."""
    groups: list[list[str]] = [[]]
    for place, one in enumerate(wanted, 1):
        if one == "or" and groups[-1] and place < len(wanted):
            groups.append([])
        else:
            groups[-1].append(one)
    return groups


def _parts(some: Sequence[str], between: str, *, unfinished: bool = False) -> tuple[Part, ...]:
    """Plain words together, each phrase by itself."""
    plain = between.join(one for one in some if one and not one.startswith('"'))
    phrases = (one for one in some if one.startswith('"'))
    verbatim = (Part(one if one.endswith('"', 1) else f'{one}"', verbatim=True) for one in phrases)
    return (*([Part(plain, verbatim=False, unfinished=unfinished)] if plain else []), *verbatim)
