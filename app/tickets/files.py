"""What may be said of a file that somebody sent: a name that harms nobody who stores it, and a type that its content
bears out and that no browser runs. Pure."""

import codecs
import re
import unicodedata
from urllib.parse import quote

import filetype

LONGEST_NAME = 200
UNNAMED = "attachment"

_TEXT, _UNKNOWN = "text/plain", "application/octet-stream"
_HEAD, _PIECE = 8192, 65536
# Media of any kind, and documents and archives of these. Whatever else there is may be something that runs.
_MEDIA = ("image/", "audio/", "video/", "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.")
_DOCUMENTS = frozenset(
    f"application/{name}"
    for name in (
        "pdf", "rtf", "msword", "vnd.ms-excel", "vnd.ms-powerpoint", "epub+zip", "dicom", "zip", "gzip", "zstd",
        "x-tar", "x-bzip2", "x-xz", "x-7z-compressed", "x-rar-compressed",
    )
)  # fmt: skip
# Text by its bytes, and a document all the same.
_WRITTEN_AS_TEXT = {b"%PDF-": "application/pdf", b"{\\rtf": "application/rtf"}

_FORBIDDEN = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$)", re.IGNORECASE)
_UNQUOTED = re.compile(r"[^ -~]|[\"\\%]")


def safe_name(name: str) -> str:
    """The last part of a path, without what does not print, what reverses text and what file systems refuse; at most
    200 characters, the extension kept, and never empty."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(char for char in name if char.isspace() or unicodedata.category(char)[0] != "C")
    kept = _bare(_FORBIDDEN.sub("_", " ".join(kept.split())))
    if _RESERVED.match(kept):
        kept = f"_{kept}"
    if len(kept) > LONGEST_NAME:
        stem, dot, extension = kept.rpartition(".")
        tail = dot + extension if stem and len(extension) < 20 else ""
        kept = _bare(kept[: LONGEST_NAME - len(tail)]) + tail
    return kept or UNNAMED


def _bare(name: str) -> str:
    """Not hidden, and not ending in what Windows drops."""
    return name.strip(". ")


def content_type(content: bytes) -> str:
    """What the content is, whatever its sender called it. A signature is two letters at times, so text is text."""
    if _is_text(content):
        return next((kind for head, kind in _WRITTEN_AS_TEXT.items() if content.startswith(head)), _TEXT)
    found = filetype.guess(content[:_HEAD])
    kind = str(found.mime) if found else _UNKNOWN
    return kind if kind.startswith(_MEDIA) or kind in _DOCUMENTS else _UNKNOWN


def _is_text(content: bytes) -> bool:
    """UTF-8 without NUL. Piece by piece: ten megabytes as a string would be forty."""
    if b"\0" in content:
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    whole = memoryview(content)
    try:
        for start in range(0, len(whole), _PIECE):
            decoder.decode(whole[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def disposition(name: str) -> str:
    """Content-Disposition by RFC 6266: to be saved under this name, or the plain one where a client reads no other."""
    return f"attachment; filename=\"{_UNQUOTED.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}"
