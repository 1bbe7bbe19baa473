from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from app.auth.dependencies import Actor, may
from app.errors import NotFound
from app.tickets import attachments, queries, storage
from app.tickets.files import UNNAMED, disposition
from app.tickets.lifecycle import Visibility
from app.tickets.schemas import AttachmentOut, AttachmentPage, VisibilityWord
from app.web.admission import BULK, costs
from app.web.etag import IfNoneMatch, unchanged
from app.web.openapi_headers import refer
from app.web.paging import PageQuery, page
from app.web.route import RAW_LIMIT, Tx, router

routes = router("/v1/tickets/{ticket_id}/attachments", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]

_BYTES = {"type": "string", "format": "binary"}
# Of whatever type its bytes are.
_UPLOAD = {"required": True, "content": {"*/*": {"schema": _BYTES}}}
_DOWNLOAD = {"content": {"*/*": {"schema": _BYTES}}, "headers": refer("ETag")}
_UNCHANGED = {"description": "Not modified.", "headers": refer("ETag")}


class UploadQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=1000, description="What is kept of it is safe as a file's name.")] = UNNAMED
    visibility: VisibilityWord | None = Field(
        default=None,
        description="Left out, it is `internal` until a message takes it, or `public` where a customer uploads it.",
    )


@routes.post(
    "",
    status_code=201,
    response_model=AttachmentOut,
    summary="Upload an attachment",
    openapi_extra={RAW_LIMIT: attachments.MOST_BYTES, "requestBody": _UPLOAD},
)
async def create_attachment(
    ticket_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Writer,
    query: Annotated[UploadQuery, Query()],
) -> Any:
    """The file itself is the body, 10 MiB at most, of any Content-Type: its type is told by its content. A message
    takes it along by `attachment_ids`, and it becomes as visible as that is. Until then the customer neither sees nor
    hears of what staff upload, unless they say `visibility=public`. A customer's are public."""
    content = await request.body()
    made = await attachments.upload(tx, actor, ticket_id, query.name, query.visibility, content)
    response.headers["Location"] = f"/v1/tickets/{ticket_id}/attachments/{made['id']}"
    return made


@routes.get("", response_model=AttachmentPage, summary="List a ticket's attachments")
async def list_attachments(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Oldest first, without their contents; with those of tickets that were merged into it, which are read there. A
    customer sees the public ones."""
    ids = await queries.tickets_to_show(tx, actor, await queries.get_ticket(tx, actor, ticket_id))
    about = {"ticket_id": ids[0], "visibility": Visibility.public if actor.is_customer else None}
    where = {**about, "ticket_id": ids}
    answer = await page(request, response, tx, attachments.LISTING, query, where, "created_at", about=about)
    return {**answer, "items": [attachments.to_response(row, ids[0]) for row in answer["items"]]}


@routes.get("/{attachment_id}", response_model=AttachmentOut, summary="Read what is known of an attachment")
async def get_attachment(ticket_id: UUID, attachment_id: UUID, tx: Tx, actor: Reader) -> Any:
    """A deleted one has no name and no content any more."""
    return attachments.to_response(await attachments.get(tx, actor, ticket_id, attachment_id))


@routes.get(
    "/{attachment_id}/content",
    response_class=Response,
    responses={200: _DOWNLOAD, 304: _UNCHANGED},
    summary="Download an attachment",
)
@costs(BULK)
async def get_attachment_content(
    ticket_id: UUID,
    attachment_id: UUID,
    request: Request,
    tx: Tx,
    actor: Reader,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """To be saved, never shown in place: no browser runs anything of it."""
    row = await attachments.get(tx, actor, ticket_id, attachment_id)
    headers = {
        "ETag": f'"{row["sha256"].hex()}"',
        "Content-Disposition": disposition(row["name"]),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if row["deleted_at"] is None and unchanged(if_none_match, headers["ETag"]):
        return Response(headers=headers)  # becomes a 304, for which no content is read
    if not await storage.exists(tx, attachment_id):
        raise NotFound("the attachment was deleted")
    size = row["size_bytes"]
    content = storage.pieces(request.app.state.db, attachment_id, size)
    return StreamingResponse(content, headers=headers | {"Content-Length": str(size)}, media_type=row["content_type"])


@routes.delete("/{attachment_id}", status_code=204, summary="Delete an attachment")
async def delete_attachment(ticket_id: UUID, attachment_id: UUID, tx: Tx, actor: Writer) -> None:
    """One's own; a lead anybody's. Its place stays, without name and content."""
    await attachments.delete(tx, actor, ticket_id, attachment_id)
