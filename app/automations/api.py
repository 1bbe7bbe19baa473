from typing import Annotated, Any

from fastapi import Response

from app.auth.dependencies import Actor, may
from app.automations import service as automations
from app.automations.schemas import AutomationList, AutomationOut, AutomationPatch
from app.sla.core.enums import AutomationKey
from app.web.etag import IfMatch, tag
from app.web.route import Tx, router

routes = router("/v1/automations", "automations")


Looker = Annotated[Actor, may("agents:read")]


Switcher = Annotated[Actor, may("agents:write")]


@routes.get("", response_model=AutomationList, summary="List automations")
async def list_automations(tx: Tx, actor: Looker) -> Any:
    """All there are. An exception of kind `automation` keeps them from a customer, a ticket or a segment."""
    return {"items": await automations.list_automations(tx)}


@routes.get("/{automation_key}", response_model=AutomationOut, summary="Read an automation")
async def get_automation(automation_key: AutomationKey, response: Response, tx: Tx, actor: Looker) -> Any:
    return tag(response, await automations.get_automation(tx, automation_key))


@routes.patch("/{automation_key}", response_model=AutomationOut, summary="Set an automation")
async def update_automation(
    automation_key: AutomationKey,
    patch: AutomationPatch,
    response: Response,
    tx: Tx,
    actor: Switcher,
    if_match: IfMatch = None,
) -> Any:
    """JSON merge patch. Each act names the version of the rule by which it happened."""
    return tag(response, await automations.change_automation(tx, actor, automation_key, patch, if_match))
