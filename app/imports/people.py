"""Who imported tickets are about and who worked on them: looked up by what the old system calls them, and made where
nobody is known by that. Whoever is known already is left as they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, func, insert, select
from uuid_utils.compat import uuid7

from app.agents.tables import agents, teams
from app.customers.tables import customers, organizations
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events import log
from app.imports.schemas import ImportedAssignee, ImportedCustomer, ImportedMessage, ImportedTicket
from app.sla.customer_context import CustomerContext, add_to_segments, columns, context_from_row, fact_columns
from app.tickets.tables import messages
from app.web.schemas import fold

_asked = bindparam("names", type_=ARRAY(Text))
# Who was merged is the one they were merged into.
_known, _its = customers.alias("known"), organizations.alias("its")
_CUSTOMERS = Query(
    select(
        customers.c.external_id, customers.c.email_folded, _known.c.id,
        _known.c.organization_id.label("their_organization_id"), *columns(_known.c),
        *fact_columns(_known.c, _its.c),
    )
    .join(_known, _known.c.id == func.coalesce(customers.c.merged_into, customers.c.id))
    .outerjoin(_its, _its.c.id == _known.c.organization_id)
    .where(
        (customers.c.external_id == any_(_asked))
        | (customers.c.email_folded == any_(bindparam("emails", type_=ARRAY(Text))))
    )
)  # fmt: skip
_ORGANIZATIONS = Query(select(organizations).where(organizations.c.external_id == any_(_asked)))
_AGENTS = Query(select(agents.c.external_id, agents.c.id).where(agents.c.external_id == any_(_asked)))
_TEAMS = Query(select(teams.c.key_folded, teams.c.id).where(teams.c.key_folded == any_(_asked)))
# Each ticket holds a share of its customer's lock: all of them are asked for together.
_LOCK_CUSTOMERS = Query(
    select(customers.c.id)
    .where(customers.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(customers.c.id)
    .with_for_update(read=True, key_share=True)
)
_MESSAGES = Query(select(messages.c.channel, messages.c.external_id).where(messages.c.external_id == any_(_asked)))
_OF_CUSTOMER = ("external_id", "name", "email", "region", "language")
_INSERT_CUSTOMER = Query(
    insert(customers), ["id", *_OF_CUSTOMER, "email_folded", "organization_id", "created_at", "updated_at"]
)
_INSERT_ORGANIZATION = Query(insert(organizations), ["id", "external_id", "name", "created_at", "updated_at"])
_INSERT_AGENT = Query(insert(agents), ["id", "external_id", "name", "active"])


@dataclass(frozen=True, slots=True)
class Somebody:
    """A customer, and the organization that they belong to."""

    context: CustomerContext
    organization_id: UUID | None


@dataclass(frozen=True, slots=True)
class People:
    """By external id, and teams by their folded key. `new_agents` are those whom nobody had heard of."""

    customers: Mapping[str, Somebody]
    agents: Mapping[str, UUID]
    teams: Mapping[str, UUID]
    new_agents: frozenset[str]


class Finder:
    """Reads who is there for a batch, says what is wrong with a ticket because of that, and makes who is missing."""

    def __init__(self, items: Sequence[ImportedTicket]) -> None:
        self._wanted = _whole_customers(items)
        self._customers: dict[str, Somebody] = {}
        self._taken: dict[str, str | None] = {}
        self._by_email: dict[str, Somebody] = {}
        # Who has a message's id: one of this batch, or (None) one that is there.
        self._messages: dict[tuple[str, str | None], ImportedMessage | None] = {}

    async def read(self, tx: Transaction, items: Sequence[ImportedTicket]) -> None:
        emails = [fold(each.email) for each in self._wanted.values() if each.email]
        for row in await tx.rows(_CUSTOMERS, names=list(self._wanted), emails=emails):
            somebody = Somebody(await context_from_row(tx, row["id"], row), row["their_organization_id"])
            if row["external_id"] in self._wanted:
                self._customers[row["external_id"]] = somebody
            if row["email_folded"]:
                self._taken[row["email_folded"]] = row["external_id"]
                self._by_email[row["email_folded"]] = somebody
        asked = [entry.external_id for item in items for entry in messages_named(item)]
        for row in await tx.rows(_MESSAGES, names=asked) if asked else ():
            self._messages[row["channel"], row["external_id"]] = None
        for item in items:
            for entry in messages_named(item):
                self._messages.setdefault((item.channel, entry.external_id), entry)
        named = list({item.team for item in items if item.team})
        rows = await tx.rows(_TEAMS, names=[fold(key) for key in named])
        self.teams: dict[str, UUID] = {row["key_folded"]: row["id"] for row in rows}
        self._recognise()

    def _recognise(self) -> None:
        """Whoever is not known by their id may be so by their address; an address is one person's."""
        for external_id, customer in self._wanted.items():
            email = fold(customer.email) if customer.email else None
            if email is None or external_id in self._customers:
                continue
            if email in self._by_email and self._taken[email] is None:
                self._customers[external_id] = self._by_email[email]
            else:
                self._taken.setdefault(email, external_id)

    def check(self, item: ImportedTicket) -> None:
        """Raises Invalid."""
        if item.team and fold(item.team) not in self.teams:
            raise Invalid.at("/team", "unknown", "there is no team with this key")
        for entry in messages_named(item):
            if self._messages[item.channel, entry.external_id] is not entry:
                where = f"/timeline/{item.timeline.index(entry)}/external_id"
                raise Invalid.at(where, "taken", "there is another message with it on this channel")
        customer = self._wanted[item.customer.external_id]
        owner = self._taken.get(fold(customer.email)) if customer.email else None
        if owner is not None and owner != customer.external_id and customer.external_id not in self._customers:
            raise Invalid.at("/customer/email", "taken", f"it is the address of the customer with external_id {owner}")

    async def make(self, tx: Transaction, who: log.ActorRef, items: Sequence[ImportedTicket], seen: Row) -> People:
        now: datetime = seen["now"]
        known_ids = list({each.context.customer_id for each in self._customers.values()})
        await tx.locked_rows(_LOCK_CUSTOMERS, ids=known_ids)
        needed = {item.customer.external_id for item in items} - self._customers.keys()
        # Two imports at once that know the same people wait for one another, and not each for the other.
        new = [self._wanted[id_] for id_ in sorted(needed)]
        known = await _organizations(tx, who, new, now)
        for customer in new:
            organization = known[customer.organization.external_id] if customer.organization else None
            self._customers[customer.external_id] = await _add(tx, who, customer, organization, seen)
        named = set(agents_named(items))
        agent_ids = {row["external_id"]: row["id"] for row in await tx.rows(_AGENTS, names=list(named))}
        new_agents = frozenset(named - agent_ids.keys())
        _add_agents(tx, who, new_agents, agent_ids, now)
        return People(self._customers, agent_ids, self.teams, new_agents)


