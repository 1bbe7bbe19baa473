"""Tracing: a span for each request, statement, delivery, and round of the worker that did something, sent by OTLP. A
span says names, times and outcomes, and no value that a statement, a path or a body has.

Without an endpoint nothing of OpenTelemetry is loaded, and a statement asks one context variable."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from app import __version__
from app.settings import Settings
from app.statements import Query

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_TRACEPARENT = "traceparent"
# What has not left by then at the end of a process is given up.
_FLUSH_SECONDS = 2.0
_WRITES = re.compile(r"\b(INSERT INTO|UPDATE \w+( AS \w+)? SET|DELETE FROM)\b")

Attributes = Mapping[str, str | int]


class Statement(NamedTuple):
    """One that has ended, by the clock of `time.time_ns`."""

    name: str
    began: int
    ended: int
    error: str | None


class Trace:
    """A span that is under way, and the parent of what happens within it. `worked`: whether a statement wrote."""

    __slots__ = ("_context", "_kept", "_span", "_tracing", "traceparent", "worked")

    def __init__(self, tracing: "Tracing", span: "Span", *, keeps: bool) -> None:
        self._tracing = tracing
        self._span = span
        self._context = tracing.within(span)
        # Statements of a round wait until it is known whether the round is told of.
        self._kept: list[Statement] | None = [] if keeps else None
        self.traceparent = tracing.traceparent(self._context)
        self.worked = False

    @property
    def id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    def statement(self, queries: Iterable[Query], seconds: float, failed: BaseException | None, *, found: bool) -> None:
        """One that has just ended. `found`: whether it hit a row."""
        if not self._span.is_recording():
            return
        queries = tuple(queries)
        self.worked = self.worked or (found and any(map(_writes, queries)))
        now = time.time_ns()
        ended = Statement(
            " + ".join(map(_name, queries)), now - int(seconds * 1e9), now, error_of(failed) if failed else None
        )
        if self._kept is None:
            self._tracing.tell(ended, self._context)
        else:
            self._kept.append(ended)

    def end(self, name: str | None = None, attributes: Attributes | None = None, error: str | None = None) -> None:
        """`name`: what it turned out to be."""
        for kept in self._kept or ():
            self._tracing.tell(kept, self._context)
        if name:
            self._span.update_name(name)
        self._span.set_attributes(attributes or {})
        self._tracing.end(self._span, error)


class Tracing:
    """One of a process."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        own = Resource.create({"service.name": "ninety", "service.version": __version__})
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
        self._tracer = self._provider.get_tracer("ninety", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._nowhere = Context()
        self._trace = trace

    def begin(self, name: str, *, parent: str | None = None, inbound: bool = False, keeps: bool = False) -> Trace:
        """`parent` is a traceparent. `keeps`: it is told of only where it is ended."""
        carrier = {_TRACEPARENT: parent} if parent else {}
        context = self._propagator.extract(carrier, self._nowhere)
        kind = self._trace.SpanKind
        given = kind.SERVER if inbound else kind.INTERNAL if keeps else kind.CLIENT
        return Trace(self, self._tracer.start_span(name, context, given), keeps=keeps)

    @contextmanager
    def round(self, loop: str) -> Iterator[None]:
        """Told of where it wrote something or failed: most look and find nothing."""
        trace = self.begin(f"worker {loop}", keeps=True)
        token = TRACE.set(trace)
        try:
            yield
        except Exception as failed:
            trace.end(error=error_of(failed))
            raise
        finally:
            TRACE.reset(token)
        if trace.worked:
            trace.end()

    def within(self, span: "Span") -> "Context":
        return self._trace.set_span_in_context(span, self._nowhere)

    def traceparent(self, context: "Context") -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        return carrier[_TRACEPARENT]

    def tell(self, statement: Statement, context: "Context") -> None:
        span = self._tracer.start_span(
            statement.name, context, self._trace.SpanKind.CLIENT, {"db.system.name": "postgresql"},
            start_time=statement.began,
        )  # fmt: skip
        self.end(span, statement.error, statement.ended)

    def end(self, span: "Span", error: str | None, at: int | None = None) -> None:
        if error:
            span.set_attribute("error.type", error)
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(at)

    def shut_down(self) -> None:
        self._provider.shutdown()


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""What is being done, where it is traced."""


def traceparent() -> str | None:
    """Of what is being done, for whoever goes on with it elsewhere."""
    trace = TRACE.get()
    return trace.traceparent if trace else None


def tracing_of(settings: Settings) -> Tracing | None:
    return Tracing(settings.otlp_endpoint) if settings.otlp_endpoint else None


@asynccontextmanager
async def flushed(tracing: Tracing | None) -> AsyncIterator[None]:
    """What is left at the end is sent, as far as that takes little time."""
    try:
        yield
    finally:
        if tracing:
            # A thread of its own, which holds up no exit: the exporter tries again where nobody listens.
            ending = threading.Thread(target=tracing.shut_down, daemon=True)
            ending.start()
            await asyncio.to_thread(ending.join, _FLUSH_SECONDS)


def error_of(failed: BaseException) -> str:
    """Its SQLSTATE, or else its class. Its text may have values in it."""
    return str(getattr(failed, "sqlstate", None) or type(failed).__qualname__)


@cache
def _name(query: Query) -> str:
    return query.name


@cache
def _writes(query: Query) -> bool:
    return _WRITES.search(query.sql) is not None
