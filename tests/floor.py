"""What tests ask of a distributor that runs in real time."""

from __future__ import annotations

from callctl.acd.distributor import Distributor
from callctl.acd.invariants import Violation


def violations(distributor: Distributor, now: float) -> list[Violation]:
    """Do what is due, as an agent may be free again in this very instant, and return what is wrong."""
    distributor.advance(now)
    return distributor.check_invariants(now)