def messages_named(item: ImportedTicket) -> Iterator[ImportedMessage]:
    """Those that the channel has an id for."""
    return (entry for entry in item.timeline if isinstance(entry, ImportedMessage) and entry.external_id)


def agents_named(items: Iterable[ImportedTicket]) -> Iterator[str]:
    for item in items:
        for entry in item.timeline:
            agent = entry.assignee if isinstance(entry, ImportedAssignee) else None
            agent = entry.agent if isinstance(entry, ImportedMessage) else agent
            if agent:
                yield agent.external_id


def _whole_customers(items: Iterable[ImportedTicket]) -> dict[str, ImportedCustomer]:
    """What all tickets of a batch together say of each customer; the first word on each thing counts."""
    found: dict[str, ImportedCustomer] = {}
    for item in items:
        customer = item.customer
        earlier = found.setdefault(customer.external_id, customer)
        if earlier is not customer:
            blanks = {name: value for name, value in customer if value is not None and getattr(earlier, name) is None}
            found[customer.external_id] = earlier.model_copy(update=blanks)
    return found


async def _organizations(
    tx: Transaction, who: log.ActorRef, new: Iterable[ImportedCustomer], now: datetime
) -> dict[str, Mapping[str, Any]]:
    wanted = {each.organization.external_id: each.organization for each in new if each.organization}
    if not wanted:
        return {}
    rows = await tx.rows(_ORGANIZATIONS, names=list(wanted))
    known: dict[str, Mapping[str, Any]] = {row["external_id"]: dict(row) for row in rows}
    for external_id, organization in sorted(wanted.items()):
        if external_id not in known:
            about = {"external_id": external_id, "name": organization.name or external_id}
            row: dict[str, Any] = {"id": uuid7(), **about, "created_at": now, "updated_at": now}
            tx.write(_INSERT_ORGANIZATION, retry_on="uq_organizations_external_id", **row)
            log.record(tx, who, "organization.created", row["id"], now, {"after": about}, imported=True)
            known[external_id] = {"email": None, "region": None, "language": None, "attributes": {}, **row}
    return known


async def _add(
    tx: Transaction, who: log.ActorRef, customer: ImportedCustomer, organization: Mapping[str, Any] | None, seen: Row
) -> Somebody:
    id_, now = uuid7(), seen["now"]
    organization_id = organization["id"] if organization else None
    about: dict[str, Any] = {name: getattr(customer, name) for name in _OF_CUSTOMER}
    about["organization_id"] = organization_id
    # Another import may be making the same customer: then this one is run again and finds theirs.
    constraint = "uq_customers_email_folded" if customer.email else "uq_customers_external_id"
    tx.write(
        _INSERT_CUSTOMER, retry_on=constraint, id=id_, **about,
        email_folded=fold(customer.email) if customer.email else None, created_at=now, updated_at=now,
    )  # fmt: skip
    tx.retry_on.add("uq_customers_external_id")
    log.record(tx, who, "customer.created", id_, now, {"after": about}, imported=True)
    context = await add_to_segments(tx, who, id_, about, seen["segment_revision"], now, organization)
    return Somebody(context, organization_id)


def _add_agents(tx: Transaction, who: log.ActorRef, new: Iterable[str], known: dict[str, UUID], now: datetime) -> None:
    """Agents of the past are added inactive: whoever still works here is made active by hand."""
    for external_id in sorted(new):
        id_ = known[external_id] = uuid7()
        values = {"external_id": external_id, "name": external_id, "active": False}
        tx.write(_INSERT_AGENT, retry_on="uq_agents_external_id", id=id_, **values)
        log.record(tx, who, "agent.created", id_, now, {"after": values}, imported=True)
