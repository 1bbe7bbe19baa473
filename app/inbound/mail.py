"""What an e-mail says. Pure. Nothing in it is trusted: not its charsets, its nesting or its headers.

Headers are read as they came and decoded here: the parsers of the library's newer policy raise on some that are sent
every day."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from enum import StrEnum

from app.inbound.characters import characters, decoded, line
from app.inbound.parts import LONGEST_TEXT, File, Unreadable, parsed, text_and_files
from app.inbound.quotes import without_quotes

_LONGEST_ID = 255
# Who passes it on adds one each time.
_MOST_HOPS = 40
_ID_OR_COMMENT = re.compile(r'<[^<>]+>|[()]|[^\s<>(),;"]+')
_PLUS = re.compile(r"[^@+]*\+(\d{1,18})@")
_WRITTEN_TO = ("To", "Cc")
_DELIVERED_TO = ("Delivered-To", "X-Original-To", "Envelope-To")


class NothingMade(StrEnum):
    """Why it becomes neither a ticket nor a message."""

    loop = "loop"
    auto_reply = "auto_reply"
    bounce = "bounce"
    seen_before = "seen_before"


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


def read(raw: bytes) -> Mail:
    """Raises Unreadable."""
    try:
        message = parsed(raw)
        text, files = text_and_files(message)
    except RecursionError:
        raise Unreadable("its parts are nested too deep") from None
    headers = _headers(message)
    senders = [(name, address) for name, address in getaddresses(headers.get("from", [])) if "@" in address]
    name, address = senders[0] if senders else ("", "")
    ids = _ids(headers, "message-id")
    answers = dict.fromkeys([*_ids(headers, "in-reply-to"), *reversed(_ids(headers, "references"))])
    return Mail(
        id=ids[0] if ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        address=address,
        name=line(decoded(name))[:200] or None,
        subject=line(decoded(_first(headers, "subject")))[:500].strip() or "(no subject)",
        text=without_quotes(text)[:LONGEST_TEXT].strip() or "(no text)",
        sent_at=_instant(_first(headers, "date")),
        answers=tuple(answers)[:50],
        numbers=tuple(_numbers(headers)),
        files=files,
        unanswered=_unanswered(message, headers, address),
    )


def _headers(message: Message) -> dict[str, list[str]]:
    """By their names in small letters, not decoded: a comma or an address within an encoded word is none."""
    found: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        raw = str(value).encode("utf-8", "surrogateescape")
        found.setdefault(name.lower(), []).append(characters(raw, None))
    return found


def _first(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


def _ids(headers: dict[str, list[str]], name: str) -> list[str]:
    """In angle brackets, also where they were sent without: an answer may name it either way."""
    found = []
    for value in headers.get(name, []):
        depth = 0
        for piece in _ID_OR_COMMENT.findall(decoded(value)):
            if piece in "()":
                depth = max(0, depth + (1 if piece == "(" else -1))
                continue
            id_ = "".join(piece.strip("<>").split())
            # A bare word that has no @ within is none: two mails with `unknown` as their id are not the same.
            if id_ and depth == 0 and (piece.startswith("<") or "@" in id_.strip("@")):
                found.append(_id(f"<{id_}>"))
    return found


def _id(text: str) -> str:
    """As `external_id` may hold it."""
    return line(text) if len(text) <= _LONGEST_ID else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


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
