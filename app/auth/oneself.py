"""`me` and `none` in what a list is asked for, as values that its statements know."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.auth.dependencies import Actor
from app.errors import Invalid
from app.web.query import Empty, Oneself


def filters_of(actor: Actor, query: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """What these parameters ask for, as far as they were given. Raises Invalid as `filter_value` does."""
    asked = {name: getattr(query, name) for name in names}
    return {name: filter_value(actor, name, value) for name, value in asked.items() if value is not None}


def filter_value(actor: Actor, name: str, value: Any) -> Any:
    """`me` is somebody, `none` is None. Raises Invalid for `me` where the caller is nobody of this kind."""
    if not isinstance(value, tuple):
        return value
    return tuple(None if one is Empty.none else _oneself(actor, name) if one is Oneself.me else one for one in value)


def _oneself(actor: Actor, name: str) -> UUID:
    me = actor.customer_id if name == "customer_id" else actor.agent_id
    if me is None:
        who = "customer" if name == "customer_id" else "agent"
        raise Invalid.at(f"/query/{name}", "nobody", f"the caller stands for no {who}: `me` is nobody")
    return me
