"""What is named by id in something that is written down for later: a view, a macro. It must be there when it is
written; it may go afterwards."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from app.agents.tables import agents, teams
from app.customers.tables import customers, organizations
from app.db import Query, Transaction
from app.errors import Invalid
from app.tickets.tables import tickets

_KINDS: Mapping[str, tuple[str, Any]] = {
    "assignee_id": ("agent", agents), "follower_id": ("agent", agents), "team_id": ("team", teams),
    "customer_id": ("customer", customers), "organization_id": ("organization", organizations),
    "ids": ("ticket", tickets),
}  # fmt: skip
_THERE = {
    name: Query(select(table.c.id).where(table.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))))
    for name, (_, table) in _KINDS.items()
}


async def check_there(tx: Transaction, pointer: str, named: Mapping[str, Any]) -> None:
    """Of the fields that name something by id, one or several; words such as `me` are passed over. Raises Invalid."""
    for name in _KINDS.keys() & named.keys():
        ids = set(_ids(named[name]))
        there = {row["id"] for row in await tx.rows(_THERE[name], ids=sorted(ids))} if ids else set()
        if ids - there:
            raise Invalid.at(f"{pointer}/{name}", "unknown", f"there is no {_KINDS[name][0]} with this id")


def _ids(value: Any) -> Iterable[UUID]:
    return [each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, UUID)]
