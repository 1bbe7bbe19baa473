"""Answers as gzip, where that is asked for and worth it: beside the event loop where they are large, and never what
streams. What has an ETag stays as it is: a strong tag means these very bytes."""

import asyncio
import gzip

from starlette.requests import Request
from starlette.responses import Response

from app.web.body import JSONL, NDJSON

# Less fits into one packet anyway.
_WORTH_BYTES = 1_400
# So much is packed within a millisecond.
_BESIDE_BYTES = 16 * 1024
# More would cost more time than it saves bytes.
_LEVEL = 3
_TEXTS = ("application/json", JSONL, NDJSON, "application/cloudevents-batch+json", "text/csv")


async def packed(request: Request, answer: Response) -> Response:
    """The answer, packed or not."""
    body = getattr(answer, "body", b"")
    if len(body) < _WORTH_BYTES or not _wanted(request, answer):
        return answer
    if len(body) > _BESIDE_BYTES:
        answer.body = await asyncio.to_thread(_pack, bytes(body))
    else:
        answer.body = _pack(bytes(body))
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def _wanted(request: Request, answer: Response) -> bool:
    if "etag" in answer.headers or "content-encoding" in answer.headers:
        return False
    return answer.headers.get("content-type", "").startswith(_TEXTS) and takes_gzip(request)


def takes_gzip(request: Request) -> bool:
    """Whether the caller asks for it; a weight of nothing refuses it."""
    for word in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = word.strip().partition(";")
        if coding.lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _pack(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)
