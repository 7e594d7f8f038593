"""The load: callers who keep a queue full, and agents who talk for some seconds, by seed."""

from __future__ import annotations

from random import Random

import trio

from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from tests.crash.witness import Witness

STEP_SECONDS = 0.02
"""A caller comes after half of this in the mean, until there are enough."""


class Load:
    """Everybody outside the switch."""

    def __init__(
        self, switch: Switch, witness: Witness, chance: Random, *, waiting: int, impatient_share: float
    ) -> None:
        """`waiting` callers are kept waiting; `impatient_share` of the callers hang up at random moments."""
        self.is_open = True
        """Whether callers still come."""
        self._switch = switch
        self._witness = witness
        self._chance = chance
        self._waiting = waiting
        self._impatient_share = impatient_share
        self._calls = 0

    def hire(self, agents: int) -> list[str]:
        """Give this many agents a phone; returns their names."""
        names = [str(1001 + number) for number in range(agents)]
        for name in names:
            self._switch.add_endpoint(f"user/{name}", self._phone)
        return names

    def _phone(self) -> Endpoint:
        """An agent answers soon. Half of the talks are ended by the caller, the other half by the agent.

        Once nobody comes any more the talks are short, so that the end is not long in coming.
        """
        talk_seconds = self._chance.uniform(2.0, 5.0) if self._chance.random() < 0.5 else 8.0
        if not self.is_open:
            talk_seconds = 0.5
        return Endpoint(answer_after=self._chance.uniform(0.1, 0.6), talk_seconds=talk_seconds)

    async def run(self) -> None:
        """Let a caller come whenever one is missing."""
        while True:
            if self.is_open and len(self._witness.waiting()) < self._waiting:
                self._place_call()
            await trio.sleep(self._chance.uniform(0.0, STEP_SECONDS))

    def _place_call(self) -> None:
        self._calls += 1
        is_impatient = self._chance.random() < self._impatient_share
        self._switch.place_call(
            Caller(
                number=str(4930000000 + self._calls),
                patience=self._chance.uniform(0.0, 15.0) if is_impatient else None,
                talk_seconds=self._chance.uniform(2.0, 5.0),
            )
        )
