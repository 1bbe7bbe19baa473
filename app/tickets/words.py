"""Texts and queries as words, before PostgreSQL sees them: blind to case, width, accents and Unicode form. Pure."""

import re
import unicodedata
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
class Asked:
    """What is to be there and what is not, each in the language of web searches. `unfinished`: the last word may still
    be being typed, because it is neither quoted nor excluded."""

    wanted: str
    excluded: str
    unfinished: bool


def asked(query: str) -> Asked:
    parts = _PARTS.findall(folded(query)[:_LONGEST])
    wanted = [part for part in parts if not part.startswith("-")]
    excluded = [part.lstrip("-") for part in parts if part.startswith("-")]
    unfinished = bool(wanted) and parts[-1] is wanted[-1] and wanted[-1][-1].isalnum() and '"' not in wanted[-1]
    return Asked(" ".join(wanted), " or ".join(filter(None, excluded)), unfinished)
