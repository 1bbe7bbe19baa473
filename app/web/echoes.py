"""Kept answers without the long texts that their requests brought: those are stored already. A repeat brings them
again, or its fingerprint is another one."""

from collections.abc import Iterator, Sequence

import orjson

from app.web.schemas import tidy

_LONG = 512


def cut(answer: bytes, request: object) -> tuple[bytes, list[int]]:
    """The rest of an answer to a request with this JSON; and in pairs, where a text belongs and which one it is."""
    found = sorted((at, which, text) for which, text in enumerate(_texts(request)) if (at := answer.find(text)) >= 0)
    rest, cuts, end = bytearray(), list[int](), 0
    for at, which, text in found:
        if at >= end:
            rest += answer[end:at]
            cuts += (len(rest), which)
            end = at + len(text)
    return bytes(rest + answer[end:]), cuts


def restored(rest: bytes, cuts: Sequence[int], request: object) -> bytes:
    """The answer, for a repeat of the request."""
    texts, whole, end = list(_texts(request)), bytearray(), 0
    for at, which in zip(cuts[::2], cuts[1::2], strict=True):
        whole += rest[end:at] + texts[which]
        end = at
    return bytes(whole + rest[end:])


def _texts(value: object) -> Iterator[bytes]:
    """The long ones, as an answer writes them: as they came, and tidied."""
    if isinstance(value, str) and len(value) >= _LONG:
        yield orjson.dumps(value)
        yield orjson.dumps(tidy(value))
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
