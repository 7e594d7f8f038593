"""What the distributor decided, as data: orders to the calls, and facts for the history."""

from __future__ import annotations

from attrs import frozen

from callctl.model import Fact, Offer, Reason


@frozen
class Offered:
    """An agent was reserved for a call: ring it."""

    offer: Offer


@frozen
class OfferWithdrawn:
    """A reservation was taken back: cancel the leg with `cause`. Nothing is held against the agent."""

    offer: Offer
    cause: str


@frozen
class WaitOver:
    """This call's wait is over: take the caller out. It is no longer offered to anybody."""

    call: str
    reason: Reason
    target: str = ""


@frozen
class Noted:
    """Something to be stored: an AgentRecord, AgentSpan, Decision, Tier, or the removal of one."""

    fact: Fact


@frozen
class AgentLeaseExpired:
    """Nobody said how this offer ended, so its lease ended it: a fault elsewhere, healed here."""

    offer: Offer


@frozen
class CallerSteppedBack:
    """No phone was reached for this call with any of `agents`, so it is offered to nobody for `seconds`."""

    call: str
    seconds: float
    agents: tuple[str, ...]


Effect = Offered | OfferWithdrawn | WaitOver | Noted | AgentLeaseExpired | CallerSteppedBack
"""Anything the distributor can ask for."""
