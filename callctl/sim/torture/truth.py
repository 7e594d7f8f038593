"""What really happened, as the switches saw it: each caller's story, told without asking callctl.

Whatever callctl believes and writes down is compared with this.
"""

from __future__ import annotations

from attrs import define, field

from callctl.model import Reason
from callctl.sim.channel import Channel
from callctl.sim.switch import Switch
from callctl.sim.torture.timeline import Timeline

GIVEN_BACK = frozenset(
    reason.value for reason in Reason if reason not in (Reason.BRIDGED, Reason.SWITCH_LOST, Reason.ERROR)
)
"""With these in `callctl_reason` a caller is rightly sent on by the dialplan."""


PULL_SECONDS = 3.0
"""How long after a transfer a bridge may still come that was ordered before anybody could know of it."""

LEADING = (
    "socket_resume",
    "hangup_after_bridge",
    "transfer_after_bridge",
    "uuid_bridge_continue_on_cancel",
    "callctl_call",
    "callctl_reason",
)
"""The variables that decide what becomes of a caller; told of one who was dropped."""


@define(eq=False)
class Leg:
    """One ring of an agent's phone."""

    channel: Channel
    agent: str
    caller_uuid: str


@define(eq=False)
class Talk:
    """A caller and an agent hear each other."""

    leg: Leg
    began_at: float
    ended_at: float | None = None


@define(eq=False)
class Story:
    """One caller, from the trunk to the hangup. Times are in seconds since the epoch."""

    channel: Channel
    switch: Switch
    placed_at: float
    talks: list[Talk] = field(factory=list)
    is_ordered_away: bool = False
    """A person had callctl hang up or let go of this caller."""
    is_called_back: bool = False
    """callctl called, because the caller had asked for it in an earlier call."""
    is_moved: bool = False
    """Somebody transferred the caller to something that is not ours."""
    moved_at: float = 0.0
    """When the caller was last sent anywhere."""
    times_moved: int = 0
    """How often the caller was sent to something that is not ours."""
    entered: list[tuple[float, str]] = field(factory=list)
    """Into which queues the caller was sent, and when, beside the one that the trunk led to."""
    ended_at: float | None = None
    ended_by: str = ""

    @property
    def uuid(self) -> str:
        """The UUID of the caller's channel."""
        return self.channel.uuid

    def was_busy(self, at: float, until: float) -> bool:
        """Say whether the caller came elsewhere before it was to be where it was sent to.

        It may have been sent on, or have hung up, or a bridge was ordered in the same instant and won.
        """
        is_gone = self.ended_at is not None and self.ended_at <= until
        return is_gone or at < self.moved_at <= until or any(at < t.began_at <= until for t in self.talks)

    def was_sent_since(self, at: float) -> bool:
        """Say whether the caller was sent anywhere at this moment or after it."""
        return self.moved_at >= at

    @property
    def is_talking(self) -> bool:
        """Whether the caller talks to an agent now."""
        return bool(self.talks) and self.talks[-1].ended_at is None


