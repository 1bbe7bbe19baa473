"""Which parts of an e-mail are its text and which are files. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from html.parser import HTMLParser

from app.inbound.characters import characters, decoded, line

MOST_PARTS = 200
LONGEST_TEXT = 100_000
_PLAIN = frozenset({"text/plain", "text/markdown", "text/enriched"})
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_DELIMITER = re.compile(
    rb"^--([0-9A-Za-z'()+_,./:=?-]{1,70})[ \t]*\r?\n(?=Content-[A-Za-z-]+:)", re.MULTILINE | re.IGNORECASE
)
# What comes before the headers where an e-mail went through a file.
_BEFORE = re.compile(rb"\A(?:\xef\xbb\xbf|[ \t]*\r?\n|>From [^\n]*\n)+")
_BREAKS = frozenset({"p", "br", "div", "tr", "li", "h1", "h2", "h3", "blockquote", "table"})
_UNSHOWN = frozenset({"script", "style", "head", "title"})


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: bytes


class Unreadable(Exception):
    """Its parts are nested deeper, or are more, than anybody writes."""


def parsed(raw: bytes) -> Message:
    return message_from_bytes(_BEFORE.sub(b"", raw), policy=policy.compat32)


def text_and_files(message: Message) -> tuple[str, tuple[File, ...]]:
    """Raises Unreadable."""
    leaves = list(_leaves(message))
    # A text with a name is a file beside a text without, and the text where there is no other.
    told = _told(message, named=False) or _told(message, named=True)
    # Some send the same twice, wrapped and quoted as plain text and once more as HTML.
    texts: dict[str, str] = {}
    for _, text in told:
        texts.setdefault(re.sub(r"[\s>]", "", text), text)
    whole = unicodedata.normalize("NFC", "\n\n".join(texts.values()))
    shown = {id(part) for part, _ in told}
    return whole, tuple(_file(part) for part in leaves if _is_file(part) and id(part) not in shown)


def _leaves(message: Message) -> Iterator[Message]:
    """Those that hold something, once their delimiters are found. A message within is one part: what it says is its
    own. Raises Unreadable."""
    waiting, seen = [(message, True)], 0
    while waiting:
        part, may_divide = waiting.pop(0)
        seen += 1
        if seen > MOST_PARTS:
            raise Unreadable(f"more than {MOST_PARTS} parts")
        undivided = part.get_content_maintype() == "multipart" and not part.is_multipart()
        if undivided and may_divide:
            _divide(part)
        if _has_parts(part):
            # Once only: parts within parts would be read again and again.
            waiting[:0] = [(each, may_divide and not undivided) for each in _inner(part)]
        else:
            yield part


def _divide(part: Message) -> None:
    """By the delimiters that it has, where it names none or another, or is encoded as a whole."""
    for content in (str(part.get_payload()).encode("ascii", "surrogateescape"), _content(part)):
        if found := _DELIMITER.search(content):
            head = b'Content-Type: %s; boundary="%s"\r\n\r\n' % (_kind(part).encode("ascii", "replace"), found[1])
            divided = message_from_bytes(head + content, policy=policy.compat32)
            if divided.is_multipart():
                part.set_payload(divided.get_payload())
                return


def _has_parts(part: Message) -> bool:
    return part.is_multipart() and part.get_content_type() != "message/rfc822"


def _inner(part: Message) -> list[Message]:
    return [each for each in part.get_payload() if isinstance(each, Message)]


def _kind(part: Message) -> str:
    return re.sub(r'["\s]', "", part.get_content_type())


def _is_text(part: Message) -> bool:
    """A multipart that cannot be divided is read as it stands."""
    kind = _kind(part)
    return kind in _PLAIN or kind == "text/html" or kind.startswith("multipart/")


def _is_file(part: Message) -> bool:
    return not _is_text(part) or _disposition(part) == "attachment" or bool(part.get_filename())


def _disposition(part: Message) -> str:
    return str(part.get("Content-Disposition", "")).partition(";")[0].strip('" \t\r\n').lower()


def _told(part: Message, *, named: bool) -> list[tuple[Message, str]]:
    """What is written for people, in its order: of alternatives the plain one, where it says something."""
    if _has_parts(part):
        each = [told for inner in _inner(part) if (told := _told(inner, named=named))]
        if _kind(part) == "multipart/alternative":
            plain = [told for told in each if all(_kind(one) in _PLAIN for one, _ in told)]
            return (plain or each or [[]])[0]
        return [one for told in each for one in told]
    disposition = _disposition(part)
    inline = disposition != "attachment" and (named or disposition == "inline" or not part.get_filename())
    text = _text(part) if _is_text(part) and inline else ""
    return [(part, text)] if text else []


def _text(part: Message) -> str:
    written = characters(_content(part), part.get_content_charset())
    text = _shown(written) if _kind(part) == "text/html" else written
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _file(part: Message) -> File:
    name = line(decoded(str(part.get_filename() or "")))
    if part.get_content_type() == "message/rfc822":
        payload = part.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else None
        return File(name or "message.eml", inner.as_bytes() if isinstance(inner, Message) else _content(part))
    return File(name or "attachment", _content(part))


def _content(part: Message) -> bytes:
    """Decoded, also where its encoding is named with quotes or a comment, or base64 was cut off."""
    payload = part.get_payload()
    encoding = re.sub(r"\([^()]*\)", "", str(part.get("Content-Transfer-Encoding", ""))).strip('"; \t\r\n').lower()
    if encoding and isinstance(payload, str):
        part.replace_header("Content-Transfer-Encoding", encoding)
        if encoding == "base64" and _BASE64.fullmatch(payload):
            letters = re.sub(r"[=\s]", "", payload)
            part.set_payload(letters[: len(letters) - (len(letters) % 4 == 1)])
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


class _Shown(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSHOWN:
            self._hidden += 1
        if tag in _BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSHOWN and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))


def _shown(html: str) -> str:
    parser = _Shown()
    parser.feed(html[: 10 * LONGEST_TEXT])
    parser.close()
    lines = (line.strip() for line in "".join(parser.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
