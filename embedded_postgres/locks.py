"""Who holds a directory and whether a server answers: asked of the kernel and of the server, never of a file alone."""

import contextlib
import fcntl
import os
import signal
import socket
import struct
import time
from pathlib import Path

from embedded_postgres.errors import EmbeddedError
from embedded_postgres.location import Place

POLL_SECONDS = 0.01
PREDECESSOR_SECONDS = 10.0


def lock(path: Path) -> int | None:
    """A descriptor that holds the lock until it and every inherited copy are closed; None while another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def server_lock(place: Place, seconds: float) -> int | None:
    """The lock every postgres process on this directory holds, once the last of them is gone."""
    deadline = time.monotonic() + seconds
    while (descriptor := lock(place.home / "server.lock")) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return descriptor


def await_predecessor(place: Place) -> int:
    """Outwait the server of an owner that was killed, then the server lock. Insists after a while."""
    descriptor = server_lock(place, PREDECESSOR_SECONDS)
    if descriptor is None:
        with contextlib.suppress(ProcessLookupError):
            if pid := _recorded_pid(place.cluster):
                os.kill(pid, signal.SIGQUIT)
        descriptor = server_lock(place, PREDECESSOR_SECONDS)
    if descriptor is None:
        raise EmbeddedError(f"PostgreSQL still runs in {place.cluster}, and nobody owns it. Stop it, then start again.")
    return descriptor


def forget_stale_pid(place: Place) -> None:
    """Remove a pid file that a killed server left: PostgreSQL would trust it if another process has that pid now."""
    pid_file = place.cluster / "postmaster.pid"
    if pid_file.exists() and not pid_file.read_bytes():
        time.sleep(1)  # PostgreSQL makes it and then fills it: somebody may be starting one by hand at this instant
    if pid := _recorded_pid(place.cluster):
        raise EmbeddedError(f"A PostgreSQL that we did not start (pid {pid}) runs in {place.cluster}. Stop it first.")
    pid_file.unlink(missing_ok=True)


def _recorded_pid(cluster: Path) -> int | None:
    """The pid in the pid file, if that process really works in this directory."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        return pid if _works_in(pid, cluster) else None
    except (FileNotFoundError, ProcessLookupError):  # no file, or no such process
        return None
    except (ValueError, IndexError):  # cut short by a crash
        return None


def _works_in(pid: int, cluster: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", cluster)
    except PermissionError:  # root without CAP_SYS_PTRACE, the rule in containers, may still read the arguments
        return os.fsencode(cluster) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def answers(path: Path) -> bool:
    """Whether a server accepts connections: it asks for the password instead of refusing or saying that it starts."""
    words = b"user\0ninety\0database\0ninety\0\0"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
            connection.sendall(struct.pack("!ii", 8 + len(words), 3 << 16) + words)  # startup message, protocol 3.0
            return connection.recv(1024).startswith(
                b"R"
            )  # all of it: closing over unread bytes would be a reset, logged
        except OSError:
            return False
