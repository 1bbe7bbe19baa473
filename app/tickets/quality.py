"""What quality is judged by, written with the change that brings it about: resolutions and what became of them,
requests for a person, and how long the staff worked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from uuid_utils.compat import uuid7

from app.db import Query, Transaction
from app.events import log
from app.sla.clocks import ATTRIBUTED, Attribution
from app.sla.core.enums import DONE, AuthorKind, Status
from app.tickets.quality_tables import TABLES, handlings, person_requests, ticket_resolutions
from app.tickets.tables import messages


class SolvedBy(StrEnum):
    """`person`: an agent answered in public, or resolved it. `article`: its customer said so, and no person had
    answered. `bot`: a bot answered in public, and no person had. `nobody`: nobody had."""

    person = "person"
    article = "article"
    bot = "bot"
    nobody = "nobody"


_r, _p, _m = ticket_resolutions.c, person_requests.c, messages.c
ABOUT = (*ATTRIBUTED, "segment", "spam")
_RESOLUTION = ["id", "ticket_id", "resolved_at", "resolved_by_kind", "resolved_by_id"]
_ids = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))


def _answered(kind: AuthorKind) -> ColumnElement[bool]:
    return exists().where(
        _m.ticket_id == _ids,
        _m.author_kind == literal_column(f"'{kind.value}'"),
        _m.visibility == literal_column("'public'"),
    )


_solved_by = func.coalesce(
    bindparam("known", type_=Text),
    case(
        (_answered(AuthorKind.agent), literal_column("'person'")),
        (or_(bindparam("bot_said", type_=Boolean), _answered(AuthorKind.bot)), literal_column("'bot'")),
        else_=literal_column("'nobody'"),
    ),
)
INSERT = Query(insert(ticket_resolutions), [*_RESOLUTION, "solved_by", "reopened_at", *ABOUT])
# Who solved it is for the messages to say, those of tickets that were merged into it too.
_RESOLVE = Query(
    insert(ticket_resolutions).from_select(
        [*_RESOLUTION, *ABOUT, "solved_by"],
        select(*(bindparam(name, type_=_r[name].type).label(name) for name in (*_RESOLUTION, *ABOUT)), _solved_by),
    )
)
_REOPEN = Query(
    update(ticket_resolutions).where(_r.ticket_id == bindparam("of_ticket"), _r.reopened_at.is_(None)), ["reopened_at"]
)
_last = (
    select(_r.id)
    .where(_r.ticket_id == bindparam("of_ticket"))
    .order_by(_r.resolved_at.desc(), _r.id.desc())
    .limit(literal_column("1"))
    .scalar_subquery()
)
_NOT_REOPENED = Query(update(ticket_resolutions).where(_r.id == _last).values(reopened_at=null()))
_ASK = Query(insert(person_requests), ["id", "ticket_id", "asked_at", *ABOUT])
_END_REQUEST = Query(
    update(person_requests).where(_p.ticket_id == _ids, _p.ended_at.is_(None)),
    ["ended_at", "responder_id", "answered", *ABOUT],
)
_HANDLE = Query(
    insert(handlings), ["ticket_id", "message_id", "handled_at", "author_kind", "author_id", "seconds", *ABOUT]
)
_MARK = [Query(update(table).where(table.c.ticket_id == bindparam("of_ticket")), ["spam"]) for table in TABLES]


def about(ticket: Mapping[str, Any], kept: Attribution) -> dict[str, Any]:
    """The columns that say whose it was and what about: what clocks that end keep, and what never changes."""
    return {**kept, "segment": ticket["segment"], "spam": ticket.get("spam_at") is not None}


def mark_spam(tx: Transaction, ticket_id: UUID, *, spam: bool) -> None:
    """Queue that all of a ticket's is in no figure, or is again."""
    for query in _MARK:
        tx.write(query, of_ticket=ticket_id, spam=spam)


@dataclass(slots=True)
class QualityChange:
    """What one change of one ticket means for its quality. `write` queues it."""

    resolved_by: log.ActorRef | None = None
    reopened: bool = False
    reopening_undone: bool = False
    asks_for_person: bool = False
    request_over: bool = False
    # Whose public messages come with the change: they are not stored yet.
    answered_by: log.ActorRef | None = None
    bot_said: bool = False
    article_helped: bool = False
    handled: list[tuple[UUID, log.ActorRef, float]] = field(default_factory=list)

    def moved(self, before: Status, after: Status, who: log.ActorRef) -> None:
        if before in DONE and after not in DONE:
            self.reopened = True
        elif before not in DONE and after in DONE:
            self.resolved_by, self.request_over = who, True

    def said(self, author: log.ActorRef) -> None:
        """Somebody wrote to the customer."""
        if author.kind == AuthorKind.agent:
            self.answered_by, self.request_over = author, True
        elif author.kind == AuthorKind.bot:
            self.bot_said = True

    def write(
        self, tx: Transaction, before: Mapping[str, Any], ticket: Mapping[str, Any], now: datetime, kept: Attribution
    ) -> None:
        """`before` is the ticket's row as it was, `ticket` as it will be, `kept` what clocks keep that end with it."""
        id_, columns = before["id"], about(before, kept)
        ids = [id_, *ticket["merged_from"]]
        if self.reopened:
            tx.write(_REOPEN, of_ticket=id_, reopened_at=now)
        if self.reopening_undone:
            tx.write(_NOT_REOPENED, of_ticket=id_)
        if (self.request_over or self.reopening_undone) and before["needs_human"]:
            who = self.answered_by
            tx.write(
                _END_REQUEST, ticket_ids=ids, ended_at=now, responder_id=who.id if who else None,
                answered=who is not None, **columns,
            )  # fmt: skip
        if self.asks_for_person or (self.reopened and before["needs_human"]):
            # Who was done with before a person answered is so no more.
            tx.write(_ASK, id=uuid7(), ticket_id=id_, asked_at=now, **columns)
        for message_id, author, seconds in self.handled:
            tx.write(
                _HANDLE, ticket_id=id_, message_id=message_id, handled_at=now, author_kind=author.kind,
                author_id=author.id, seconds=seconds, **columns,
            )  # fmt: skip
        if self.resolved_by:
            tx.write(
                _RESOLVE, id=uuid7(), ticket_id=id_, resolved_at=now, resolved_by_kind=self.resolved_by.kind,
                resolved_by_id=self.resolved_by.id, known=self._known(), bot_said=self.bot_said, ticket_ids=ids,
                **columns,
            )  # fmt: skip

    def _known(self) -> SolvedBy | None:
        """Who solved it, where the change itself says so."""
        if self.answered_by or (self.resolved_by and self.resolved_by.kind == AuthorKind.agent):
            return SolvedBy.person
        return SolvedBy.article if self.article_helped else None
