"""How the log looks: JSON lines for machines, coloured text on a terminal, and nothing secret in either.

Rooms log with `structlog.get_logger()`, as an event and key-value pairs; what becomes of a line is decided
here alone. Phone numbers can be masked everywhere at once, because they turn up in places that nobody
thought of: in a contact, a variable, or the text of an error.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from callctl.clock import iso_utc
from callctl.config import LogSettings
from callctl.config.settings import LogFormat, LogLevel, LogNumbers
from callctl.log_writer import LogWriter
from callctl.records.printable import printable, printable_lines

HIDDEN = "********"
_SECRET_KEYS = frozenset({"password", "secret", "token", "authorization", "jwt"})
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
"""A JSON Web Token, wherever it stands: its first part always begins so."""

_NUMBER = re.compile(r"(?<![\w.-])\+?\d{5,}(?![\w.-])")
"""A phone number in a text: five digits or more, and no part of an identifier, a time or an address."""

_NUMBER_KEYS = frozenset({"number", "caller_number", "lead_number", "destination_number"})
_KEYS_OF_SEVERAL_LINES = frozenset({"exception", "stack"})
_DIGITS_SHOWN = 3


_writer: LogWriter | None = None
"""Writes the lines of this process, where it has one."""


def configure_logging(settings: LogSettings, stream: TextIO | LogWriter | None = None) -> None:
    """Have all log lines written to `stream` (by default stderr) as `settings` say.

    A stream is written to at once, and whoever logs waits for it; a LogWriter lets nobody wait.
    """
    stream = stream or sys.stderr
    is_text = settings.format is LogFormat.TEXT or (settings.format is LogFormat.AUTO and stream.isatty())
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_time,
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    if settings.numbers is LogNumbers.MASKED:
        processors.append(mask_numbers)
    if is_text:
        processors += [make_printable, _text_renderer(stream)]
    else:
        # It spells out whatever is not ASCII, so that no terminal can be steered by it.
        processors.append(structlog.processors.JSONRenderer(default=str))
    sink = stream if isinstance(stream, LogWriter) else _Unfailing(stream)
    sink.render_loss = partial(_loss_line, processors)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.name)),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, sink)),
        # Rooms get their loggers when they are imported, before anybody knows the settings.
        cache_logger_on_first_use=False,
    )


@contextmanager
def background_logging(settings: LogSettings) -> Iterator[None]:
    """Have the lines of the block written to stderr by a thread: for whatever must not wait for its log.

    `lost_lines` says how many were dropped.
    """
    global _writer
    before = structlog.get_config()
    with LogWriter(sys.stderr.fileno(), encoding=sys.stderr.encoding) as _writer:
        configure_logging(settings, _writer)
        try:
            # Libraries, and Python itself with its warnings, say what they have to say there.
            with redirect_stderr(cast(TextIO, _writer)):
                yield
        finally:
            structlog.configure(**before)


def lost_lines() -> int:
    """Return how many log lines were dropped since this process began to log in the background."""
    return 0 if _writer is None else _writer.lost_lines


class _Unfailing:
    """A stream for log lines that costs nobody a call: what cannot be written is counted, and told later."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0
        self.render_loss: Callable[[int], str] = str
        """Returns the line that says how many lines were lost."""

    def write(self, text: str) -> None:
        """Write a line, and before it how many could not be written."""
        try:
            if self._lost:
                self._stream.write(self.render_loss(self._lost))
                self._lost = 0
            self._stream.write(text)
        except OSError:
            self._lost += 1

    def flush(self) -> None:
        """Have what was written leave the process, if the stream takes it."""
        try:
            self._stream.flush()
        except OSError:
            self._lost += 1


def _loss_line(processors: Sequence[Processor], lines: int) -> str:
    """Return the line that says how many lines were lost, in the form of all others."""
    event: EventDict = {"event": "log lines were lost: they could not be written in time", "lines": lines}
    said: object = event
    for processor in processors:
        said = processor(None, "warning", cast(EventDict, said))
    return f"{said}\n"


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing but errors in the block, where a live table has the screen."""
    before = structlog.get_config()
    configure_logging(LogSettings(level=LogLevel.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say when it was, as the history writes times."""
    event["at"] = iso_utc(time.time())
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide passwords and tokens: by the name of their key, and tokens wherever they stand."""
    for key, value in event.items():
        if key in _SECRET_KEYS:
            event[key] = HIDDEN
        elif isinstance(value, str) and "eyJ" in value:
            event[key] = _TOKEN.sub(HIDDEN, value)
    return event


def make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what would steer a terminal or forge a line; a traceback keeps its lines.

    Lists and mappings are shown by `repr`, which spells such characters out.
    """
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable_lines(value) if key in _KEYS_OF_SEVERAL_LINES else printable(value)
    return event


def mask_numbers(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide all but the last three digits of every phone number."""
    return cast(MutableMapping[str, object], {key: _masked(key, value) for key, value in event.items()})


def _masked(key: str, value: object) -> object:
    if key in _NUMBER_KEYS:
        return mask(str(value))
    if isinstance(value, str):
        return _NUMBER.sub(lambda found: mask(found[0]), value)
    if isinstance(value, Mapping):
        return {str(inner): _masked(str(inner), each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, each) for each in value]
    return value


def mask(number: str) -> str:
    """Return `number` with a star for every character but the last three: `*******456`."""
    return "*" * (len(number) - _DIGITS_SHOWN) + number[-_DIGITS_SHOWN:]


def _text_renderer(stream: TextIO | LogWriter) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    )
