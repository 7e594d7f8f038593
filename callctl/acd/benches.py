"""The free agents of a queue: those of one kind on one bench, each bench in the order of the strategy.

Whoever fits a caller is on a bench that fits, so nobody else is looked at, however many there are. An agent
who comes free stands at first: most are taken at once, and leave all the queues that they serve again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from callctl.acd.agent import Seat
from callctl.acd.lines import Line
from callctl.acd.needs import Kind, Needs, misfit
from callctl.acd.ordered import Ordered
from callctl.acd.strategy import Candidate, Key

Bench = Ordered[Key, Seat]

STANDING_AT_MOST = 16
"""So many sit down together at most: some 30 microseconds of work, which one caller may find undone."""


class Benches:
    """Who is free, by name and by kind."""

    def __init__(self, key: Callable[[Candidate], Key]) -> None:
        """`key` is the strategy's, and must stay the same for each agent while it is free."""
        self._key = key
        self._standing: dict[str, Seat] = {}
        self._sitting: dict[str, tuple[Seat, Kind, Key, Bench]] = {}
        self._benches: dict[Kind, Bench] = {}
        self.number = 0
        """How many agents are free."""

    def __len__(self) -> int:
        """Return how many agents are free."""
        return self.number

    def __contains__(self, name: str) -> bool:
        """Return whether the agent of this name is free."""
        return name in self._sitting or name in self._standing

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the free agents."""
        return chain(self._sitting, self._standing)

    def put(self, seat: Seat) -> None:
        """Let the agent in `seat` be free. To be called again when its kind has changed."""
        name, standing = seat.name, self._standing
        if name in self._sitting:
            if self._sitting[name][1] == seat.kind:
                return
            self.discard(name)
        if name not in standing:
            self.number += 1
        standing[name] = seat
        if len(standing) > STANDING_AT_MOST:
            self._sit_down()

    def discard(self, name: str) -> None:
        """Let the agent of this name not be free; nothing if it is not."""
        if self._standing.pop(name, None) is not None:
            self.number -= 1
            return
        sitting = self._sitting.pop(name, None)
        if sitting is not None:
            self.number -= 1
            _, kind, key, bench = sitting
            bench.remove(key)
            if not bench:
                del self._benches[kind]

    def fitting(self, needs: Needs) -> list[Bench]:
        """Return the benches of those who are eligible for a caller with `needs`. None of them is empty."""
        self._sit_down()
        return [bench for kind, bench in self._benches.items() if not misfit(kind, needs)]

    def served(self, lines: Mapping[Needs, Line]) -> list[tuple[Needs, Line]]:
        """Return those of `lines` for whom anybody free is eligible."""
        self._sit_down()
        kinds = tuple(self._benches)
        return [
            (needs, line) for needs, line in lines.items() if any(not misfit(kind, needs) for kind in kinds)
        ]

    def preferred(self, name: str, needs: Needs) -> Seat | None:
        """Return the seat of the agent of this name, if it is free and eligible."""
        self._sit_down()
        sitting = self._sitting.get(name)
        return sitting[0] if sitting is not None and not misfit(sitting[1], needs) else None

    def misfits(self, needs: Needs) -> Counter[str]:
        """Return how many are free, but not eligible for a caller with `needs`, by why not."""
        self._sit_down()
        counts: Counter[str] = Counter()
        for kind, bench in self._benches.items():
            why = misfit(kind, needs)
            if why:
                counts[why] += len(bench)
        return counts

    def _sit_down(self) -> None:
        for name, seat in self._standing.items():
            kind, key = seat.kind, self._key(seat)
            bench = self._benches.get(kind)
            if bench is None:
                bench = self._benches[kind] = Ordered()
            bench.add(key, seat)
            self._sitting[name] = seat, kind, key, bench
        self._standing.clear()
