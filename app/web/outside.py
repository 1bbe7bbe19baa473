"""How the service is called from outside: the path that stands before its own paths, and the origin that links begin
with. Within the service every path is its own: the frame takes the outer one off a request and puts it before the links
of the answer."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

from app.settings import BASE_PATH, OWN_WORDS, Settings

BASE: ContextVar[str] = ContextVar("base", default="")
"""The path before ours, of the request that is being answered."""
_HEADER = b"x-forwarded-prefix"
_PATH = re.compile(BASE_PATH)
_LONGEST = 200
Header = tuple[bytes, bytes]


class Outside:
    def __init__(self, settings: Settings) -> None:
        self._base = settings.base_path
        self._origin = settings.public_origin.encode()
        self._proxies = settings.trusted_proxies

    @contextmanager
    def around(self, scope: Scope) -> Iterator[Scope]:
        """The request with its path as the service knows it. What proxies take off the path and what they leave is
        understood alike."""
        base = self._base_of(scope)
        token = BASE.set(base)
        path = scope["path"]
        if base and (path == base or path.startswith(f"{base}/")):
            scope = {**scope, "path": path[len(base) :] or "/"}
        try:
            yield scope
        finally:
            BASE.reset(token)

    def _base_of(self, scope: Scope) -> str:
        if not self._proxies:
            return self._base
        # Each proxy adds what it took off.
        given = [part for name, value in scope["headers"] if name == _HEADER for part in value.split(b",")]
        if not given or not self._trusts(scope["client"]):
            return self._base
        base = "".join(part.decode("latin-1").strip().rstrip("/") for part in given)
        # Where a proxy hands on what its client says, it may be anything.
        fits = len(base) <= _LONGEST and _PATH.fullmatch(base) and base.split("/")[1] not in OWN_WORDS
        return base if fits or not base else self._base

    def _trusts(self, client: tuple[str, int] | None) -> bool:
        if client is None:
            return False
        address = ip_address(client[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._proxies)

    def linked(self, headers: list[Header]) -> list[Header]:
        """With Location and Link as the caller may follow them."""
        before = self._origin + BASE.get().encode()
        return [(name, _before(before, name, value)) for name, value in headers]


def _before(outer: bytes, name: bytes, value: bytes) -> bytes:
    if name == b"location" and value.startswith(b"/"):
        return outer + value
    if name == b"link" and value.startswith(b"</"):
        return b"<" + outer + value[1:]
    return value


def outside_of(settings: Settings) -> Outside | None:
    """None where the service is called at the root of its origin, and nothing needs to be done."""
    given = settings.base_path or settings.public_origin or settings.trusted_proxies
    return Outside(settings) if given else None
