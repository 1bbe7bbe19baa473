"""What one caller may take of a process, and what goes first where there is more to do than it can do.

Everything is counted in the process alone: that costs microseconds and no round trip. Several processes give a caller
that many times as much."""

import asyncio
import math
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from app.errors import AppError
from app.settings import Settings
from app.web import metrics

HEADERS = "ninety.limits"
_WINDOW_SECONDS = 60
_MOST_CALLERS = 50_000
_DIGIT = re.compile("[0-9]")


class RateLimited(AppError):
    """You have asked more often than your role may: `RateLimit-Policy` says how often that is. Repeat after
    Retry-After."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class TooManyAtOnce(AppError):
    """More of your requests are being answered just now than one caller may have. Wait for some of them, then
    repeat."""

    status = 429
    code = "too_many_at_once"
    title = "Too many requests at once"


class Caller(Protocol):
    @property
    def id(self) -> UUID: ...

    @property
    def bearer_id(self) -> UUID: ...

    @property
    def role(self) -> str: ...


class Kind(StrEnum):
    """What an operation is to the service when it has too much to do."""

    vital = "vital"
    work = "work"
    read = "read"
    bulk = "bulk"


# Of what the process does at once, so much may be there already when one more begins. Who opens a ticket or answers one
# is let in last of all; lists, searches, exports, reports and imports can wait.
_SHARES = {Kind.work: 1.0, Kind.read: 0.75, Kind.bulk: 0.5}
# Inside one thing, and yet as much as a list; and what is written by hundreds.
_LARGE = frozenset({"export", "tickets", "members", "content"})
_MANY = frozenset({"/v1/imports/tickets", "/v1/tickets/bulk"})
# To a browser's EventSource a refusal is final; and all of them come again at once where a process was replaced.
_STREAM = "/v1/events/stream"


def is_vital(method: str, path: str) -> bool:
    return not path.startswith("/v1/") or path == _STREAM or method == "OPTIONS"


def kind_of(method: str, path: str) -> Kind:
    """By the shape of the path alone, so that it costs nothing to say no: an id, which has a digit, makes a list the
    business of one thing."""
    if is_vital(method, path):
        return Kind.vital
    if method not in ("GET", "HEAD"):
        return Kind.bulk if path in _MANY else Kind.work
    if not _DIGIT.search(path, 4) or path[path.rfind("/") + 1 :] in _LARGE:
        return Kind.bulk
    return Kind.read


class Admission:
    """How many requests are being answered, and who may still come in. What is vital does not count: it would keep
    tickets out, for anybody who asks often enough whether the service is ready."""

    __slots__ = ("_most", "aside", "running")

    def __init__(self, most: int) -> None:
        self.running = 0
        self.aside = _Aside(self)
        self._most = {kind: most * share for kind, share in _SHARES.items()} | {Kind.vital: math.inf}

    def refuses(self, scope: Mapping[str, Any]) -> bool:
        """Whether this request is one too many; counts it where it is."""
        kind = kind_of(scope["method"], scope["path"])
        if self.running < self._most[kind]:
            return False
        metrics.SHED.labels(kind).inc()
        return True


class _Aside:
    """`with admission.aside`: a request that waits for its caller, and not for this service, does not count meanwhile.
    Strangers at the door and bodies that trickle in would otherwise keep everybody out."""

    __slots__ = ("_admission",)

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def __enter__(self) -> None:
        self._admission.running -= 1

    def __exit__(self, *_: object) -> None:
        self._admission.running += 1


class _Policy:
    """A role's limit: a bucket of `quota` requests that fills within the window."""

    __slots__ = ("a_second", "header", "name", "quota")

    def __init__(self, role: str, quota: int) -> None:
        self.quota = float(quota)
        self.a_second = quota / _WINDOW_SECONDS
        self.name = role
        self.header = (b"ratelimit-policy", f'"{role}";q={quota};w={_WINDOW_SECONDS}'.encode())


class _Use:
    """What one caller has left, as of when, and how many of their requests are under way. Of their large bodies it is
    one at a time."""

    __slots__ = ("at", "large_body", "left", "policy", "running")

    def __init__(self, policy: _Policy, now: float) -> None:
        self.large_body = asyncio.Lock()
        self.policy = policy
        self.left = policy.quota
        self.at = now
        self.running = 0

    def refill(self, now: float) -> float:
        self.left = min(self.policy.quota, self.left + (now - self.at) * self.policy.a_second)
        self.at = now
        return self.left


class _OneOf:
    """One of a caller's requests, while it lasts."""

    __slots__ = ("_use",)

    def __init__(self, use: _Use) -> None:
        self._use = use

    def __enter__(self) -> _Use:
        self._use.running += 1
        return self._use

    def __exit__(self, *_: object) -> None:
        self._use.running -= 1


class Limits:
    """What each caller has used. Knows a bounded number of them: those who have used nothing lately are forgotten."""

    def __init__(self, settings: Settings) -> None:
        self._at_once = settings.caller_concurrency
        self._policies = {
            role: _Policy(role, getattr(settings, f"rate_limit_{role}"))
            for role in ("customer", "agent", "lead", "admin", "service")
        }
        self._uses: dict[tuple[UUID, str], _Use] = {}

    def count(self, scope: Any, caller: Caller) -> None:
        """One request more. Leaves in the scope what the answer says of it. Raises RateLimited."""
        now = time.monotonic()
        use = self._uses.get((caller.bearer_id, caller.role)) or self._new(caller, now)
        policy, over = use.policy, use.refill(now) < 1
        if not over:
            use.left -= 1
        full_in = math.ceil((policy.quota - use.left) / policy.a_second)
        state = f'"{policy.name}";r={int(use.left)};t={full_in}'
        scope[HEADERS] = ((b"ratelimit", state.encode()), policy.header)
        if over:
            wait = math.ceil((1 - use.left) / policy.a_second)
            raise RateLimited(f"at most {policy.quota:.0f} a minute", headers={"Retry-After": str(wait)})

    def one_of(self, caller: Caller) -> _OneOf:
        """Raises TooManyAtOnce."""
        use = self._uses.get((caller.bearer_id, caller.role)) or self._new(caller, time.monotonic())
        if use.running >= self._at_once:
            raise TooManyAtOnce(f"at most {self._at_once} at once", headers={"Retry-After": "1"})
        return _OneOf(use)

    def _new(self, caller: Caller, now: float) -> _Use:
        if len(self._uses) >= _MOST_CALLERS:
            self._forget(now)
        use = self._uses[caller.bearer_id, caller.role] = _Use(self._policies[caller.role], now)
        return use

    def _forget(self, now: float) -> None:
        busy = {id_: use for id_, use in self._uses.items() if use.running or use.refill(now) < use.policy.quota}
        # More of them than fit are at it just now: all begin anew.
        self._uses = busy if len(busy) < _MOST_CALLERS else {}
