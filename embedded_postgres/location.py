"""Where the files are and whom the server runs as. Touches directories; starts nothing but a try at entering."""

import contextlib
import hashlib
import os
import pwd
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from embedded_postgres.children import User, can_enter
from embedded_postgres.errors import EmbeddedError

SOCKET_NAME = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 107
"""Bytes: the kernel's sun_path without its final NUL."""
RELOCATED = Path("/var/lib/ninety")


@dataclass(frozen=True)
class Place:
    """The names below `home`, which the server's user may enter but need not own."""

    home: Path
    user: User | None

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @cached_property
    def socket_dir(self) -> Path:
        inside = self.home / "socket"
        # PostgreSQL reads this setting as a list, so only plain characters; and a longer path cannot be bound at all.
        if re.fullmatch(r"[\w./-]+", str(inside)) and len(os.fsencode(inside / SOCKET_NAME)) <= MAX_SOCKET_PATH:
            return inside
        return Path(tempfile.gettempdir()) / f"ninety-{os.geteuid()}-{_digest(self.home)}"

    @property
    def socket(self) -> Path:
        return self.socket_dir / SOCKET_NAME

    def dsn(self) -> str:
        # The port is named because asyncpg would otherwise take PGPORT from the environment.
        host = quote(str(self.socket_dir))
        return f"postgresql://ninety:{self.password.read_text()}@/ninety?host={host}&port=5432"


def choose_location(data_dir: Path) -> Place:
    """Decide, and leave `data_dir/moved` where a closed parent keeps the server's user out of `data_dir` itself."""
    if sys.platform != "linux":
        raise EmbeddedError("The embedded PostgreSQL runs on Linux only. Set DATABASE_URL to a server of your own.")
    as_root = os.geteuid() == 0
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o711 if as_root else 0o700, parents=True, exist_ok=True)
    moved = data_dir / "moved"
    home = moved.resolve() if moved.is_symlink() else data_dir
    user = _server_user(home / "cluster") if as_root else None
    if user and home == data_dir and not (home / "cluster").exists() and not can_enter(data_dir, user):
        home = RELOCATED / _digest(data_dir)
        RELOCATED.mkdir(mode=0o711, exist_ok=True)
        home.mkdir(mode=0o711, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # a second process may be at this very line
            moved.symlink_to(home)
    return Place(home, user)


def _server_user(cluster: Path) -> User:
    """PostgreSQL refuses to run as root: the owner of the cluster there is, else `postgres`, else `nobody`."""
    if cluster.exists() and (made := cluster.stat()).st_uid != 0:
        return User(made.st_uid, made.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as.")


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def give(path: Path, user: User | None) -> None:
    if user:
        os.chown(path, *user, follow_symlinks=False)


def make_socket_dir(place: Place) -> None:
    path = place.socket_dir
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    ours = {os.geteuid(), place.user.uid if place.user else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise EmbeddedError(f"{path} was made by somebody else. Remove it, or set TMPDIR to a directory of your own.")
    give(path, place.user)
    _remove_sockets(path)


def remove_socket_dir(place: Place) -> None:
    with contextlib.suppress(OSError):  # never made, or not ours: then it is not ours to remove either
        _remove_sockets(place.socket_dir)
        place.socket_dir.rmdir()


def _remove_sockets(socket_dir: Path) -> None:
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):  # a killed server leaves both
        (socket_dir / name).unlink(missing_ok=True)
