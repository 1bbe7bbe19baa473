"""Who calls, and may they. Everything behind a route sees an `Actor` and never a token, so that another kind of token
is another way to make one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from starlette.requests import Request

from app.auth.roles import Role
from app.errors import AppError, Forbidden
from app.web.limits import CALLER
from app.web.route import Authenticator

log = structlog.get_logger("ninety.auth")


class Unauthenticated(AppError):
    """There is no valid credential: send `Authorization: Bearer <key or token>`."""

    status = 401
    code = "unauthenticated"
    title = "Unauthorized"

    def __init__(self, detail: str, reason: str | None = None) -> None:
        """`reason` is for the log: what callers are not told, and nothing of what they sent."""
        self.reason = reason or detail
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="ninety"'})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. `id` is the key's, or made of what a token says; `agent_id` and `customer_id` say
    for whom it stands. `expires_at` is a token's end, in seconds of Unix time; a key's is asked for. `subject_id` is
    whoever bears a token, whatever it lets them do."""

    id: UUID
    role: Role
    scopes: frozenset[str]
    agent_id: UUID | None = None
    customer_id: UUID | None = None
    expires_at: float | None = None
    subject_id: UUID | None = None

    @property
    def bearer_id(self) -> UUID:
        """Whoever it is: several tokens of one person, with more scopes and with fewer, are one caller to limits."""
        return self.subject_id or self.id

    @property
    def is_customer(self) -> bool:
        return self.role is Role.customer

    @property
    def kind(self) -> str:
        """The author kind this actor has unless it may name another: an administrator answers as a person, a service
        that stands for no agent is a machine."""
        if self.is_customer:
            return "customer"
        return "bot" if self.role is Role.service and self.agent_id is None else "agent"

    @property
    def person_id(self) -> UUID | None:
        return self.customer_id if self.is_customer else self.agent_id


class BearerGuard(Authenticator):
    """Bearer authentication. Raises Unauthenticated and Forbidden."""

    def __init__(self) -> None:
        self.model = HTTPBearer(description="An API key, `nty_…`, or a JSON Web Token of the identity provider.")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Any:
        return request.scope[CALLER]

    async def authenticate(self, request: Request, scopes: Sequence[str]) -> Actor:
        try:
            actor = await self._caller(request)
        except Unauthenticated as refused:
            log.info("unauthenticated", reason=refused.reason)
            raise
        return authorize(request, actor, scopes)

    async def _caller(self, request: Request) -> Actor:
        """Raises Unauthenticated."""
        actor: Actor = await request.app.state.credentials.actor(bearer_token(request))
        return actor


def authorize(request: Request, actor: Actor, scopes: Sequence[str]) -> Actor:
    """Whoever it is, however they said so: one request more of theirs, if they may. Raises RateLimited, Forbidden."""
    request.app.state.limits.count(request.scope, actor)
    missing = [scope for scope in scopes if scope not in actor.scopes]
    if missing:
        raise Forbidden(f"this needs the scope {', '.join(missing)}")
    return actor


class AnybodyGuard(BearerGuard):
    """For what whoever has a key or token may ask, whatever its scopes."""

    needs_scope = False


_GUARD, _ANYBODY = BearerGuard(), AnybodyGuard()


def require_policy_admin(actor: Actor) -> None:
    """Policies and calendars bind everybody: an administrator writes them, or a service that has the scope."""
    if actor.role not in (Role.admin, Role.service):
        raise Forbidden("an administrator writes policies and calendars")


def check_scope(actor: Actor, scope: str, what: str) -> None:
    """For a part of an answer that is another thing than what the operation is about: it asks for the scope that this
    thing has. Raises Forbidden."""
    if scope not in actor.scopes:
        raise Forbidden(f"{what} needs the scope {scope}")


def check_lead(actor: Actor, who: str) -> None:
    """For what is not every agent's: `who` says whose it is. Raises Forbidden."""
    if actor.role not in (Role.lead, Role.admin, Role.service):
        raise Forbidden(who)


def may(*scopes: str) -> Any:
    """For an actor argument: `actor: Annotated[Actor, may("tickets:read")]`."""
    return Security(_GUARD, scopes=list(scopes))


def anybody() -> Any:
    """For an actor argument of what needs no scope."""
    return Security(_ANYBODY, scopes=[])


def bearer_token(request: Request) -> str:
    headers = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(headers) != 1:
        raise Unauthenticated("send one Authorization header, with a bearer key or token")
    scheme, _, token = headers[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise Unauthenticated("send Authorization: Bearer <key or token>")
    return str(token.strip(), "ascii")
