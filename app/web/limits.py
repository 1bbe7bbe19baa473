"""What one caller may take of a process: requests a minute, and requests at once.

Everything is counted in the process alone: that costs microseconds and no round trip. Several processes give a caller
that many times as much."""

import asyncio
import math
import time
from collections import deque
from typing import Any, Protocol
from uuid import UUID

from app.errors import AppError
from app.settings import Settings
from app.web.admission import Cost

HEADERS = "ninety.limits"
PLACE = "ninety.place"
_WINDOW_SECONDS = 60
_MOST_CALLERS = 50_000
# A short burst of one caller waits so long for a place; so many times their share may have none yet.
_LINE_SECONDS = 0.1
_COMING_SHARES = 5
# Of one caller, bodies that are large, and operations that are heavy: those wait longer for one another.
_BODIES = 4
_HEAVY = 2
_HEAVY_LINE_SECONDS = 2.0


class RateLimited(AppError):
    """You have asked more often than your role may: `RateLimit-Policy` says how often that is. Repeat after
    Retry-After."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class TooManyAtOnce(AppError):
    """More of your requests are being answered just now than one caller may have: `RateLimit-Policy` says how many, and
    that a large one counts as several. A request counts until its answer has been read. Wait for some of them, then
    repeat."""

    status = 429
    code = "too_many_at_once"
    title = "Too many requests at once"


# Under this name who calls is in the scope.
CALLER = "ninety.caller"


class Caller(Protocol):
    @property
    def id(self) -> UUID: ...

    @property
    def bearer_id(self) -> UUID: ...

    @property
    def role(self) -> str: ...


class _Policy:
    """A role's limit: a bucket of `quota` requests that fills within the window."""

    __slots__ = ("a_second", "name", "quota", "text")

    def __init__(self, role: str, quota: int) -> None:
        self.quota = float(quota)
        self.a_second = quota / _WINDOW_SECONDS
        self.name = role
        self.text = f'"{role}";q={quota};w={_WINDOW_SECONDS}'


