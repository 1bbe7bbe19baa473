"""Characters of an e-mail, whatever it says of them. Pure."""

import re
import unicodedata
from email.errors import HeaderParseError
from email.header import decode_header


def decoded(value: str) -> str:
    """A header with its encoded words."""
    try:
        words = decode_header(value)
    except (HeaderParseError, ValueError):  # a word that is no base64
        return value
    return "".join(characters(word, charset) if isinstance(word, bytes) else word for word, charset in words)


def characters(content: bytes, charset: str | None) -> str:
    """In the charset that is announced, else in one of the usual ones."""
    for each in (charset, "utf-8"):
        try:
            text = content.decode(each or "utf-8")
        except (LookupError, ValueError):
            continue
        return re.sub("[\ud800-\udfff]", "\ufffd", text.replace("\0", ""))
    return content.decode("cp1252", "replace").replace("\0", "")


def line(text: str) -> str:
    """On one line: a line break within a header is how others are smuggled in."""
    printed = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char for char in text)
    return unicodedata.normalize("NFC", " ".join(printed.split()))
