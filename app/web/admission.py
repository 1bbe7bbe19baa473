"""What an operation costs, and what goes first where there is more to do than a process can do."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from app.web import metrics

F = TypeVar("F", bound=Callable[..., Any])


class Kind(StrEnum):
    """What an operation is to the service when it has too much to do."""

    vital = "vital"
    work = "work"
    read = "read"
    bulk = "bulk"


# Of what the process does at once, so much may be there already when one more begins. Who opens a ticket or answers one
# is let in last of all; lists, searches, exports, reports and imports can wait.
_SHARES = {Kind.work: 1.0, Kind.read: 0.75, Kind.bulk: 0.5}


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operation is, and how many places of its caller's share it takes. One of more than a single place works
    for seconds, in the database or here: of those only a few run at a time, whoever asks. `standby`: what it answers
    may be some seconds old, so that it is read from a standby where there is one."""

    kind: Kind
    weight: int = 1
    standby: bool = False

    @property
    def heavy(self) -> bool:
        return self.weight > 1


VITAL, WORK, READ, BULK, HEAVY = Cost(Kind.vital), Cost(Kind.work), Cost(Kind.read), Cost(Kind.bulk), Cost(Kind.bulk, 3)
REPORT = replace(HEAVY, standby=True)
_COST = "ninety_cost"


def costs(cost: Cost) -> Callable[[F], F]:
    """Declares at its function what an operation costs."""

    def declared(function: F) -> F:
        setattr(function, _COST, cost)
        return function

    return declared


def declared_cost(function: object) -> Cost | None:
    return getattr(function, _COST, None)


class _Node:
    """A segment of the paths that routes have."""

    __slots__ = ("any", "by_word", "costs", "rest")

    def __init__(self) -> None:
        self.by_word: dict[str, _Node] = {}
        self.any: _Node | None = None
        # A parameter that takes the rest of the path, slashes and all.
        self.rest: _Node | None = None
        self.costs: dict[str, Cost] = {}


class Costs:
    """What each operation costs, by method and path, before anything is routed: it must cost nothing to say no."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, methods: Iterable[str], path_format: str, cost: Cost, *, rest: bool = False) -> None:
        """`rest`: the last parameter takes the rest of the path."""
        node, words = self._root, path_format.split("/")
        for place, word in enumerate(words):
            if not word.startswith("{"):
                node = node.by_word.setdefault(word, _Node())
            elif rest and place == len(words) - 1:
                node.rest = node = node.rest or _Node()
            else:
                node.any = node = node.any or _Node()
        node.costs |= dict.fromkeys(methods, cost)

    def of(self, method: str, path: str) -> Cost:
        node: _Node | None = self._root
        for word in path.split("/"):
            assert node is not None
            below = node.by_word.get(word) or node.any
            if below is None:
                node = node.rest
                break
            node = below
        found = node.costs.get("GET" if method == "HEAD" else method) if node else None
        # Beside the API there are files and health; what is no operation can wait.
        return found or (BULK if path.startswith("/v1/") and method != "OPTIONS" else VITAL)


class Admission:
    """How many requests are being answered, and who may still come in. What is vital does not count: it would keep
    tickets out, for anybody who asks often enough whether the service is ready."""

    __slots__ = ("_most", "costs", "draining", "paused", "running", "running_by_kind")

    def __init__(self, most: int, costs: Costs) -> None:
        self.running = 0
        self.running_by_kind = dict.fromkeys(_SHARES, 0)
        # The process is about to end: it answers, and tells everybody to go elsewhere next time.
        self.draining = False
        self.costs = costs
        self.paused = {kind: _Paused(self, kind) for kind in _SHARES} | {Kind.vital: nullcontext()}
        self._most = {kind: most * share for kind, share in _SHARES.items()} | {Kind.vital: math.inf}

    def begin(self, kind: Kind) -> None:
        self.running += 1
        self.running_by_kind[kind] += 1

    def end(self, kind: Kind) -> None:
        self.running -= 1
        self.running_by_kind[kind] -= 1

    def drain(self) -> None:
        self.draining = True

    def cost_of(self, scope: Mapping[str, Any]) -> Cost:
        return self.costs.of(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))

    @property
    def waiting_by_kind(self) -> dict[Kind, int]:
        """Requests that are authenticated, wait for their body or stand in line."""
        return {kind: each.waiting for kind, each in self.paused.items() if isinstance(each, _Paused)}

    def refuses(self, cost: Cost) -> bool:
        """Whether a request of this cost is one too many; counts it where it is."""
        if self.running < self._most[cost.kind]:
            return False
        metrics.SHED.labels(cost.kind).inc()
        return True


class _Paused:
    """`with admission.paused[kind]`: a request that is authenticated, waits for its body or stands in line does not
    count as running. Unauthenticated callers and slow uploads must not consume admission slots."""

    __slots__ = ("_admission", "_kind", "waiting")

    def __init__(self, admission: Admission, kind: Kind) -> None:
        self._admission = admission
        self._kind = kind
        self.waiting = 0

    def __enter__(self) -> None:
        self._admission.end(self._kind)
        self.waiting += 1

    def __exit__(self, *_: object) -> None:
        self.waiting -= 1
        self._admission.begin(self._kind)
