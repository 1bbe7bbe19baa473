"""What to say of a word that is none: the ones there are, and the one that was meant. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches

_MOST_COMPARED = 200


def nearest(name: str, known: Sequence[str]) -> str:
    return "".join(f"Did you mean {near}? " for near in get_close_matches(name[:_MOST_COMPARED], known, n=1))


def known_words(text: str, words: Sequence[str]) -> str:
    """The words there are, after the one that is much like the text."""
    return f"{nearest(text, words)}The words are: {', '.join(words)}." if words else "There are none yet."


def in_any(words: Sequence[str], part: str, *, begins: bool) -> bool:
    """Whether any of the words begins with the part, or holds it."""
    return any(word.startswith(part) if begins else part in word for word in words)
