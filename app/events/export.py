"""Pages of the feed as bytes. What is told comes from the catalogue, whose schemas a test holds it to: no model is made
of each event on its way out."""

from dataclasses import replace
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.db import Row, Transaction
from app.events import feed
from app.events.catalogue import outward
from app.events.schemas import EventQuery, FeedOrder
from app.web.body import JSONL, NDJSON

BATCH = "application/cloudevents-batch+json"


def encoded(row: Row, *, for_customer: bool) -> bytes:
    return orjson.dumps(outward(row, for_customer=for_customer), option=orjson.OPT_UTC_Z)


async def page(request: Request, tx: Transaction, wanted: feed.Wanted, query: EventQuery) -> Response:
    found = await _read(tx, replace(wanted, since=query.from_, until=query.to), query)
    if found is None:
        raise feed.UnknownPosition.of("/query/after")
    for_customer = wanted.customer_id is not None
    items = [encoded(row, for_customer=for_customer) for row in found.rows]
    headers = {"Next-Position": str(found.next)}
    if found.more:
        headers["Link"] = _link(request, found.next)
    accepted = request.headers.get("accept", "")
    for by_lines in (JSONL, NDJSON):
        if by_lines in accepted:
            return Response(b"".join(item + b"\n" for item in items), headers=headers, media_type=by_lines)
    if BATCH in accepted:
        return Response(b"[" + b",".join(items) + b"]", headers=headers, media_type=BATCH)
    tail = orjson.dumps({"next_position": str(found.next), "has_more": found.more})
    body = b'{"items":[' + b",".join(items) + b"]," + tail[1:]
    return Response(body, headers=headers, media_type="application/json")


async def _read(tx: Transaction, wanted: feed.Wanted, query: EventQuery) -> feed.Page | None:
    after = feed.parse_position(query.after, "/query/after") if query.after else None
    if query.order is FeedOrder.desc:
        return await feed.read_back(tx, after, query.limit, wanted)
    if after is None:
        after = await feed.first_since(tx, query.from_) if query.from_ else feed.START
    return await feed.read(tx, after, query.limit, wanted)


def _link(request: Request, after: feed.Position) -> str:
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f'<{request.scope["path"]}?{urlencode([*asked, ("after", str(after))])}>; rel="next"'
