"""`me` and `none` in what a list is asked for, as values that its statements know."""

from typing import Any
from uuid import UUID

from app.auth.dependencies import Actor
from app.errors import Invalid
from app.web.query import Empty, Oneself


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
