"""How long a caller waits, asked from a process of its own: what the load's loop is busy with delays no question."""

import http.client
import time
from urllib.parse import urlsplit


def waits(base: str, path: str, key: str | None, seconds: float, pause: float) -> tuple[list[float], int]:
    """Seconds of each answer, one after the other over one connection, and how many were none of success."""
    at = urlsplit(base)
    assert at.hostname
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    took, refused, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - began)
        refused += answer.status != 200
        time.sleep(pause)
    connection.close()
    return took, refused