class _Use:
    """What one caller has left, as of when; how many places of their share are taken; and who stands in line for one.
    `bodies` are the large ones that they may send at once, `raw_body` the one that may be larger still."""

    __slots__ = ("_line", "at", "bodies", "coming", "heavy", "left", "policy", "raw_body", "running", "share")

    def __init__(self, policy: _Policy, share: int, now: float) -> None:
        self.bodies = asyncio.Semaphore(_BODIES)
        # Half of the share stays for what takes milliseconds.
        self.heavy = asyncio.Semaphore(_HEAVY)
        self.raw_body = asyncio.Semaphore(1)
        self.policy = policy
        self.left = policy.quota
        self.at = now
        self.running = 0
        # Requests that have no place yet: their bodies come in, or they stand in line.
        self.coming = 0
        self.share = share
        self._line: deque[tuple[asyncio.Future[None], int]] = deque()

    def refill(self, now: float) -> float:
        self.left = min(self.policy.quota, self.left + (now - self.at) * self.policy.a_second)
        self.at = now
        return self.left

    @property
    def idle(self) -> bool:
        return not (self.running or self.coming)

    @property
    def free(self) -> int:
        return max(0, self.share - self.running - self.coming)

    def too_many(self) -> TooManyAtOnce:
        return TooManyAtOnce(
            f"at most {self.share} at once: wait for an answer before the next", headers={"Retry-After": "1"}
        )

    async def take(self, weight: int) -> int:
        """Take so many places, all of the share at most; waits in line for some tens of milliseconds. How many it
        took. Raises TooManyAtOnce."""
        weight = min(weight, self.share)
        if self._line or self.running + weight > self.share:
            await self._stand_in_line(weight)
        else:
            self.running += weight
        return weight

    def give_back(self, weight: int) -> None:
        self.running -= weight
        while self._line and self.running + self._line[0][1] <= self.share:
            turn, wanted = self._line.popleft()
            if not turn.done():
                self.running += wanted
                turn.set_result(None)

    async def _stand_in_line(self, weight: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._line.append((turn, weight))
        try:
            async with asyncio.timeout(_LINE_SECONDS):
                await turn
        except TimeoutError:
            if turn.cancelled():
                raise self.too_many() from None
        except BaseException:
            if not turn.cancelled():
                self.give_back(weight)
            raise


class Place:
    """One request's part of its caller's share: from when it is worked on until its answer has left."""

    __slots__ = ("_heavy", "_use", "taken")

    def __init__(self, use: _Use) -> None:
        self._use = use
        self._heavy = False
        self.taken = 0

    @property
    def bodies(self) -> asyncio.Semaphore:
        return self._use.bodies

    @property
    def raw_body(self) -> asyncio.Semaphore:
        return self._use.raw_body

    def __enter__(self) -> None:
        """While the request comes in and waits. Raises TooManyAtOnce."""
        if self._use.coming >= _COMING_SHARES * self._use.share:
            raise self._use.too_many()
        self._use.coming += 1

    def __exit__(self, *_: object) -> None:
        self._use.coming -= 1

    async def take(self, cost: Cost) -> None:
        """Raises TooManyAtOnce."""
        if cost.heavy:
            try:
                async with asyncio.timeout(_HEAVY_LINE_SECONDS):
                    await self._use.heavy.acquire()
            except TimeoutError:
                raise self._use.too_many() from None
            self._heavy = True
        self.taken = await self._use.take(cost.weight)

    def leave(self) -> None:
        taken, self.taken = self.taken, 0
        if taken:
            self._use.give_back(taken)
        if self._heavy:
            self._heavy = False
            self._use.heavy.release()


class _Told:
    """What an answer says of its caller's limits, at the instant at which it begins: this request is over by then."""

    __slots__ = ("_policies", "_use")

    def __init__(self, use: _Use, at_once: bytes) -> None:
        self._use = use
        self._policies = (b"ratelimit-policy", use.policy.text.encode() + b", " + at_once)

    def headers(self, place: Place | None) -> tuple[tuple[bytes, bytes], ...]:
        use = self._use
        full_in = math.ceil((use.policy.quota - use.left) / use.policy.a_second)
        free = use.free + (place.taken if place else 0)
        state = f'"{use.policy.name}";r={int(use.left)};t={full_in}, "concurrency";r={free}'
        return (b"ratelimit", state.encode()), self._policies


class Limits:
    """What each caller has used. Knows a bounded number of them: those who have used nothing lately are forgotten."""

    def __init__(self, settings: Settings) -> None:
        self._share = settings.share_of_caller
        self._at_once = f'"concurrency";q={self._share};qu="concurrent-requests"'.encode()
        self._policies = {
            role: _Policy(role, getattr(settings, f"rate_limit_{role}"))
            for role in ("customer", "agent", "lead", "admin", "service")
        }
        self._uses: dict[tuple[UUID, str], _Use] = {}

    def count(self, scope: Any, caller: Caller) -> None:
        """One request more. Leaves in the scope what the answer says of it. Raises RateLimited."""
        now = time.monotonic()
        use = self._use_of(caller, now)
        policy, over = use.policy, use.refill(now) < 1
        scope[HEADERS] = _Told(use, self._at_once)
        if over:
            wait = math.ceil((1 - use.left) / policy.a_second)
            raise RateLimited(f"at most {policy.quota:.0f} a minute: wait {wait} s", headers={"Retry-After": str(wait)})
        use.left -= 1

    def place(self, scope: Any, caller: Caller) -> Place:
        """For one of the caller's requests. Whoever sends the answer lets go of it."""
        place = scope[PLACE] = Place(self._use_of(caller, time.monotonic()))
        return place

    def _use_of(self, caller: Caller, now: float) -> _Use:
        return self._uses.get((caller.bearer_id, caller.role)) or self._new(caller, now)

    def _new(self, caller: Caller, now: float) -> _Use:
        if len(self._uses) >= _MOST_CALLERS:
            self._forget(now)
        policy = self._policies[caller.role]
        use = self._uses[caller.bearer_id, caller.role] = _Use(policy, self._share, now)
        return use

    def _forget(self, now: float) -> None:
        busy = {id_: use for id_, use in self._uses.items() if not use.idle or use.refill(now) < use.policy.quota}
        # More of them than fit are at it just now: all begin anew.
        self._uses = busy if len(busy) < _MOST_CALLERS else {}
