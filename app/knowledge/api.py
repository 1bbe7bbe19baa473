from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.knowledge import articles, suggestions
from app.knowledge.schemas import (
    ArticleIn,
    ArticleOut,
    ArticlePage,
    ArticlePatch,
    ArticleQuery,
    SuggestIn,
    SuggestionList,
)
from app.web.admission import BULK, costs
from app.web.etag import IfMatch, tag
from app.web.paging import page
from app.web.route import Tx, router

routes = router("/v1/articles", "articles")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


@routes.get("", response_model=ArticlePage, summary="List articles")
async def list_articles(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ArticleQuery, Query()]
) -> Any:
    """In the order in which they were written. A customer sees the active ones that are for them."""
    where = await articles.asked(tx, actor, query)
    if where is None:
        return {"items": [], "next_cursor": None}
    answer = await page(request, response, tx, articles.LISTING, query, where, "created_at")
    return {**answer, "items": [articles.to_response(actor, row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=ArticleOut, summary="Write an article")
async def create_article(body: ArticleIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """By the staff. It is found at once."""
    row = await articles.create_article(tx, actor, body)
    response.headers["Location"] = f"/v1/articles/{row['id']}"
    return tag(response, row)


@routes.post("/suggest", response_model=SuggestionList, summary="Suggest articles for a text")
@costs(BULK)
async def suggest_articles(body: SuggestIn, tx: Tx, actor: Reader) -> Any:
    """Any word may match: ranked by how rare the words are, how much of the text an article speaks of, and how much of
    its title was asked for."""
    found = await suggestions.suggest(tx, body.text, body.language, body.limit, customer_id=actor.customer_id)
    return {"items": [suggestions.to_response(row) for row in found]}


@routes.get("/{article_id:id}", response_model=ArticleOut, summary="Read an article")
async def get_article(article_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, articles.to_response(actor, await articles.get_article(tx, actor, article_id)))


@routes.patch("/{article_id:id}", response_model=ArticleOut, summary="Change an article")
async def update_article(
    article_id: UUID, patch: ArticlePatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. What was sent to customers stays as it was sent."""
    return tag(response, await articles.change_article(tx, actor, article_id, patch, if_match))


@routes.delete("/{article_id:id}", status_code=204, summary="Archive an article")
async def delete_article(article_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """It is suggested no more, and stays in the reports. Its key may be used again."""
    await articles.archive_article(tx, actor, article_id, if_match)
