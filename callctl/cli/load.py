"""The people of a load test on stand-in switches, and how long each had to wait, as the switch saw it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio
from attrs import field, frozen

from callctl.errors import CallctlError
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch

PHONE = Endpoint(answer_after=0.2, talk_seconds=1.0)

NAME = "loadtest"
"""Agents are called so, with a number. It is the account of the calls, which tells them apart later."""

POLL_SECONDS = 0.005

STUCK_SECONDS = 60.0
"""So long without the end of any call is a fault of the test, or of callctl."""


@frozen(kw_only=True)
class Times:
    """How long things took, in seconds, one entry for each time."""

    wait: list[float] = field(factory=list)
    """From the caller's arrival to the bridge."""
    offer: list[float] = field(factory=list)
    """From when a caller and a free agent were both there to the agent's ring."""
    bridge: list[float] = field(factory=list)
    """From the agent's answer to the bridge."""


class Load:
    """Callers and agents on some switches. It takes the times of all."""

    def __init__(self, switches: Sequence[Switch], agents: int, queue: str) -> None:
        """`agents` phones are there on every switch, see `agent` for their names; callers want `queue`."""
        self.times = Times()
        self.handled = 0
        self.most_at_once = 0
        self._switches = switches
        self._queue = queue
        self._placed = 0
        self._ended = 0
        self._arrived_at: dict[str, float] = {}
        self._answered_at: dict[str, float] = {}
        self._rung_at: dict[str, float] = {}
        self._free_since: dict[str, float] = {}
        self._agent_of_leg: dict[str, str] = {}
        for switch in switches:
            switch.on_observed(partial(self._observe, switch))
            for number in range(agents):
                name = agent(number)
                switch.add_endpoint(contact(name), partial(self._ring, switch, name))

    @property
    def alive(self) -> int:
        """How many callers are there."""
        return self._placed - self._ended

    def place_call(self) -> None:
        """Let the next caller come, on the next switch."""
        switch = self._switches[self._placed % len(self._switches)]
        self._placed += 1
        self.most_at_once = max(self.most_at_once, self.alive)
        variables = {"queue": self._queue, "account_id": NAME, "source": NAME}
        uuid = switch.place_call(
            Caller(number=f"49{self._placed:07d}", name="Load Test", variables=variables)
        )
        self._arrived_at[uuid] = switch.now()

    async def until_at_most(self, callers: int) -> None:
        """Wait until no more callers than that are there; raises CallctlError when nothing moves any more."""
        ended, ended_at = self._ended, trio.current_time()
        while self.alive > callers:
            if self._ended > ended:
                ended, ended_at = self._ended, trio.current_time()
            elif trio.current_time() - ended_at > STUCK_SECONDS:
                raise CallctlError(f"{self.alive} calls do not end: nobody is served any more")
            await trio.sleep(POLL_SECONDS)

    # --- what the switches see ---

    def _ring(self, switch: Switch, name: str) -> Endpoint:
        self._rung_at[name] = switch.now()
        return PHONE

    def _observe(self, switch: Switch, what: str, uuid: str, at: float, other_uuid: str) -> None:
        if what == "leg-ringing":
            self._take_offer(switch, uuid, other_uuid)
        elif what == "leg-answered":
            self._answered_at[uuid] = at
        elif what == "bridged" and uuid in self._arrived_at and other_uuid in self._answered_at:
            self.times.wait.append(at - self._arrived_at[uuid])
            self.times.bridge.append(at - self._answered_at.pop(other_uuid))
            self.handled += 1
        elif what == "hung-up":
            self._take_end(uuid, at)

    def _take_offer(self, switch: Switch, leg_uuid: str, caller_uuid: str) -> None:
        leg = switch.locate(leg_uuid)
        if leg is None or caller_uuid not in self._arrived_at:
            return
        name = leg.variable("cc_agent")
        self._agent_of_leg[leg_uuid] = name
        both_there_at = max(self._arrived_at[caller_uuid], self._free_since.get(name, 0.0))
        self.times.offer.append(self._rung_at[name] - both_there_at)

    def _take_end(self, uuid: str, at: float) -> None:
        if self._arrived_at.pop(uuid, None) is not None:
            self._ended += 1
        elif (name := self._agent_of_leg.pop(uuid, None)) is not None:
            self._free_since[name] = at


def agent(number: int) -> str:
    """Return the name of an agent."""
    return f"{NAME}-{number + 1:04d}"


def contact(name: str) -> str:
    """Return the dial string of an agent."""
    return f"user/{name}"
