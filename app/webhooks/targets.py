"""Where a webhook may go. Pure: what a URL is made of, and which addresses are public. What a name leads to is asked
only when a connection is made (`guard.py`), and asked of the same `is_public`."""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Parsers disagree about everything else, and what they disagree about is how one gets past a check. So there is one
# reading of a URL here, of the plainest kind, and the connection is made from its parts.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<target>(?:[/?][A-Za-z0-9\-._~:/?@!$&'()*+,;=%]*)?)",
    re.ASCII,
)
_HEAD = re.compile(r"[^/?#]*//[^/?#]*")
_SCHEMES = {"https": 443, "http": 80}
# Other well-known ports are services that were never meant to be spoken to in HTTP.
_LOWEST_FREE_PORT = 1024
_NOT_PUBLIC_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion", "test", "invalid")

_V4_DENIED = [
    IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        # A cloud's way into its own machinery, in the middle of what is public.
        "168.63.129.16/32",
    )
]  # fmt: skip
# Of IPv6 one part alone is public, less what is set aside in it: protocol assignments (Teredo, benchmarks, ORCHID), the
# documentation, 6to4, AS112. NAT64, mapped and compatible, unique-local, link-local and multicast ones are outside.
_V6_PUBLIC = IPv6Network("2000::/3")
_V6_DENIED = [IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")]

NOT_A_TARGET = "https://host[:port]/path?query, in ASCII, without user, password or fragment"


class BadTarget(ValueError):
    """The URL cannot be a webhook's. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts. `host` is a name or an address without brackets; `path` is what is asked of the server."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _SCHEMES[self.scheme] else f"{host}:{self.port}"


def parse(url: str, *, private: bool) -> Target:
    """`private` allows http, every port and every address: for development and tests. Raises BadTarget."""
    # The host is blind to case; what comes after it is not.
    head = _HEAD.match(url)
    found = _URL.fullmatch(head[0].lower() + url[head.end() :] if head else url)
    if found is None:
        raise BadTarget(NOT_A_TARGET)
    scheme, host = found["scheme"], found["host"].strip("[]")
    port = int(found["port"] or _SCHEMES[scheme])
    if port > 65535:
        raise BadTarget("a port is at most 65535")
    if not private:
        _check_public(scheme, host, port)
    path = found["target"]
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def is_public(address: str) -> bool:
    """Whether this address (as `getaddrinfo` writes it) is one that anybody may be reached at."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in net for net in _V4_DENIED)
    return ip.scope_id is None and ip in _V6_PUBLIC and not any(ip in net for net in _V6_DENIED)


def _check_public(scheme: str, host: str, port: int) -> None:
    if scheme != "https":
        raise BadTarget("a webhook goes to https")
    if port != _SCHEMES["https"] and port < _LOWEST_FREE_PORT:
        raise BadTarget(f"port {_SCHEMES['https']}, or one from {_LOWEST_FREE_PORT}")
    address = _as_address(host)
    if address is not None:
        if not is_public(str(address)):
            raise BadTarget("not a public address")
        return
    labels = host.split(".")
    if len(labels) < 2 or not all(labels) or host.endswith(tuple(f".{name}" for name in _NOT_PUBLIC_NAMES)):
        raise BadTarget("not a public name")


def _as_address(host: str) -> IPv4Address | IPv6Address | None:
    """What the host is where it is an address, also in the odd ways in which systems read one: 127.1, 0x7f000001."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