class Truth:
    """All stories of an hour, and what in them nobody may have done."""

    def __init__(self, timeline: Timeline) -> None:
        self.stories: dict[str, Story] = {}
        self.alive: dict[str, Story] = {}
        """The stories that have not ended."""
        self.legs: dict[str, Leg] = {}
        self.wrongs: list[tuple[str, tuple[str, ...]]] = []
        """What was done to callers by nobody who may: the words, and whom it concerns."""
        self._timeline = timeline

    def watch(self, switch: Switch) -> None:
        """Follow everything that happens on this switch."""
        switch.on_observed(lambda name, uuid, at, other: self._notice(switch, name, uuid, at, other))

    def placed(self, switch: Switch, uuid: str, at: float, *, is_called_back: bool = False) -> Story:
        """A caller is on the line; it must be told at once, before anything happens to it."""
        channel = switch.locate(uuid)
        assert channel is not None, "a call that was just placed is up"
        story = Story(channel, switch, at, is_called_back=is_called_back)
        self.stories[uuid] = self.alive[uuid] = story
        self._timeline.name(uuid, f"caller{len(self.stories)}")
        return story

    def crashed(self, switch: Switch, at: float) -> None:
        """A switch is gone, and with it all who were on it."""
        for story in list(self.alive.values()):
            if story.switch is switch:
                self._end(story, "switch", at)

    def send(self, story: Story, queue: str, at: float) -> None:
        """Transfer a caller into a queue, or elsewhere with "", as anybody on the switch may."""
        story.moved_at, story.is_moved = at, not queue
        if queue:
            story.entered.append((at, queue))
        else:
            story.times_moved += 1
        where = queue or "elsewhere"
        self._timeline.add(at, "people", f"{story.uuid} is sent to {where}", story.uuid)
        story.channel.transfer(f"enter-{queue}" if queue else "answer", "default")

    def _notice(self, switch: Switch, name: str, uuid: str, at: float, other: str) -> None:
        if name == "call-placed":
            self.placed(switch, uuid, at)
        if not name.startswith("runs set"):
            what = f"{name} {uuid}{' with ' + other if other else ''}"
            self._timeline.add(at, switch.name, what, uuid, other)
        if name in ("leg-ringing", "leg-answered"):
            self._notice_leg(switch, uuid, at)
        elif name == "bridged":
            self._begin_talk(uuid, other, at)
        elif name == "unbridged":
            for one in (uuid, other):
                self._end_talk(one, at)
        elif name == "hung-up":
            if uuid in self.alive:
                story = self.alive[uuid]
                self._end(story, self._who_ended(story), at)
            elif uuid in self.legs:
                self._leg_ended(self.legs[uuid])

    def _notice_leg(self, switch: Switch, uuid: str, at: float) -> None:
        channel = switch.locate(uuid)
        if channel is None:
            return
        if channel.variable("cc_side") == "member":
            if channel.is_answered and uuid not in self.stories:
                self.placed(switch, uuid, at, is_called_back=True)
        elif uuid not in self.legs and channel.variable("cc_side") == "agent":
            agent, caller_uuid = channel.variable("cc_agent"), channel.variable("cc_member_uuid")
            self.legs[uuid] = Leg(channel, agent, caller_uuid)
            self._timeline.name(uuid, f"leg{len(self.legs)}({agent})")

    def _begin_talk(self, uuid: str, other: str, at: float) -> None:
        if uuid in self.legs:
            uuid, other = other, uuid
        if uuid in self.stories and other in self.legs:
            story = self.stories[uuid]
            leg, talks = self.legs[other], story.talks
            leg.caller_uuid = uuid  # of whom nothing was known when a callback's agent was rung
            if story.is_moved and story.moved_at and at > story.moved_at + PULL_SECONDS:
                about = (uuid, leg.channel.uuid, leg.agent)
                self.wrongs.append((f"{uuid} was pulled back, out of where it was sent", about))
            if talks and talks[-1].leg is leg:
                talks[-1].ended_at = None  # The agent has asked a colleague, and is back.
            else:
                talks.append(Talk(leg, at))
        for one in (uuid, other):
            if one in self.stories and not {uuid, other} & self.legs.keys():
                self.stories[one].is_moved = True  # The agent has left the caller to a colleague.

    def _end_talk(self, uuid: str, at: float) -> None:
        story = self.stories.get(uuid)
        if story is not None and story.is_talking:
            story.talks[-1].ended_at = at

    def _end(self, story: Story, by: str, at: float) -> None:
        self._end_talk(story.uuid, at)
        story.ended_at, story.ended_by = at, by
        del self.alive[story.uuid]
        self._timeline.add(at, "truth", f"{story.uuid} was ended by {by or 'nobody who may'}", story.uuid)
        if not by:
            cause = story.channel.hangup_cause
            said = {name: story.channel.variable(name) for name in LEADING}
            self._timeline.add(at, "truth", f"{story.uuid} had {said}", story.uuid)
            self.wrongs.append((f"the caller {story.uuid} was dropped, with {cause}", (story.uuid,)))

    def _who_ended(self, story: Story) -> str:
        channel = story.channel
        if channel.was_hung_up_by_far_end:
            return "caller"
        if channel.hangup_cause == "SYSTEM_SHUTDOWN":
            return "switch"
        if story.is_ordered_away:
            return "order"
        if story.is_moved:
            return "dialplan"
        if story.talks and _hung_up_itself(story.talks[-1].leg.channel):
            return "agent"
        if channel.variable("callctl_reason") in GIVEN_BACK:
            return "dialplan"
        if story.is_called_back and not story.talks:
            return "callctl"  # The agent for whom the caller was called is gone: another one calls again.
        return ""

    def _leg_ended(self, leg: Leg) -> None:
        story = self.stories.get(leg.caller_uuid)
        if story is None or not story.is_talking or story.talks[-1].leg is not leg:
            return
        if leg.channel.hangup_cause == "BLIND_TRANSFER" and not story.was_sent_since(
            story.talks[-1].began_at
        ):
            story.is_moved = True
        if not (
            _hung_up_itself(leg.channel)
            or leg.channel.hangup_cause == "SYSTEM_SHUTDOWN"
            or story.ended_at is not None
            or story.is_ordered_away
            or story.is_moved
            or story.was_sent_since(story.talks[-1].began_at)
        ):
            about = (story.uuid, leg.channel.uuid, leg.agent)
            self.wrongs.append((f"the talk of {story.uuid} with {leg.agent} was cut", about))


def _hung_up_itself(channel: Channel) -> bool:
    return not channel.is_up and channel.was_hung_up_by_far_end
