"""What an e-mail says. Pure. Nothing in it is trusted: not its charsets, its nesting or its headers.

Headers are read as they came and decoded here: the parsers of the library's newer policy raise on some that are sent
every day."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from enum import StrEnum
from html.parser import HTMLParser

from app.inbound.quotes import without_quotes

MOST_PARTS = 200
LONGEST_TEXT, _LONGEST_ID = 100_000, 255
# Who passes it on adds one each time.
_MOST_HOPS = 40
_ID = re.compile(r"<[^<>\s]+>")
_PLUS = re.compile(r"[^@+]*\+(\d{1,18})@")
_WRITTEN_TO = ("To", "Cc")
_DELIVERED_TO = ("Delivered-To", "X-Original-To", "Envelope-To")
_BREAKS = frozenset({"p", "br", "div", "tr", "li", "h1", "h2", "h3", "blockquote", "table"})
_UNSHOWN = frozenset({"script", "style", "head", "title"})


class NothingMade(StrEnum):
    """Why it becomes neither a ticket nor a message."""

    loop = "loop"
    auto_reply = "auto_reply"
    bounce = "bounce"
    seen_before = "seen_before"


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """`id` is its Message-ID, or made of its bytes where it has none; `answers` are the ids that it names, the nearest
    first; `numbers` the tickets that its plus-addresses name."""

    id: str
    address: str
    name: str | None
    subject: str
    text: str
    sent_at: datetime | None
    answers: tuple[str, ...]
    numbers: tuple[int, ...]
    files: tuple[File, ...]
    unanswered: NothingMade | None


class Unreadable(Exception):
    """Its parts are nested deeper, or are more, than anybody writes."""


def read(raw: bytes) -> Mail:
    """Raises Unreadable."""
    try:
        message = message_from_bytes(raw, policy=policy.compat32)
        parts = list(_parts(message))
    except RecursionError:
        raise Unreadable("its parts are nested too deep") from None
    headers = _headers(message)
    senders = [(name, address) for name, address in getaddresses(headers.get("from", [])) if "@" in address]
    name, address = senders[0] if senders else ("", "")
    ids = [_id(found) for found in _ID.findall(_first(headers, "message-id"))]
    references = _ID.findall(_first(headers, "references"))
    answers = dict.fromkeys(map(_id, [*_ID.findall(_first(headers, "in-reply-to")), *reversed(references)]))
    return Mail(
        id=ids[0] if ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        address=address,
        name=_line(_decoded(name))[:200] or None,
        subject=_line(_decoded(_first(headers, "subject")))[:500].strip() or "(no subject)",
        text=without_quotes(_text(parts))[:LONGEST_TEXT].strip() or "(no text)",
        sent_at=_instant(_first(headers, "date")),
        answers=tuple(answers)[:50],
        numbers=tuple(_numbers(headers)),
        files=tuple(_file(part) for part in parts if _is_file(part)),
        unanswered=_unanswered(message, headers, address),
    )


def _headers(message: Message) -> dict[str, list[str]]:
    """By their names in small letters, not decoded: a comma or an address within an encoded word is none."""
    found: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        raw = str(value).encode("utf-8", "surrogateescape")
        found.setdefault(name.lower(), []).append(_characters(raw, None))
    return found


def _first(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


def _decoded(value: str) -> str:
    """With its encoded words."""
    try:
        words = decode_header(value)
    except (HeaderParseError, ValueError):  # a word that is no base64
        return value
    return "".join(_characters(word, charset) if isinstance(word, bytes) else word for word, charset in words)


def _characters(content: bytes, charset: str | None) -> str:
    """In the charset that is announced, else in one of the usual ones."""
    for each in (charset, "utf-8"):
        try:
            text = content.decode(each or "utf-8")
        except (LookupError, ValueError):
            continue
        return re.sub("[\ud800-\udfff]", "\ufffd", text.replace("\0", ""))
    return content.decode("cp1252", "replace").replace("\0", "")


def _line(text: str) -> str:
    """On one line: a line break within a header is how others are smuggled in."""
    printed = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char for char in text)
    return unicodedata.normalize("NFC", " ".join(printed.split()))


def _id(text: str) -> str:
    """As `external_id` may hold it."""
    return _line(text) if len(text) <= _LONGEST_ID else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _numbers(headers: dict[str, list[str]]) -> Iterator[int]:
    for address in _addresses(headers, *_WRITTEN_TO, *_DELIVERED_TO):
        if found := _PLUS.fullmatch(address[: address.find("@") + 1]):
            yield int(found[1])


def _addresses(headers: dict[str, list[str]], *names: str) -> list[str]:
    return [address for name in names for _, address in getaddresses(headers.get(name.lower(), []))]


def _instant(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if not 1971 <= at.year < 2199:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _parts(message: Message) -> Iterator[Message]:
    """Those that hold something. A message within is one part: what it says is its own. Raises Unreadable."""
    waiting, seen = [message], 0
    while waiting:
        part = waiting.pop(0)
        seen += 1
        if seen > MOST_PARTS:
            raise Unreadable(f"more than {MOST_PARTS} parts")
        payload = part.get_payload()
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            waiting[:0] = [each for each in payload if isinstance(each, Message)]
        else:
            yield part


def _is_file(part: Message) -> bool:
    kind = part.get_content_type()
    return kind not in ("text/plain", "text/html") or _disposition(part) == "attachment" or bool(part.get_filename())


def _disposition(part: Message) -> str:
    return str(part.get("Content-Disposition", "")).partition(";")[0].strip().lower()


def _file(part: Message) -> File:
    name = _line(_decoded(str(part.get_filename() or "")))
    if part.get_content_type() == "message/rfc822":
        payload = part.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else None
        return File(name or "message.eml", inner.as_bytes() if isinstance(inner, Message) else _content(part))
    return File(name or "attachment", _content(part))


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(parts: list[Message]) -> str:
    """What is written for people: as plain text, or else as what HTML shows."""
    for kind in ("text/plain", "text/html"):
        some = [
            _characters(_content(part), part.get_content_charset())
            for part in parts
            if part.get_content_type() == kind and not _is_file(part)
        ]
        texts = [_shown(text) for text in some] if kind == "text/html" else some
        whole = "\n\n".join(text.replace("\r\n", "\n").replace("\r", "\n").strip() for text in texts).strip()
        if whole:
            return unicodedata.normalize("NFC", whole)
    return ""


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


def _unanswered(message: Message, headers: dict[str, list[str]], address: str) -> NothingMade | None:
    """RFC 3834, RFC 3464, and what is sent without knowing of them."""
    sender = address.partition("@")[0].lower()
    reports = message.get_content_type() == "multipart/report"
    if reports or sender in ("mailer-daemon", "postmaster") or _first(headers, "return-path").strip() == "<>":
        return NothingMade.bounce
    automatic = _first(headers, "auto-submitted").partition(";")[0].partition("(")[0].strip().lower() not in ("", "no")
    bulk = _first(headers, "precedence").strip().lower() in ("bulk", "junk", "auto_reply")
    if automatic or bulk or "x-autoreply" in headers or "x-autorespond" in headers:
        return NothingMade.auto_reply
    if _comes_back(headers, address) or len(headers.get("received", ())) > _MOST_HOPS or "x-loop" in headers:
        return NothingMade.loop
    return None


def _comes_back(headers: dict[str, list[str]], address: str) -> bool:
    """Whether it was delivered to who sent it, or, where no server says so, written to nobody else. A person may well
    send themselves a copy."""
    delivered, written = (
        {each.lower() for each in _addresses(headers, *names)} for names in (_DELIVERED_TO, _WRITTEN_TO)
    )
    return address.lower() in delivered if delivered else written == {address.lower()}
