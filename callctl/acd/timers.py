"""What falls due when: one moment for each key, the earliest first, moved or taken back in no time."""

from __future__ import annotations

import heapq
from enum import IntEnum, auto
from itertools import count
from typing import NamedTuple

HEAP_SLACK = 64
"""Outdated entries are cleared away once they outnumber the valid ones by this: rarely, and never late."""


class Wakes(IntEnum):
    """Whose time has come. Numbers, as these are hashed for every event."""

    OFFER = auto()
    AGENT = auto()
    PAUSE = auto()
    MEMBER = auto()


class Key(NamedTuple):
    """One thing that falls due: an offer, agent or member by its identifier."""

    kind: Wakes
    name: str


class Timers:
    """A heap of deadlines in which outdated entries are skipped instead of searched for."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._valid: dict[Key, tuple[float, int]] = {}
        self._tickets = count()

    def set(self, key: Key, at: float) -> None:
        """Let `key` fall due at `at` and at no other time."""
        self._valid[key] = at, next(self._tickets)
        heapq.heappush(self._heap, (*self._valid[key], key))
        if len(self._heap) > HEAP_SLACK + 2 * len(self._valid):
            self._heap = [(*when, key) for key, when in self._valid.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Let `key` not fall due at all."""
        self._valid.pop(key, None)

    def at(self, key: Key) -> float | None:
        """Return when `key` falls due, or None."""
        valid = self._valid.get(key)
        return valid[0] if valid is not None else None

    def next(self) -> float | None:
        """Return the earliest moment at which something falls due, or None."""
        while self._heap and self._valid.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Key | None:
        """Take out and return the earliest key that is due at `now`, or None."""
        at = self.next()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._valid[key]
        return key
