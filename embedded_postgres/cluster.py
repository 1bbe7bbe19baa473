"""The database cluster on disk: made whole or not at all, its password, its version, its log."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from embedded_postgres.children import run
from embedded_postgres.errors import EmbeddedError
from embedded_postgres.location import Place, give

MAX_LOG_BYTES = 8_000_000
_FAULT = re.compile(r"(?:FATAL|PANIC|ERROR|error): *(.+)")
PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


def initialise(place: Place, binaries: Path, major: int, log: IO[bytes], *, durable: bool) -> None:
    """Make the cluster beside its place and rename it there, so that what is there was never half done."""
    for stale in place.home.glob("cluster.new-*"):
        shutil.rmtree(stale, ignore_errors=True)
    _ensure_password(place)
    new = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=place.home))
    try:
        give(new, place.user)
        _fill(place, _commands(new, place, binaries, major, durable=durable), log)
        os.rename(new, place.cluster)
        _sync_directory(place.home)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _commands(
    new: Path, place: Place, binaries: Path, major: int, *, durable: bool
) -> Iterator[tuple[list[str], bytes]]:
    """What makes a cluster, and what each command reads."""
    # The builtin provider sorts alike on every machine: a changed libc cannot corrupt an index.
    provider = ["--locale-provider=builtin"] if major >= 17 else []
    options = [*provider, "--locale=C.UTF-8", "--encoding=UTF8", "--auth=scram-sha-256", "--username=ninety"]
    where = [f"--pgdata={new}", f"--pwfile={place.password}"]
    yield [str(binaries / "initdb"), *where, *options, *([] if durable else ["--no-sync"])], b""
    settings = ["-c", "exit_on_error=on", "-c", f"fsync={'on' if durable else 'off'}"]
    yield [str(binaries / "postgres"), "--single", "-D", str(new), *settings, "postgres"], b"CREATE DATABASE ninety\n"


def _fill(place: Place, commands: Iterable[tuple[list[str], bytes]], log: IO[bytes]) -> None:
    for arguments, said in commands:
        start = log.tell()
        if run(arguments, place.user, log, said) != 0:
            raise EmbeddedError(f"A new database could not be made in {place.home}: {fault(place, start)}")


def _ensure_password(place: Place) -> None:
    if place.password.exists():
        return
    unfinished = place.home / "password.new"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, PRIVATE | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24))
        file.flush()
        os.fsync(file.fileno())
    give(unfinished, place.user)  # initdb, which runs as that user, reads it
    os.rename(unfinished, place.password)


def check(place: Place, major: int) -> None:
    """Raises EmbeddedError for a cluster that these programs cannot serve or that nobody could log in to."""
    try:
        made_by = (place.cluster / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        raise EmbeddedError(
            f"{place.cluster} is no database of PostgreSQL. Move it away, or set NINETY_DATA_DIR to another directory."
        ) from None
    if made_by != str(major):
        raise EmbeddedError(
            f"{place.cluster} was made by PostgreSQL {made_by}, and the programs here are PostgreSQL {major}. Dump it "
            f"with {made_by} and load it into a new NINETY_DATA_DIR, or set DATABASE_URL to a server of {made_by}."
        )
    if not place.password.exists():
        raise EmbeddedError(f"{place.password} is gone, and with it the way into {place.cluster}. Restore that file.")


@contextlib.contextmanager
def open_log(place: Place) -> Iterator[IO[bytes]]:
    """For appending. A long log is put aside first, and the one before it dropped."""
    if place.log.exists() and place.log.stat().st_size > MAX_LOG_BYTES:
        os.replace(place.log, place.log.with_name("postgres.log.1"))
    with os.fdopen(os.open(place.log, PRIVATE | os.O_APPEND, 0o600), "ab") as log:
        yield log


def fault(place: Place, start: int) -> str:
    """What went wrong by the log since `start`, in one line, and where the rest is."""
    lines = place.log.read_bytes()[start:].decode(errors="replace").splitlines()
    wrong = [found[1] for line in lines if (found := _FAULT.search(line))]
    return f"{'; '.join(wrong[-3:] or lines[-1:])} (see {place.log})"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
