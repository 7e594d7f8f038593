"""Those of a queue's members who want an offer: those of equal needs in one line, by rank.

Either all of a line can be served by somebody who is free, or none; so only its first is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from callctl.acd.member import Member, Rank
from callctl.acd.needs import Needs
from callctl.acd.ordered import Ordered

Line = Ordered[Rank, Member]


class Lines:
    """Who wants an offer, by needs."""

    def __init__(self) -> None:
        self._lines: dict[Needs, Line] = {}

    def __len__(self) -> int:
        """Return how many lines there are. None of them is empty."""
        return len(self._lines)

    def __iter__(self) -> Iterator[tuple[Needs, Line]]:
        """Iterate over all lines and the needs of those who stand in them."""
        return iter(self._lines.items())

    def put(self, member: Member, needs: Needs | None) -> None:
        """Let `member` stand in the line of these needs and in no other; None: in none at all."""
        if member.stands_in == needs:
            return
        if member.stands_in is not None:
            line = self._lines[member.stands_in]
            line.remove(member.rank)
            if not line:
                del self._lines[member.stands_in]
        if needs is not None:
            if needs not in self._lines:
                self._lines[needs] = Ordered()
            self._lines[needs].add(member.rank, member)
        member.stands_in = needs
