"""The witness: what the switch saw of callers and agents' legs, and what of it may not have been.

It asks callctl nothing. Whatever callctl believes and writes down is compared with this.
"""

from __future__ import annotations

from collections import Counter

from attrs import define

from callctl.sim.channel import Channel
from callctl.sim.switch import Switch
from callctl.sim.torture.timeline import Timeline
from callctl.sim.torture.truth import Story, Truth

SETTLED_SECONDS = 1.0
"""How long an agent's leg may live without a caller, counted from when callctl is there."""

LOOK_SECONDS = 0.05
"""How often all legs are looked at."""


@define(eq=False)
class Ring:
    """One leg of an agent, from its creation to its end. Times are in seconds since the epoch."""

    channel: Channel
    agent: str
    caller_uuid: str
    began_at: float
    ended_at: float = float("inf")


class Witness:
    """Everything that happened on one switch."""

    def __init__(self, switch: Switch) -> None:
        self.timeline = Timeline(switch.now())
        self.truth = Truth(self.timeline)
        self.truth.watch(switch)
        self.rings: dict[str, Ring] = {}
        self.sockets: list[tuple[float, str]] = []
        """When which caller was led to callctl."""
        self.wrongs: list[str] = []
        self._switch = switch
        self._alone_since: dict[str, float] = {}
        self._twice: Counter[str] = Counter()
        self._told: set[str] = set()
        switch.on_observed(self._notice)

    @property
    def stories(self) -> dict[str, Story]:
        """All callers, by the UUID of their channel."""
        return self.truth.stories

    def waiting(self) -> list[Story]:
        """Return the callers who are on the line and have not talked yet."""
        return [story for story in self.truth.alive.values() if not story.talks]

    def talking(self) -> list[Story]:
        """Return the callers who hear an agent."""
        return [story for story in self.truth.alive.values() if story.is_talking]

    def _notice(self, name: str, uuid: str, at: float, _other: str) -> None:
        if name == "socket-connected":
            self.sockets.append((at, uuid))
        elif name in ("leg-ringing", "leg-answered"):
            channel = self._switch.locate(uuid)
            assert channel is not None, "a leg of which something is observed is up"
            self._ring(channel)
        elif name == "hung-up" and uuid in self.rings:
            self.rings[uuid].ended_at = at

    def look(self, back_at: float, killed_at: float) -> None:
        """Look at all legs; callctl was killed last at `killed_at`, and back at `back_at`, maybe infinity."""
        now = self._switch.now()
        held: Counter[str] = Counter()
        alone: dict[str, float] = {}
        for channel in self._switch.channels():
            if channel.variable("cc_side") != "agent":
                continue
            ring = self._ring(channel)
            held[ring.agent] += 1
            caller = self.truth.alive.get(ring.caller_uuid)
            is_left_over = ring.began_at < killed_at and channel.partner is None
            if caller is None or is_left_over:
                since = alone[channel.uuid] = self._alone_since.get(channel.uuid, now)
                lasted = now - max(since, back_at)
                if lasted > SETTLED_SECONDS and channel.uuid not in self._told:
                    self._told.add(channel.uuid)
                    self.wrongs.append(f"a leg of {ring.agent} was without its caller for {lasted:.1f} s")
        self._alone_since = alone
        twice = Counter({agent: self._twice[agent] + 1 for agent, legs in held.items() if legs > 1})
        self.wrongs += [f"{agent} had two legs" for agent, times in twice.items() if times == 5]
        self._twice = twice

    def _ring(self, channel: Channel) -> Ring:
        if channel.uuid not in self.rings:
            self.rings[channel.uuid] = Ring(
                channel,
                channel.variable("cc_agent"),
                channel.variable("cc_member_uuid"),
                channel.times.created,
            )
        return self.rings[channel.uuid]
