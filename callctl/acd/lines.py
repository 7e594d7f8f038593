"""Those of a queue's members who want an offer: those of equal needs in one line, by rank.

Either all of a line can be served by somebody who is free, or none; so only its first is looked at.
"""

from __future__ import annotations

from callctl.acd.member import Member, Rank
from callctl.acd.needs import Needs
from callctl.acd.ordered import Ordered

Line = Ordered[Rank, Member]


class Lines:
    """Who wants an offer, by needs."""

    def __init__(self) -> None:
        self.by_needs: dict[Needs, Line] = {}
        """The lines. None of them is empty."""

    def put(self, member: Member, needs: Needs | None) -> None:
        """Let `member` stand in the line of these needs and in no other; None: in none at all."""
        if member.stands_in == needs:
            return
        if member.stands_in is not None:
            line = self.by_needs[member.stands_in]
            line.remove(member.rank)
            if not line:
                del self.by_needs[member.stands_in]
        if needs is not None:
            if needs not in self.by_needs:
                self.by_needs[needs] = Ordered()
            self.by_needs[needs].add(member.rank, member)
        member.stands_in = needs
