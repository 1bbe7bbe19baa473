"""Serving: one process in this one, or several under uvicorn's supervisor."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn

from app.auth.tokens import key_in
from app.http_server.ending import EndingServer, EndingSupervisor
from app.http_server.protocol import BoundedProtocol
from app.main import serving
from app.settings import Settings, cannot_listen
from app.web import metrics
from app.web.metrics import MULTIPROC_DIR
from embedded_postgres.children import end_with

_OTHER_FILES = 1024
_HEALTHCHECK_SECONDS = 30
# So often a worker that died is looked for and started again.
_RESTART_SECONDS = 1.0


class _Server(EndingServer):
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


class _Supervisor(EndingSupervisor):
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
    for provider in settings.token_settings:
        key_in(provider)
    _allow_files(settings.connections)
    with (
        _listen(settings) as listening,
        tempfile.TemporaryDirectory(prefix="ninety-metrics-", ignore_cleanup_errors=True) as figures,
    ):
        url = f"http://{settings.host}:{listening.getsockname()[1]}"
        worker = _Worker(settings, figures)
        with worker.running():

            def tend_all() -> None:
                tend()
                worker.tend()

            if settings.workers > 1:
                return _serve_many(worker.settings, listening, figures, lambda: ready(url), tend_all)
            app = serving(worker.settings, figures)
            server = _Server(_config(settings, app), lambda: ready(url), tend_all)
            with metrics.served(metrics.Figures(figures), settings.host, settings.metrics_port):
                server.run(sockets=[listening])
            return server.started


def _serve_many(
    settings: Settings,
    listening: socket.socket,
    figures: str,
    ready: Callable[[], None],
    tend: Callable[[], None],
) -> bool:
    # The processes read their settings from the environment, as any process of this service does.
    os.environ["DATABASE_URL"] = settings.database_url or ""
    os.environ["NINETY_WORKER"] = str(settings.worker)
    os.environ[MULTIPROC_DIR] = figures
    config = _config(settings, "app.main:from_environment")
    supervisor = _Supervisor(config, [listening], ready, tend)
    with metrics.served(metrics.Figures(), settings.host, settings.metrics_port):
        supervisor.run()
    return supervisor.started


class _Worker:
    """The worker in a process of its own, where the settings want one: started anew where it dies, ended with this."""

    def __init__(self, settings: Settings, figures: str) -> None:
        self._wanted = settings.worker and settings.worker_process
        # What the API processes go by: the loops are not theirs.
        self.settings = settings.model_copy(update={"worker": False}) if self._wanted else settings
        self._patience = settings.shutdown_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._environment = {
            **os.environ, "DATABASE_URL": settings.database_url or "", MULTIPROC_DIR: figures,
            "NINETY_LOG_LEVEL": settings.log_level,
        }  # fmt: skip
        self._environment.pop("NINETY_METRICS_PORT", None)

    @contextmanager
    def running(self) -> Iterator[None]:
        self.tend()
        try:
            yield
        finally:
            self._end()

    def tend(self) -> None:
        if not self._wanted or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _RESTART_SECONDS
        if self._process is None or self._process.poll() is not None:
            end = partial(end_with, os.getpid(), signal.SIGTERM)
            command = (sys.executable, "-m", "app", "worker")
            self._process = subprocess.Popen(command, env=self._environment, preexec_fn=end)  # noqa: S603 - our own

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


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
    except (OSError, UnicodeError) as refused:
        listening.close()
        raise cannot_listen("NINETY_PORT", settings.host, settings.port, refused) from None
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening
