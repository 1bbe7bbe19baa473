"""The one server of a data directory, as a context manager: who starts it, when it is ready, how it ends."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from embedded_postgres import children, cluster, locks, programs
from embedded_postgres.errors import EmbeddedError
from embedded_postgres.location import Place, choose_location, make_socket_dir, remove_socket_dir

ATTACH_SECONDS = 15.0
START_SECONDS = 120.0
"""Long, because a server that replays its log after a crash is busy, not broken."""
ORPHAN_SECONDS = 5.0

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",  # every five minutes for ever, into a file that is put aside only at a start
    "log_error_verbosity": "terse",  # the DETAIL of an error quotes rows, and outlives who is erased from them
    "jit": "off",  # it compiles for longer than our statements run
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir` for as long as the `with` block lasts; its value is a DSN for asyncpg.

    A second process on the same directory attaches to the first one's server, and loses it when the first one leaves.
    Enter it on the main thread: the kernel stops the server when the *thread* that started it ends. It blocks, about a
    second to make a new cluster and a fraction of that later. SIGTERM must raise for `__exit__` to run; where it does
    not, the kernel stops the server all the same. `durable=False` risks the data and is for tests.
    Raises EmbeddedError.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, settings: Mapping[str, str] = {}) -> None:
        self.owner = False
        self._data_dir = data_dir
        self._durable = durable
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **settings}
        self._place: Place | None = None
        self._owner_lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's; None when it is another process's."""
        return self._process.pid if self._process else None

    def __enter__(self) -> str:
        try:
            self._place = place = choose_location(self._data_dir)
            self.owner = self._own_or_attach(place)
            if self.owner:
                self._start(place)
            return place.dsn()
        except BaseException as error:  # KeyboardInterrupt and what a SIGTERM handler raises, too
            self._release()
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise EmbeddedError(
                    f"The embedded PostgreSQL cannot use {self._data_dir}: {error}. Set NINETY_DATA_DIR to a directory "
                    "that this user may write, or DATABASE_URL to a server of your own."
                ) from error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def revive(self) -> None:
        """Start the server again where it died under us; cheap to call often, on the thread that entered. Where it is
        another process's, that is the other's to do. Raises EmbeddedError."""
        if self._place and self._process and self._process.poll() is not None:
            self._start(self._place)

    def _own_or_attach(self, place: Place) -> bool:
        deadline = time.monotonic() + ATTACH_SECONDS
        while time.monotonic() < deadline:
            # Tried every time: the owner may leave while we wait for its server.
            self._owner_lock = locks.lock(place.home / "owner.lock")
            if self._owner_lock is not None:
                return True
            if locks.answers(place.socket):
                return False
            time.sleep(locks.POLL_SECONDS)
        raise EmbeddedError(
            f"Another process owns the database in {place.home}, but its server does not answer at {place.socket}. "
            f"See {place.log}; stop that process, or start both with the same TMPDIR."
        )

    def _start(self, place: Place) -> None:
        server_lock = locks.await_predecessor(place)
        try:
            binaries = programs.runnable_by(place.user, programs.find_binaries(), place.home)
            self._launch(place, binaries, server_lock)
        finally:
            os.close(server_lock)  # from here on only postgres processes hold it

    def _launch(self, place: Place, binaries: Path, server_lock: int) -> None:
        major = programs.major_version(binaries, place.user)
        with cluster.open_log(place) as log:
            if not place.cluster.exists():
                cluster.initialise(place, binaries, major, log, durable=self._durable)
            cluster.check(place, major)
            locks.forget_stale_pid(place)
            make_socket_dir(place)
            settings = {**self._settings, "unix_socket_directories": f'"{place.socket_dir}"'}
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            arguments = [str(binaries / "postgres"), "-D", str(place.cluster), *options]
            log_start = log.tell()
            with children.signals_held():
                self._process = children.start(arguments, place.user, log, server_lock)
        _await_ready(place, self._process, log_start)

    def _release(self) -> None:
        place, owner_lock = self._place, self._owner_lock
        try:
            if place and self._process:
                children.stop(self._process)
                _await_orphans(place)
            if place and owner_lock is not None:
                remove_socket_dir(place)
        finally:
            if owner_lock is not None:
                os.close(owner_lock)  # last: whoever gets it may start at once
            self._place = self._owner_lock = self._process = None
            self.owner = False


def _await_ready(place: Place, process: subprocess.Popen[bytes], log_start: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not locks.answers(place.socket):
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL did not start in {place.cluster}: {cluster.fault(place, log_start)}")
        time.sleep(locks.POLL_SECONDS)


def _await_orphans(place: Place) -> None:
    """After a killed postmaster its backends live on for a moment."""
    descriptor = locks.server_lock(place, ORPHAN_SECONDS)
    if descriptor is not None:
        os.close(descriptor)
