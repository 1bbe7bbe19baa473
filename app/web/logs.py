"""Logs on stderr, the request id in each line: JSON objects, or words and colours for people at a terminal."""

import logging
import sys
from contextvars import ContextVar
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered; each log line carries it."""


Format = Literal["console", "json"]


def configure(level: str = "info", format: Format | None = None) -> None:
    """Without a format: for people where stderr is a terminal, else JSON."""
    if (format or ("console" if sys.stderr.isatty() else "json")) == "console":
        colors = sys.stderr.isatty()
        renderer: Processor = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)
        text = renderer
        made: Any = structlog.PrintLoggerFactory(file=sys.stderr)
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_dumps)
        text = structlog.processors.JSONRenderer(serializer=lambda event, **kw: _dumps(event, **kw).decode())
        made = structlog.BytesLoggerFactory(file=sys.stderr.buffer)
    shared: list[Processor] = [
        _with_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=made,
        cache_logger_on_first_use=True,
    )
    # What libraries say through `logging` leaves in the same shape.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[level.upper()], logging.WARNING))


def _with_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if request_id := REQUEST_ID.get():
        event["request_id"] = request_id
    return event


def _dumps(event: EventDict, **_: Any) -> bytes:
    return orjson.dumps(event, default=repr)
