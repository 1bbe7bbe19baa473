from typing import Annotated, Any

from fastapi import Request

from app.auth.dependencies import Actor, may
from app.inbound import service
from app.inbound.schemas import InboundOut
from app.tickets.attachments import MOST_BYTES
from app.web.body import UnsupportedMediaType
from app.web.route import RAW_LIMIT, Tx, router

routes = router("/v1/inbound", "imports")
Writer = Annotated[Actor, may("imports:write")]

MAIL = "message/rfc822"
_BYTES = {"type": "string", "format": "binary", "maxLength": MOST_BYTES}
_BODY = {"required": True, "content": {MAIL: {"schema": _BYTES}}}


@routes.post(
    "/email",
    response_model=InboundOut,
    summary="Take an e-mail in",
    openapi_extra={RAW_LIMIT: MOST_BYTES, "requestBody": _BODY},
)
async def import_email(request: Request, tx: Tx, actor: Writer) -> Any:
    """As it came over the wire, 10 MiB at most. It is a message where it answers one of its sender's tickets, by
    `In-Reply-To`, `References` or an address such as `help+4711@example.org`, else a ticket. Its files come along, and
    all of it as an internal file `message.eml`. Automatic answers, bounces, loops and what came before become nothing.
    Whether it is from whom it says is for the mail server to judge, before it is sent here."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MAIL:
        raise UnsupportedMediaType(f"send {MAIL}, not {kind[:60] or 'a body without a Content-Type'}")
    return await service.take(tx, actor, await request.body())
