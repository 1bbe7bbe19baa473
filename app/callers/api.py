from typing import Annotated, Any

from app.auth.dependencies import Actor, anybody
from app.callers import queries
from app.callers.schemas import MeOut
from app.web.route import Tx, router

routes = router("/v1/me", "agents")


@routes.get("", response_model=MeOut, summary="Read who I am")
async def get_me(tx: Tx, actor: Annotated[Actor, anybody()]) -> Any:
    """What the key or token in use stands for, and what it may do. Whoever has one may ask."""
    return await queries.whoever(tx, actor)
