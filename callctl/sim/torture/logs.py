"""callctl's own log of an hour: every line stands in the timeline, and an unexpected exception is a fault."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from callctl.clock import SteadyClock
from callctl.sim.torture.timeline import Timeline

_ABOUT = ("call", "uuid", "agent", "leg")
"""The keys of a line that say whom it concerns."""


class Logs:
    """Takes the log as long as an hour lasts."""

    def __init__(self, timeline: Timeline, clock: SteadyClock, folder: Path) -> None:
        """`folder` is left out of what is written, as it is another one in each run."""
        self.faults: list[str] = []
        """What callctl had to say with a traceback: errors that nobody expected."""
        self._timeline = timeline
        self._clock = clock
        self._folder = f"{folder}/"

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have everything that is logged in the block."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self._take],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _take(self, _logger: object, method: str, line: MutableMapping[str, Any]) -> str:
        event = str(line.pop("event"))
        if line.pop("exc_info", False):
            self.faults.append(f"{event}: {traceback.format_exc()}")
        about = tuple(str(line[key]) for key in _ABOUT if key in line)
        rest = " ".join(f"{key}={value}" for key, value in line.items())
        what = f"{method}: {event} {rest}".replace(self._folder, "")
        self._timeline.add(self._clock.now(), "log", what, *about)
        return event
