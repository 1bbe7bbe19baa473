from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.events import export, hub, stream_tickets
from app.events.catalogue import seen_by
from app.events.schemas import EventFeed, EventQuery, LastEventId, StreamEvent, StreamQuery, StreamTicket
from app.web.admission import BULK, costs
from app.web.body import JSONL
from app.web.openapi_headers import refer
from app.web.route import SHOWN_ONCE, ListeningRoute, Tx, router

routes = router("/v1/events", "events")
stream_routes = router("/v1/events", "events", ListeningRoute)
ticket_routes = router("/v1/stream-tickets", "events")
Reader = Annotated[Actor, may("events:read")]
Listener = Annotated[Actor, stream_tickets.may_listen("events:read")]

_FORMS = {
    200: {
        "headers": refer("Next-Position", "Link"),
        "content": {
            JSONL: {"schema": {"type": "string", "description": "An event a line."}},
            export.BATCH: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/AuditEntry"}}},
        },
    }
}
_STREAM = {
    200: {
        "description": "`id` is the event's position, `data` the event. `event: hello` begins it, `event: bye` "
        "ends it: connect again.",
        "model": StreamEvent,
    }
}


class _Lines(Response):
    """Not FastAPI's own class for event streams: that would serialise each event for each listener."""

    media_type = "text/event-stream"


@routes.get("", response_model=EventFeed, responses=_FORMS, summary="Export what happened")  # type: ignore[arg-type]
@costs(BULK)
async def list_events(request: Request, tx: Tx, actor: Reader, query: Annotated[EventQuery, Query()]) -> Any:
    """Every event in order from a position on, page by page: nothing is ever skipped, nothing comes twice. One a
    line where `application/jsonl` or `application/x-ndjson` is asked for, as a batch of CloudEvents where
    `application/cloudevents-batch+json` is; `Next-Position` says where to go on. Customers get what is told of tickets
    that they see."""
    return await export.page(request, tx, seen_by(actor, query.types, query.ticket_id), query)


@stream_routes.get("/stream", response_class=_Lines, responses=_STREAM, summary="Listen to what happens")  # type: ignore[arg-type]
async def stream_events(
    request: Request, actor: Listener, query: Annotated[StreamQuery, Query()], last_event_id: LastEventId = None
) -> Response:
    """The feed as it grows, from a position on or from now. It begins with `event: hello`, which has the position and
    the server's time: what is read after it has come misses nothing that the stream does not bring. What was imported
    does not come. Who falls behind is cut off and goes on from `Last-Event-ID`; so does everybody on a shutdown, after
    `event: bye`."""
    listening: hub.Hub = request.app.state.hub
    wanted = seen_by(actor, query.types, query.ticket_id)
    return await listening.open(actor, wanted, query.after, last_event_id)


@ticket_routes.post(
    "",
    status_code=201,
    response_model=StreamTicket,
    summary="Get a ticket for the stream",
    openapi_extra={SHOWN_ONCE: True},
)
async def create_stream_ticket(tx: Tx, actor: Reader) -> Any:
    """For an EventSource of a browser, which sends no headers: opens one stream within 30 seconds, as its caller."""
    return await stream_tickets.make(tx, actor)
