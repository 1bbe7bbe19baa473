"""Child processes: who they run as, and that they end with us. Knows nothing of directories or PostgreSQL's files."""

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

PR_SET_PDEATHSIG = 1
STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 7.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, then immediate (it kills its own children after 5 s), then force; with the seconds each is given."""

_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec


class User(NamedTuple):
    """None in its place means: run as ourselves."""

    uid: int
    gid: int


def _options(user: User | None) -> dict[str, Any]:
    # "/": initdb asks for its working directory, and that user may not be allowed into ours. A bare environment:
    # PGDATA, PGPORT and the like are about another server. A session of its own: Ctrl-C is for us, we tell the server.
    options: dict[str, Any] = {"cwd": "/", "env": {"LC_ALL": "C", "TZ": "UTC"}, "start_new_session": True}
    if user:
        options |= {"user": user.uid, "group": user.gid, "extra_groups": []}
    return options


def end_with(parent: int, last_signal: int) -> None:
    """Have the kernel send `last_signal` when the parent's thread that made this process ends. Runs in the child,
    after the setuid: changing the user would clear it."""
    if _libc.prctl(PR_SET_PDEATHSIG, last_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)


def start(arguments: list[str], user: User | None, log: IO[bytes], keep_open: int) -> subprocess.Popen[bytes]:
    """Start a server that the kernel shuts down when the calling thread ends.

    With SIGINT, the fast shutdown, and not SIGQUIT, the immediate one: it leaves a clean directory and keeps the
    statistics that autovacuum lives on. It may take a checkpoint longer; the next start waits for it.
    """
    end_with_us = functools.partial(end_with, os.getpid(), signal.SIGINT)
    return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(keep_open,),
        preexec_fn=end_with_us,
        **_options(user),
    )


def run(arguments: list[str], user: User | None, log: IO[bytes], said: bytes = b"") -> int:
    """Run a program to its end and return its exit code; killed with us, since what it makes is thrown away then."""
    end_with_us = functools.partial(end_with, os.getpid(), signal.SIGKILL)
    done = subprocess.run(  # noqa: S603 - the caller decides by the code
        arguments, input=said, stdout=log, stderr=log, preexec_fn=end_with_us, **_options(user)
    )
    return done.returncode


def ask(arguments: list[str], user: User | None) -> bytes:
    """What a short program prints. Raises PermissionError where `user` cannot run it."""
    return subprocess.check_output(arguments, stderr=subprocess.STDOUT, **_options(user))  # type: ignore[no-any-return]  # noqa: S603


def can_enter(directory: Path, user: User) -> bool:
    """Tried by a child that is that user: permission bits alone know nothing of ACLs and mounts."""
    try:
        subprocess.run(["/bin/true"], check=True, preexec_fn=functools.partial(os.chdir, directory), **_options(user))
    except subprocess.SubprocessError:
        return False
    return True


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """No handler may raise between a fork and the assignment that remembers the child. PostgreSQL sets its own mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, then insist, and return when the process is gone."""
    for step, seconds in STOP_STEPS:
        process.send_signal(step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
