"""The way out. A name is resolved here, every address it leads to is looked at, and the connection is made to one that
was looked at: there is nothing between the check and the use of it. No redirect is followed, no proxy of the
environment is used, and no more is read or waited for than a receiver may ask of us."""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from ipaddress import ip_address
from typing import Any

import httpcore

from app.webhooks.retries import Attempt, Failure, of_status
from app.webhooks.targets import Target, is_public

SECONDS_IN_ALL = 15.0
_SECONDS_TO_CONNECT = 5.0
_MOST_READ = 64 * 1024
_KEPT = 1024
# A name that a hostile server is slow to tell of holds a thread, not the loop.
_RESOLVING_AT_ONCE = 32
_ADDRESSES_TRIED = 4
# Shorter than what servers commonly keep, so that a connection is seldom used just as the other side closes it.
_IDLE_SECONDS = 4.0

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotPublic(Exception):
    """A name leads to an address that is not public."""


class NameUnknown(Exception):
    """A name leads nowhere."""


class HandshakeFailed(Exception):
    """No TLS with the one whose name it is."""


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that sends what was written when an answer is waited for: head and body in one packet. And one that
    closes where a handshake is broken off, which httpcore does not."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._written = bytearray()
        raw: socket.socket | None = inner.get_extra_info("socket")
        self._readable = select.poll()
        if raw is not None:
            self._readable.register(raw.fileno(), select.POLLIN)

    async def read(self, *args: Any, **more: Any) -> bytes:
        if self._written:
            written, self._written = bytes(self._written), bytearray()
            await self._inner.write(written)
        return await self._inner.read(*args, **more)

    async def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        self._written += buffer

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(self, *args: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await self._inner.start_tls(*args, **more))
        except BaseException as error:
            await asyncio.shield(self._inner.aclose())
            if isinstance(error, httpcore.ConnectError):
                raise HandshakeFailed from None
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Asked of every idle connection at every request; by way of httpcore's layers it took a third of the time.
            return bool(self._readable.poll(0))
        return self._inner.get_extra_info(info)


class PublicAddressBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has looked at. `private` lets every address pass: for development and tests."""

    def __init__(self, *, private: bool, resolve: Resolve, inner: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._private = private
        self._resolve = resolve
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises NotPublic where any of the addresses is not: a name with mixed answers is up to something."""
        addresses = [host] if _is_address(host) else await self._resolve(host, port)
        if not self._private and not all(is_public(address) for address in addresses):
            raise NotPublic
        failed: Exception = NameUnknown()
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return _Stream(await self._inner.connect_tcp(address, port, _SECONDS_TO_CONNECT))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise NotPublic

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _IdleConnections:
    """Connections that wait for the next request to the same target. httpcore's own pool looks at each of its
    connections for each of them at every request."""

    def __init__(self, make: Callable[[httpcore.Origin], httpcore.AsyncHTTPConnection]) -> None:
        self._make = make
        self._idle: dict[Target, list[httpcore.AsyncHTTPConnection]] = {}

    @asynccontextmanager
    async def one(self, target: Target, origin: httpcore.Origin) -> AsyncIterator[httpcore.AsyncHTTPConnection]:
        connection = await self._taken(target) or self._make(origin)
        try:
            yield connection
        finally:
            if connection.is_idle() and not connection.is_closed():
                self._idle.setdefault(target, []).append(connection)
            else:
                await asyncio.shield(connection.aclose())

    async def _taken(self, target: Target) -> httpcore.AsyncHTTPConnection | None:
        idle = self._idle.get(target, [])
        while idle:
            kept = idle.pop()
            if not kept.has_expired():
                return kept
            await kept.aclose()
        return None

    async def close(self, *, every: bool) -> None:
        """Those that have waited too long, or `every` one."""
        for target, idle in list(self._idle.items()):
            over = [each for each in idle if every or each.has_expired()]
            # In place: somebody may be taking from it.
            idle[:] = [each for each in idle if each not in over]
            if not idle:
                del self._idle[target]
            for each in over:
                await each.aclose()

    async def tend(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            await self.close(every=False)


class WebhookClient:
    """Carries a body to a target and says how that ended."""

    def __init__(self, kept: _IdleConnections, seconds: float) -> None:
        self._kept = kept
        self._seconds = seconds

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> Attempt:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(target, headers, body)
        except Exception as error:
            failure = _failure(error)
            if failure is None:
                raise
            return Attempt(failure)

    async def _post(self, target: Target, headers: dict[str, str], body: bytes) -> Attempt:
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        sent = {"Host": target.authority, "Content-Length": str(len(body)), **headers}
        async with (
            self._kept.one(target, url.origin) as connection,
            connection.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            answer = bytearray()
            async with aclosing(response.aiter_stream()) as parts:  # type: ignore[type-var]
                async for part in parts:
                    answer += part
                    if len(answer) >= _MOST_READ:
                        break
        asked = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
        return Attempt(
            of_status(response.status),
            response.status,
            answer[:_KEPT].decode(errors="replace").replace("\0", "\ufffd"),
            asked.decode("latin-1") if asked else None,
        )


@asynccontextmanager
async def courier(
    *,
    private: bool,
    resolve: Resolve | None = None,
    inner: httpcore.AsyncNetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
    seconds: float = SECONDS_IN_ALL,
) -> AsyncIterator[WebhookClient]:
    """`resolve`, `inner` and `tls` are for who wants to see what goes out."""
    with ThreadPoolExecutor(_RESOLVING_AT_ONCE, "resolving") as threads:

        async def look_up(host: str, port: int) -> list[str]:
            return await asyncio.get_running_loop().run_in_executor(threads, _look_up, host, port)

        way = PublicAddressBackend(private=private, resolve=resolve or look_up, inner=inner)
        trusted = tls or httpcore.default_ssl_context()

        def connection(origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
            return httpcore.AsyncHTTPConnection(
                origin, ssl_context=trusted, keepalive_expiry=_IDLE_SECONDS, network_backend=way
            )

        kept = _IdleConnections(connection)
        tending = asyncio.create_task(kept.tend())
        try:
            yield WebhookClient(kept, seconds)
        finally:
            tending.cancel()
            await kept.close(every=True)
            threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NameUnknown from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_FAILURES: dict[Failure, tuple[type[Exception], ...]] = {
    Failure.not_public: (NotPublic,),
    Failure.name: (NameUnknown,),
    Failure.tls: (HandshakeFailed,),
    # A TimeoutError is an OSError, so the order matters.
    Failure.timeout: (TimeoutError, httpcore.TimeoutException),
    Failure.protocol: (httpcore.ProtocolError,),
    Failure.connect: (httpcore.NetworkError, OSError),
}


def _failure(error: Exception) -> Failure | None:
    """What an exception is called; None where it is a bug of ours. Its text is kept nowhere: it may name what only we
    can see."""
    return next((failure for failure, kinds in _FAILURES.items() if isinstance(error, kinds)), None)
