"""What happened in an hour, in order, for whoever has to understand why something went wrong.

Lines are kept as they come, unformatted, since nearly all hours end without anybody reading them.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable

from attrs import frozen

MOST_LINES = 200_000
"""The last lines are kept: of the busiest hour, all."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@frozen
class Line:
    """One thing that happened: when, who says so, what, and about whom (UUIDs, calls, agents)."""

    at: float
    who: str
    what: str
    about: tuple[str, ...]


@frozen
class Violation:
    """Something that must not be: when, in words, and whom it concerns."""

    at: float
    what: str
    about: tuple[str, ...]


class Timeline:
    """All lines of an hour. `begun_at` is in seconds since the epoch."""

    def __init__(self, begun_at: float) -> None:
        self.begun_at = begun_at
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self._names: dict[str, str] = {}

    def add(self, at: float, who: str, what: str, *about: str) -> None:
        """Note what happened at `at`; a line about nobody is shown to everybody."""
        self._lines.append(Line(at, who, what, about))

    def name(self, uuid: str, name: str) -> None:
        """Let `name` stand for this UUID in what people read."""
        self._names[uuid] = name

    def digest(self) -> str:
        """Return a text that is the same for two runs in which the same happened."""
        told_all = hashlib.sha256()
        for line in self._lines:
            told_all.update(repr((round(line.at, 6), line.who, line.what, line.about)).encode())
        return told_all.hexdigest()[:16]

    def story(self, about: Iterable[str], seconds: float, until: float) -> list[str]:
        """Return the lines about these names, and those about nobody, of the `seconds` before `until`."""
        wanted = self._related(about)
        found: list[str] = []
        for line in self._lines:
            if until - seconds <= line.at <= until and (not line.about or wanted & set(line.about)):
                found.append(f"{line.at - self.begun_at:10.3f}  {line.who:8}  {self.readable(line.what)}")
        return found

    def _related(self, about: Iterable[str]) -> set[str]:
        """Return the names, and the UUIDs that stand with one of them: a caller's calls and legs."""
        wanted = set(about)
        near = {name for line in self._lines if wanted & set(line.about) for name in line.about}
        return wanted | {name for name in near if _UUID.fullmatch(name)}

    def readable(self, text: str) -> str:
        """Return `text` with names instead of UUIDs, as far as they have one."""
        return _UUID.sub(lambda found: self._names.get(found[0], found[0][:8]), text)
