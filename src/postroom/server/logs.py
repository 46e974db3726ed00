"""Structured logs: one event per line, as JSON or for people. Rooms never log passwords, bodies or headers of letters."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog


def configure(*, format: str = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Send the events of all rooms, and what libraries log, to `stream` (standard error by default)."""
    output = stream or sys.stderr
    least = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer()
    errors: list[Any] = [structlog.processors.format_exc_info]
    if format == "console":
        # plain traces: the pretty ones show the values of variables, passwords among them, and take a tenth of a second
        traces = structlog.dev.plain_traceback
        renderer, errors = structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=traces), []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *errors,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(_Forgiving(output)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge(max(least, logging.WARNING))], level=max(least, logging.WARNING), force=True)


class _Forgiving:
    """A stream whose failures are nobody's: a full disk or a reader that has gone costs the line, never the mail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that can be done."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Bridge(logging.Handler):
    """What libraries log through the standard module becomes an event like any other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as one event."""
        event = structlog.get_logger("library").bind(library=record.name)
        event.log(record.levelno, "library_message", text=record.getMessage(), exc_info=record.exc_info or None)
