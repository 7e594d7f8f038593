"""The distributor's hands: gives it the time, wakes it when its time has come, carries its effects out.

The distributor is pure and decides inside each call. Whoever wants something of it says so through
`act`, which is synchronous and hence atomic: the decision is made and its effects are delivered before
any other task runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import structlog

from callctl.acd.distributor import Distributor
from callctl.acd.effects import (
    AgentLeaseExpired,
    CallerSteppedBack,
    Effect,
    Noted,
    Offered,
    OfferWithdrawn,
    WaitOver,
)
from callctl.call import events as ev
from callctl.call.agenda import Agenda
from callctl.call.timers import Timer, Timers
from callctl.clock import SteadyClock
from callctl.model import Fact

log = structlog.get_logger(__name__)

T = TypeVar("T")

Deliver = Callable[[ev.CallHappening], None]
"""How a call takes an event in: at once, without waiting."""


class Dispatcher:
    """The one way to the distributor, for calls, commands and time alike."""

    def __init__(self, distributor: Distributor, clock: SteadyClock, record: Callable[[Fact], None]) -> None:
        """`record` takes the facts that are to be stored; it must not wait."""
        self._distributor = distributor
        self._clock = clock
        self._record = record
        self.agenda = Agenda()
        """The order in which calls take in what happens."""
        self.timers = Timers()
        """The timers of all calls."""
        self._calls: dict[str, Deliver] = {}
        self._wake_up: Timer | None = None
        self._wakes_at = math.inf
        self._healed_leases = 0
        self._is_closed = False

    @property
    def healed_leases(self) -> int:
        """How many reservations had to be ended by their lease: each is a fault somewhere else."""
        return self._healed_leases

    def enter(self, call: str, deliver: Deliver) -> None:
        """From now on `deliver` takes what the distributor has to say to this call."""
        self._calls[call] = deliver

    def forget(self, call: str) -> None:
        """The call is over; what is still said to it falls on the floor."""
        self._calls.pop(call, None)

    def close(self) -> None:
        """From now on nothing that is decided is delivered or written: the process ends, not the calls."""
        self._is_closed = True

    def act(self, action: Callable[[Distributor, float], T]) -> T:
        """Do `action(distributor, now)`, deliver what follows from it, and return its result.

        Raises what the action raises; what it had decided before that is delivered all the same.
        """
        try:
            return action(self._distributor, self._clock.now())
        finally:
            effects = self._distributor.take_effects()
            if effects and not self._is_closed:
                with self.agenda:
                    for effect in effects:
                        self._deliver(effect)
            self._set_alarm()

    def ask(self, question: Callable[[Distributor, float], T]) -> T:
        """Return `question(distributor, now)`, which must change nothing."""
        return question(self._distributor, self._clock.now())

    async def run(self) -> None:
        """Do at its time what the distributor and the calls want done. Runs until cancelled."""
        await self.timers.run()

    def _set_alarm(self) -> None:
        """Wake the distributor at its next deadline; one that was put off may find nothing to do."""
        at = self._distributor.next_deadline()
        if at is None or at >= self._wakes_at:
            return
        if self._wake_up is not None:
            self._wake_up.cancel()
        self._wakes_at = at
        self._wake_up = self.timers.at(self._clock.deadline(at), self._advance)

    def _advance(self) -> None:
        self._wakes_at, self._wake_up = math.inf, None
        self.act(lambda distributor, now: distributor.advance(now))

    def _deliver(self, effect: Effect) -> None:
        match effect:
            case Noted(fact):
                self._record(fact)
            case Offered(offer):
                self._tell(offer.call, ev.Offered(offer))
            case OfferWithdrawn(offer, cause):
                self._tell(offer.call, ev.OfferWithdrawn(offer.id, cause))
            case WaitOver(call, reason, target):
                self._tell(call, ev.WaitOver(reason, target))
            case AgentLeaseExpired(offer):
                self._healed_leases += 1
                log.warning("lease expired", call=offer.call, agent=offer.agent, offer=offer.id)
                self._tell(offer.call, ev.LeaseExpired(offer.id))
            case CallerSteppedBack(call, seconds, agents):
                log.warning(
                    "no phone was reached for a caller, who steps back",
                    call=call,
                    agents=", ".join(agents),
                    again_in=seconds,
                )

    def _tell(self, call: str, event: ev.CallHappening) -> None:
        deliver = self._calls.get(call)
        if deliver is not None:
            deliver(event)
