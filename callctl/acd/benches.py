"""The free agents of a queue: those of one kind on one bench, each bench in the order of the strategy.

Whoever fits a caller is on a bench that fits, so nobody else is looked at, however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from callctl.acd.agent import Seat
from callctl.acd.needs import Kind, Needs, misfit
from callctl.acd.ordered import Ordered
from callctl.acd.strategy import Key

Bench = Ordered[Key, Seat]


class Benches:
    """Who is free, by name and by kind."""

    def __init__(self) -> None:
        self._benches: dict[Kind, Bench] = {}
        self._places: dict[str, tuple[Seat, Kind, Key, Bench]] = {}

    def __len__(self) -> int:
        """Return how many agents are free."""
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        """Return whether the agent of this name is free."""
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the free agents."""
        return iter(self._places)

    def put(self, seat: Seat, kind: Kind, key: Key) -> None:
        """Let the agent in `seat` be free, as one of `kind` and in the place that `key` gives it there."""
        place = self._places.get(seat.name)
        if place is not None:
            if place[0] is seat and place[1:3] == (kind, key):
                return
            self.discard(seat.name)
        bench = self._benches.get(kind)
        if bench is None:
            bench = self._benches[kind] = Ordered()
        bench.add(key, seat)
        self._places[seat.name] = seat, kind, key, bench

    def discard(self, name: str) -> None:
        """Let the agent of this name not be free; nothing if it is not."""
        place = self._places.pop(name, None)
        if place is not None:
            _, kind, key, bench = place
            bench.remove(key)
            if not bench:
                del self._benches[kind]

    def clear(self) -> None:
        """Let nobody be free."""
        self._benches.clear()
        self._places.clear()

    def fitting(self, needs: Needs) -> list[Bench]:
        """Return the benches of those who are eligible for a caller with `needs`. None of them is empty."""
        return [bench for kind, bench in self._benches.items() if not misfit(kind, needs)]

    def preferred(self, name: str, needs: Needs) -> Seat | None:
        """Return the seat of the agent of this name, if it is free and eligible."""
        place = self._places.get(name)
        return place[0] if place is not None and not misfit(place[1], needs) else None

    def misfits(self, needs: Needs) -> Counter[str]:
        """Return how many are free, but not eligible for a caller with `needs`, by why not."""
        counts: Counter[str] = Counter()
        for kind, bench in self._benches.items():
            why = misfit(kind, needs)
            if why:
                counts[why] += len(bench)
        return counts
