"""What is remembered of callers by their number: a place they left, a callback, whom they talked to."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from attrs import evolve

from callctl.acd.member import Member
from callctl.acd.queue import Queue
from callctl.model import Arrival
from callctl.records.caller_identity import person_of

REMEMBERED_CALLERS = 10_000
"""How many callers' last agents are kept: some days of a large centre, in a few megabytes."""


class _LeftPlace(NamedTuple):
    since: float
    left_at: float


class _LastTalk(NamedTuple):
    agent: str
    ended_at: float


class CallerMemory:
    """Callers who may come back. Those whose number identifies nobody are not remembered."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[str, str], _LeftPlace] = OrderedDict()
        self._talks: OrderedDict[str, _LastTalk] = OrderedDict()
        self._callbacks: dict[tuple[str, str], str] = {}

    def abandoned(self, member: Member, now: float) -> None:
        """A caller hung up while waiting: the place is kept for `discard-abandoned-after` seconds."""
        person, settings = person_of(member.arrival.caller_number), member.queue.settings
        if person and settings.abandoned_resume_allowed and not member.arrival.callback:
            key = settings.name, person
            self._left[key] = _LeftPlace(member.place_since, now)
            self._left.move_to_end(key)
            if len(self._left) > REMEMBERED_CALLERS:
                self._left.popitem(last=False)

    def talked(self, number: str, agent: str, now: float) -> None:
        """A caller talked with an agent until `now`."""
        if person := person_of(number):
            self._talks[person] = _LastTalk(agent, now)
            self._talks.move_to_end(person)
            if len(self._talks) > REMEMBERED_CALLERS:
                self._talks.popitem(last=False)

    def waits(self, member: Member) -> None:
        """A member waits: a callback is remembered, as its caller may call in meanwhile."""
        if member.arrival.callback and (person := person_of(member.arrival.caller_number)):
            self._callbacks[member.queue.name, person] = member.call

    def gone(self, member: Member) -> None:
        """A member does not wait any more."""
        key = member.queue.name, person_of(member.arrival.caller_number)
        if self._callbacks.get(key) == member.call:
            del self._callbacks[key]

    def callback_of(self, arrival: Arrival) -> str | None:
        """Return the callback that waits in this queue for the caller who now called in, or None."""
        if arrival.callback:
            return None
        return self._callbacks.get((arrival.queue, person_of(arrival.caller_number)))

    def recall(self, queue: Queue, arrival: Arrival, now: float) -> Arrival:
        """Return `arrival` with the place and the preferred agent of the caller's earlier visits."""
        settings, person = queue.settings, person_of(arrival.caller_number)
        left = self._left.pop((queue.name, person), None)
        if left is not None and left.left_at >= now - settings.discard_abandoned_after:
            arrival = evolve(arrival, place_since=_earlier(arrival.place_since, left.since))
        talk = self._talks.get(person)
        recently = talk is not None and talk.ended_at >= now - settings.preferred_agent_seconds
        if talk is not None and recently and settings.preferred_agent_seconds and not arrival.preferred_agent:
            # Who does not serve this queue may be another account's agent, whose name is not told here.
            if talk.agent not in queue.seats:
                return arrival
            arrival = evolve(arrival, preferred_agent=talk.agent)
        return arrival


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
