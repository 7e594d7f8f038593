"""A table that is kept in the order of its keys: found, put in and taken out without looking through it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=tuple[Any, ...])
V = TypeVar("V")


class Ordered(Generic[K, V]):
    """Values by unique keys, the lowest key first.

    Two plain lists: the search is a logarithm, and what has to move up for one more among 10,000 moves
    in a microsecond or two, which no tree in Python could do.
    """

    __slots__ = ("_keys", "_values")

    def __init__(self) -> None:
        self._keys: list[K] = []
        self._values: list[V] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._keys)

    def __iter__(self) -> Iterator[V]:
        """Iterate over the values in the order of their keys."""
        return iter(self._values)

    def __getitem__(self, index: int) -> V:
        """Return the value at this place of the order, 0 being the first."""
        return self._values[index]

    def key(self, index: int) -> K:
        """Return the key at this place of the order, 0 being the lowest."""
        return self._keys[index]

    def add(self, key: K, value: V) -> None:
        """Put in a value under a key that is not there yet."""
        at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self._values.insert(at, value)

    def remove(self, key: K) -> None:
        """Take out the value under `key`. Raises KeyError if there is none."""
        at = bisect_left(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key:
            raise KeyError(key)
        del self._keys[at]
        del self._values[at]

    def index(self, key: K) -> int:
        """Return how many keys are lower than `key`."""
        return bisect_left(self._keys, key)

    def items(self, after: K | None = None) -> Iterator[tuple[K, V]]:
        """Iterate over keys and values, over all or over those behind the key `after`."""
        start = 0 if after is None else bisect_right(self._keys, after)
        for at in range(start, len(self._keys)):
            yield self._keys[at], self._values[at]

    def clear(self) -> None:
        """Take all out."""
        self._keys.clear()
        self._values.clear()
