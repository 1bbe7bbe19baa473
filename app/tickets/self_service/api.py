from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.guard import Actor, may
from app.sla.core.words import AutomationKey
from app.tickets.self_service import articles, automations, suggesting
from app.tickets.self_service.schemas import (
    ArticleIn,
    ArticleOut,
    ArticlePage,
    ArticlePatch,
    ArticleQuery,
    AutomationList,
    AutomationOut,
    AutomationPatch,
    SuggestIn,
    SuggestionList,
)
from app.web.etag import IfMatch, tag
from app.web.paging import page
from app.web.route import Tx, router

article_routes = router("/v1/articles", "articles")
automation_routes = router("/v1/automations", "automations")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]
Looker = Annotated[Actor, may("agents:read")]
Switcher = Annotated[Actor, may("agents:write")]


@article_routes.get("", response_model=ArticlePage, summary="List articles")
async def list_articles(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ArticleQuery, Query()]
) -> Any:
    """In the order in which they were written. A customer sees the active ones that are for them."""
    where = await articles.asked(tx, actor, query)
    if where is None:
        return {"items": [], "next_cursor": None}
    answer = await page(request, response, tx, articles.LISTING, query, where, "created_at")
    return {**answer, "items": [articles.shown(actor, row) for row in answer["items"]]}


@article_routes.post("", status_code=201, response_model=ArticleOut, summary="Write an article")
async def create_article(body: ArticleIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """By the staff. It is found at once."""
    row = await articles.create_article(tx, actor, body)
    response.headers["Location"] = f"/v1/articles/{row['id']}"
    return tag(response, row)


@article_routes.post("/suggest", response_model=SuggestionList, summary="Suggest articles for a text")
async def suggest_articles(body: SuggestIn, tx: Tx, actor: Reader) -> Any:
    """Any word may match: ranked by how rare the words are, how much of the text an article speaks of, and how much of
    its title was asked for."""
    found = await suggesting.suggest(tx, body.text, body.language, body.limit, customer_id=actor.customer_id)
    return {"items": [suggesting.shown(row) for row in found]}


@article_routes.get("/{article_id:id}", response_model=ArticleOut, summary="Read an article")
async def get_article(article_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, articles.shown(actor, await articles.get_article(tx, actor, article_id)))


@article_routes.patch("/{article_id:id}", response_model=ArticleOut, summary="Change an article")
async def update_article(
    article_id: UUID, patch: ArticlePatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. What was sent to customers stays as it was sent."""
    return tag(response, await articles.change_article(tx, actor, article_id, patch, if_match))


@article_routes.delete("/{article_id:id}", status_code=204, summary="Archive an article")
async def delete_article(article_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """It is suggested no more, and stays in the reports. Its key may be used again."""
    await articles.archive_article(tx, actor, article_id, if_match)


@automation_routes.get("", response_model=AutomationList, summary="List automations")
async def list_automations(tx: Tx, actor: Looker) -> Any:
    """All there are. An exception of kind `automation` keeps them from a customer, a ticket or a segment."""
    return {"items": await automations.list_automations(tx)}


@automation_routes.get("/{automation_key}", response_model=AutomationOut, summary="Read an automation")
async def get_automation(automation_key: AutomationKey, response: Response, tx: Tx, actor: Looker) -> Any:
    return tag(response, await automations.get_automation(tx, automation_key))


@automation_routes.patch("/{automation_key}", response_model=AutomationOut, summary="Set an automation")
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
