"""The people of an hour: callers who come, wait and give up; agents with phones and whims; supervisors.

They do whatever people do, also in the instants in which it is awkward, and know nothing of callctl's state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import trio
from attrs import evolve, frozen

from callctl.call.events import HangupOrdered
from callctl.clock import SteadyClock
from callctl.errors import StoreError
from callctl.model import AgentSettings, AgentStatus
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import Switch
from callctl.sim.torture.climate import ACCEPT_KEY, CALLBACK_KEY, MEMBERS, Climate
from callctl.sim.torture.house import House
from callctl.sim.torture.timeline import Timeline
from callctl.sim.torture.truth import Story, Truth

AWKWARD = (
    "call-placed",
    "socket-connected",
    "caller-answered",
    "leg-ringing",
    "leg-answered",
    "bridge-ordered",
    "bridged",
    "unbridged",
    "far-end-hung-up",
)
"""What the switch observes of a call, and what may be the instant of hanging up."""

AWKWARD_SECONDS = 0.15
"""How long after such an instant: longer than a bridge takes."""


COLLEAGUE = "user/colleague"
"""Whom agents ask: nobody of ours."""

CONSULTS_SHARE = 0.06
"""How many talks are interrupted by a question to a colleague."""


@frozen
class Acknowledged:
    """An agent's status that callctl has confirmed as written, and since when."""

    status: AgentStatus
    at: float


