"""Writes log lines in a thread of its own: a reader who is slow, or reads nothing, delays no call.

A pipe takes 64 KiB, and then every write waits until somebody reads. So the lines go through a bounded queue.
What does not fit is dropped and counted; the log says so as soon as it can be written again.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

MOST_WAITING_BYTES = 4 * 1024 * 1024
"""The bound on lines that wait to be written: 20,000 of the usual length, some seconds of a busy log."""

GATHER_SECONDS = 0.01
"""How long lines are gathered before they are written together: each wake-up of the thread takes the
interpreter from the calls for a moment."""

CLOSE_SECONDS = 2.0
"""How long the end waits for the last lines to be written."""


class LogWriter:
    """A stream for log lines, as structlog wants one, in front of a file descriptor."""

    def __init__(
        self, descriptor: int, *, encoding: str = "utf-8", most_bytes: int = MOST_WAITING_BYTES
    ) -> None:
        """`descriptor` stays open; nothing else should write to it meanwhile."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._most_bytes = most_bytes
        self.render_loss: Callable[[int], str] = _plain_loss
        """Returns the line that says how many lines were lost, in the form of the log."""
        self._change = threading.Condition()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._lost = self._lost_unsaid = 0
        self._is_closing = False
        # A thread that is stuck in a write must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="callctl log", daemon=True)
        self._thread.start()

    @property
    def lost_lines(self) -> int:
        """How many lines were dropped because too many waited, or could not be written."""
        return self._lost

    def isatty(self) -> bool:
        """Say whether a person reads on a terminal."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> None:
        """Take a line to write it soon. Never waits and never raises."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._change:
            if self._is_closing or self._waiting_bytes + len(data) > self._most_bytes:
                self._lose(1)
                return
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._change.notify()

    def flush(self) -> None:
        """Do nothing: what was taken is written as soon as it can be."""

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for at most so many seconds, and take nothing more."""
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join(seconds)

    def __enter__(self) -> Self:
        """Give the writer to the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # --- the thread ---

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._lost_unsaid:
                    if self._is_closing:
                        return
                    self._change.wait()
                is_closing = self._is_closing
            if not is_closing:
                time.sleep(GATHER_SECONDS)
            with self._change:
                lines, self._waiting, self._waiting_bytes = self._waiting, [], 0
                lost, self._lost_unsaid = self._lost_unsaid, 0
            # What was lost came after what waited.
            said = [*lines, self._loss(lost)] if lost else lines
            if not self._write_all(b"".join(said)):
                with self._change:
                    self._lose(len(lines))
                    self._lost_unsaid += lost
                    if self._is_closing:
                        return
                    # Said with the next line: a descriptor that takes nothing is not tried again and again.
                    while not self._waiting and not self._is_closing:
                        self._change.wait()

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self._lost_unsaid += lines

    def _loss(self, lines: int) -> bytes:
        return self.render_loss(lines).encode(self._encoding, "backslashreplace")

    def _write_all(self, data: bytes) -> bool:
        """Write everything, however long that takes; say whether it could be written."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another program has made it non-blocking, which it shares with us
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True


def _plain_loss(lines: int) -> str:
    return f"callctl: {lines} log lines were lost\n"
