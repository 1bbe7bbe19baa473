from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.custom_fields import service
from app.custom_fields.schemas import CustomFieldIn, CustomFieldOut, CustomFieldPage, CustomFieldPatch, Subject
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/custom-fields", "custom-fields")
Reader = Annotated[Actor, may("agents:read")]
Writer = Annotated[Actor, may("agents:write")]


class CustomFieldQuery(PageQuery):
    subject: Subject | None = None


@routes.get("", response_model=CustomFieldPage, summary="List custom fields")
async def list_custom_fields(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[CustomFieldQuery, Query()]
) -> Any:
    """Oldest first; archived ones left out."""
    return await page(request, response, tx, service.LISTING, query, {"subject": query.subject}, "created_at")


@routes.post("", status_code=201, response_model=CustomFieldOut, summary="Define a custom field")
async def create_custom_field(body: CustomFieldIn, request: Request, response: Response, tx: Tx, actor: Writer) -> Any:
    """A key is unique among the fields of its subject, whatever its case; that of an archived field is free again."""
    row = await service.create_field(tx, actor, body, request.app.state.ticket_types)
    response.headers["Location"] = f"/v1/custom-fields/{row['id']}"
    return tag(response, row)


@routes.get("/{field_id}", response_model=CustomFieldOut, summary="Read a custom field")
async def get_custom_field(field_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.FIELDS.get(tx, field_id))


@routes.patch("/{field_id}", response_model=CustomFieldOut, summary="Change a custom field")
async def update_custom_field(
    field_id: UUID,
    patch: CustomFieldPatch,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Writer,
    if_match: IfMatch = None,
) -> Any:
    """JSON merge patch; `choices` and `ticket_types` are replaced whole. Values that are there stay as they are."""
    row = await service.change_field(tx, actor, field_id, patch, request.app.state.ticket_types, if_match)
    return tag(response, row)


@routes.delete("/{field_id}", status_code=204, summary="Archive a custom field")
async def delete_custom_field(field_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """It takes no new values. Those that are there stay."""
    await service.archive_field(tx, actor, field_id, if_match)