class Crowd:
    """Everybody but callctl and the switches."""

    def __init__(
        self,
        climate: Climate,
        *,
        house: House,
        switches: dict[str, Switch],
        truth: Truth,
        timeline: Timeline,
        clock: SteadyClock,
        chance: Random,
        keys: Random,
        consults: Random,
        transfers: Random,
    ) -> None:
        """`keys` is the chance by which people press what they may, and answer when they are called back.

        `consults` is that by which agents ask a colleague in the midst of a talk, `transfers` that by which
        callers are sent somewhere else.
        """
        self.acknowledged: dict[str, Acknowledged] = {}
        self._climate = climate
        self._house = house
        self._switches = switches
        self._truth = truth
        self._timeline = timeline
        self._clock = clock
        self._chance = chance
        self._keys = keys
        self._consults = consults
        self._transfers = transfers
        self._send_at = ""
        """The instant in which somebody is sent somewhere else."""
        self._has_keys = any(queue.accept_key for queue in climate.queues)
        self._has_callbacks = any(queue.callback_key for queue in climate.queues)
        for switch in switches.values():
            for agent in climate.agents:
                switch.add_endpoint(agent.contact, self._phone(agent))
            switch.add_endpoint(COLLEAGUE, self._colleague)
            for number in MEMBERS if self._has_callbacks else ():
                switch.add_endpoint(f"trunk/{number}", self._member)
            if climate.sent_share:
                switch.on_observed(self._notice)

    async def run(self) -> None:
        """Come, call, change one's mind, until cancelled: those who are on the line stay there."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._call)
            for agent in self._climate.agents:
                nursery.start_soon(self._work, agent)
            if self._climate.ordered_share or self._climate.transferred_share:
                nursery.start_soon(self._meddle)
            if self._climate.sent_share:
                nursery.start_soon(self._transfer)

    # --- callers ---

    async def _call(self) -> None:
        number = 0
        while True:
            await trio.sleep(self._chance.expovariate(1 / self._climate.seconds_between_calls))
            switch = self._switches[self._chance.choice(self._climate.switches)]
            number += 1
            if switch.is_running:
                switch.place_call(self._caller(number))

    def _caller(self, number: int) -> Caller:
        chance, climate = self._chance, self._climate
        is_awkward = chance.random() < climate.awkward_share
        presses = tuple(
            (chance.uniform(0, 60), chance.choice("1#5")) for _ in range(chance.choice((0, 0, 2)))
        )
        if self._has_callbacks and self._keys.random() < 0.3:
            presses += ((self._keys.expovariate(1 / 5.0), CALLBACK_KEY),)
        return Caller(
            number=MEMBERS[chance.randint(1, len(MEMBERS)) - 1],
            name=f"Caller {number}",
            variables={"queue": chance.choice(climate.entrances), "lead_number": str(number)},
            patience=min(600.0, 0.01 + chance.expovariate(1 / climate.patience_seconds)),
            talk_seconds=0.01 + chance.expovariate(1 / climate.talk_seconds),
            presses=presses,
            hang_up_when=chance.choice(AWKWARD) if is_awkward else "",
            hang_up_delay=chance.choice((0.0, chance.uniform(0.0, AWKWARD_SECONDS))),
        )

    def _member(self) -> Endpoint:
        """How the phone of a caller who is called back behaves this time."""
        chance, mood = self._keys, self._keys.random()
        if mood < 0.1:
            return Endpoint.busy()
        if mood < 0.15:
            return Endpoint.rejecting(chance.uniform(0.0, 4.0))
        if mood < 0.25:
            return Endpoint.silent()
        if mood < 0.3:
            return Endpoint.unregistered()
        answer_after = chance.choice((0.0, chance.uniform(0.0, 0.2), chance.uniform(0.5, 10.0)))
        if mood < 0.4:
            return Endpoint(answer_after=answer_after, hang_up_after=chance.uniform(0.0, AWKWARD_SECONDS))
        talk_seconds = 0.01 + chance.expovariate(1 / self._climate.talk_seconds)
        return Endpoint(answer_after=answer_after, talk_seconds=talk_seconds)

    # --- agents ---

    async def _work(self, agent: AgentSettings) -> None:
        await self._set_status(agent.name, AgentStatus.AVAILABLE)
        while True:
            await trio.sleep(self._chance.expovariate(1 / self._climate.seconds_between_whims))
            mood = self._chance.random()
            if mood < 0.5:
                status = AgentStatus.AVAILABLE
            elif mood < 0.6:
                status = AgentStatus.AVAILABLE_ON_DEMAND
            else:
                status = AgentStatus.ON_BREAK if mood < 0.85 else AgentStatus.LOGGED_OUT
            await self._set_status(agent.name, status)
            if status is not AgentStatus.AVAILABLE:
                await trio.sleep(self._chance.uniform(1.0, 30.0))
                await self._set_status(agent.name, AgentStatus.AVAILABLE)

    async def _set_status(self, agent: str, status: AgentStatus) -> None:
        """Tell callctl, again and again until it has confirmed."""
        while True:
            server = self._house.server
            if server is not None:
                server.dispatcher.act(lambda distributor, now: distributor.set_status(agent, status, now))
                self._timeline.add(self._clock.now(), "people", f"{agent} is {status}", agent)
                self.acknowledged.pop(agent, None)
                with trio.move_on_after(5.0):
                    try:
                        await server.journal.flush()
                    except StoreError:
                        return
                    if self._house.server is server:
                        self.acknowledged[agent] = Acknowledged(status, self._clock.now())
                        return
            await trio.sleep(1.0)

    def _phone(self, agent: AgentSettings) -> Callable[[], Endpoint]:
        def behaviour() -> Endpoint:
            if self._is_on_the_phone(agent.name):
                return Endpoint.busy()
            mood = self._mood()
            if self._has_keys:
                mood = evolve(mood, presses=self._presses())
            if self._consults.random() < CONSULTS_SHARE:
                mood = evolve(mood, consult_after=self._consults.uniform(0.0, 5.0), consult_with=COLLEAGUE)
            return mood

        return behaviour

    def _colleague(self) -> Endpoint:
        """How a colleague behaves whom an agent asks: mostly there, and gone in a moment."""
        chance = self._consults
        if chance.random() < 0.2:
            return chance.choice((Endpoint.busy(), Endpoint.silent(), Endpoint.rejecting(1.0)))
        return Endpoint(answer_after=chance.uniform(0.0, 3.0), hang_up_after=chance.uniform(0.05, 20.0))

    def _presses(self) -> tuple[tuple[float, str], ...]:
        """Press the key at once, later or too late, another one, or nothing, as a voicemail does."""
        mood, seconds = self._keys.random(), self._keys.choice((0.1, self._keys.uniform(0.0, 6.0)))
        if mood < 0.15:
            return ()
        return ((seconds, ACCEPT_KEY if mood < 0.9 else "5"),)

    def _is_on_the_phone(self, agent: str) -> bool:
        return any(
            channel.variable("cc_agent") == agent and channel.variable("cc_side") == "agent"
            for switch in self._switches.values()
            for channel in switch.channels()
        )

    def _mood(self) -> Endpoint:
        chance, mood = self._chance, self._chance.random()
        if mood < 0.06:
            return Endpoint.busy()
        if mood < 0.11:
            return Endpoint.rejecting(chance.uniform(0.0, 4.0))
        if mood < 0.18:
            return Endpoint.silent()
        if mood < 0.20:
            return Endpoint.unregistered()
        answer_after = chance.choice((0.0, chance.uniform(0.0, 0.2), chance.uniform(0.5, 5.0), 8.0))
        if mood < 0.26:
            return Endpoint(answer_after=answer_after, hang_up_after=chance.uniform(0.0, AWKWARD_SECONDS))
        return Endpoint(
            answer_after=answer_after,
            talk_seconds=0.01 + chance.expovariate(1 / self._climate.talk_seconds),
            hold_after=chance.uniform(0.0, 5.0) if mood > 0.97 else None,
            transfer_after=chance.uniform(0.0, 5.0) if 0.95 < mood < 0.97 else None,
        )

    # --- supervisors, and other programs on the switch ---

    async def _meddle(self) -> None:
        climate = self._climate
        share = climate.ordered_share + climate.transferred_share
        while True:
            await trio.sleep(self._chance.expovariate(share / climate.seconds_between_calls))
            alive = list(self._truth.alive.values())
            if not alive:
                continue
            story = self._chance.choice(alive)
            if self._chance.random() < climate.ordered_share / share:
                self._order_away(story)
            else:
                self._move(story)

    async def _transfer(self) -> None:
        """Send callers into a queue or elsewhere: now, or in the instant in which something happens."""
        chance, climate = self._transfers, self._climate
        while True:
            await trio.sleep(chance.expovariate(climate.sent_share / climate.seconds_between_calls))
            if chance.random() < 0.5:
                self._send_at = chance.choice(AWKWARD)
            elif self._truth.alive:
                self._send(chance.choice(list(self._truth.alive.values())))

    def _notice(self, name: str, uuid: str, _at: float, other: str) -> None:
        if name == self._send_at:
            story = self._truth.alive.get(uuid) or self._truth.alive.get(other)
            if story is not None:
                self._send_at = ""
                delay = self._transfers.choice((0.0, 0.001, self._transfers.uniform(0.0, AWKWARD_SECONDS)))
                story.switch.later(delay, partial(self._send, story))

    def _send(self, story: Story) -> None:
        chance = self._transfers
        queue = chance.choice(self._climate.queues).name if chance.random() < 0.7 else ""
        if story.channel.is_up and not story.is_called_back:
            self._truth.send(story, queue, self._clock.now())

    def _order_away(self, story: Story) -> None:
        server = self._house.server
        if server is None:
            return
        for session in server.reception.sessions.values():
            if session.record.arrival.uuid == story.uuid and not session.is_over:
                story.is_ordered_away = True
                self._timeline.add(self._clock.now(), "people", f"order to hang up {story.uuid}", story.uuid)
                session.deliver(HangupOrdered("NORMAL_CLEARING"))

    def _move(self, story: Story) -> None:
        if story.channel.is_up:
            story.is_moved = True
            story.times_moved += 1
            self._timeline.add(self._clock.now(), "people", f"{story.uuid} is transferred away", story.uuid)
            story.channel.transfer("answer", "default")
