"""Serving: one process in this one, or several under uvicorn's supervisor."""

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable
from functools import partial

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.auth.tokens import key_in
from app.main import serving
from app.settings import Settings, SettingsError
from app.web.metrics import MULTIPROC_DIR
from app.web.protocol import BoundedProtocol

_OTHER_FILES = 1024
_HEALTHCHECK_SECONDS = 30


class _Server(uvicorn.Server):
    """Tells when it is ready, and looks after what must not die beside it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], tend: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._tend = tend

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        self._tend()
        return await super().on_tick(counter)


class _Supervisor(Multiprocess):
    """The same, over several processes."""

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        ready: Callable[[], None],
        tend: Callable[[], None],
    ) -> None:
        super().__init__(config, sockets)
        self._ready = ready
        self._tend = tend
        self.started = False

    def keep_subprocess_alive(self) -> None:
        self._tend()
        super().keep_subprocess_alive()
        if not self.started and all(process.is_ready() for process in self.processes):
            self.started = True
            self._ready()


def serve(settings: Settings, ready: Callable[[str], None], tend: Callable[[], None]) -> bool:
    """Until SIGINT or SIGTERM; `ready` gets the URL, `tend` is called several times a second on this thread. Whether
    it ever started. Raises SettingsError."""
    key_in(settings)
    _allow_files(settings.connections)
    listening = _listen(settings)
    url = f"http://{settings.host}:{listening.getsockname()[1]}"
    if settings.workers > 1:
        return _serve_many(settings, listening, lambda: ready(url), tend)
    server = _Server(_config(settings, serving(settings)), lambda: ready(url), tend)
    server.run(sockets=[listening])
    return server.started


def _serve_many(
    settings: Settings, listening: socket.socket, ready: Callable[[], None], tend: Callable[[], None]
) -> bool:
    # The processes read their settings from the environment, as any process of this service does.
    os.environ["DATABASE_URL"] = settings.database_url or ""
    os.environ["NINETY_WORKER"] = str(settings.worker)
    figures = os.environ[MULTIPROC_DIR] = tempfile.mkdtemp(prefix="ninety-metrics-")
    config = _config(settings, "app.main:from_environment")
    supervisor = _Supervisor(config, [listening], ready, tend)
    try:
        supervisor.run()
    finally:
        shutil.rmtree(figures, ignore_errors=True)
    return supervisor.started


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        workers=settings.workers,
        loop="uvloop",
        http=partial(BoundedProtocol, settings=settings),  # type: ignore[arg-type]
        timeout_keep_alive=settings.keep_alive_seconds,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing goes by who is at the other end of the connection, so nobody is believed what they say of it.
        proxy_headers=False,
        # An open stream would hold up a shutdown for ever.
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # On a busy machine a process takes longer than the usual five seconds until it can say that it lives.
        timeout_worker_healthcheck=_HEALTHCHECK_SECONDS,
    )


def _allow_files(connections: int) -> None:
    """Each connection is an open file, and the usual limit is a thousand. As many as the machine lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as refused:
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port}: {refused.strerror}") from None
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening
