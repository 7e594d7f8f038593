"""The order in which calls take in what happens: one event after the other, each wholly before the next.

What a call does about an event may concern other calls, and itself: the distributor offers an agent, and
another caller's place changes. Such consequences wait here until the event that led to them is dealt with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Agenda:
    """What is to be done next. In a `with` block everything waits for the end of the block."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._depth = 0

    def add(self, action: Callable[[], None]) -> None:
        """Do `action` when everything before it is done; at once where nothing is. It must not raise."""
        self._due.append(action)
        if not self._depth:
            self._work_off()

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *exc_info: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._work_off()

    def _work_off(self) -> None:
        self._depth = 1
        try:
            while self._due:
                self._due.popleft()()
        finally:
            self._depth = 0
