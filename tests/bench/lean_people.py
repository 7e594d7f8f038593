"""Who calls and who is rung on the lean switch, and what a bench hears of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import define, field, frozen

from tests.bench.lean_wire import Wire


@frozen(kw_only=True)
class Plan:
    """What the people of one call do. Durations are in seconds, None is never.

    The caller gives up after `patience`, or `leaves_ringing` after the phone began to ring; the agent hangs
    up after `talk_seconds`.
    """

    queue: str = "caller"
    ring_seconds: float | None = 0.2
    talk_seconds: float | None = 1.0
    patience: float | None = None
    leaves_ringing: float | None = None


@define(eq=False)
class Leg:
    """An agent's leg."""

    uuid: str
    agent: str
    call: Call | None
    job: bytes
    order: bytes
    variables: dict[str, str]
    originated_at: float
    is_answered: bool = False
    is_gone: bool = False

    @property
    def values(self) -> dict[str, bytes]:
        """What fills the gaps of a recorded message about this channel."""
        shown = {"cc_side": "agent", "callctl_call": self.variables["callctl_call"]}
        call = self.call
        return {
            "caller": call.uuid.encode() if call is not None and call.leg is self else b"",
            "leg": self.uuid.encode(),
            "number": call.number.encode() if call is not None else b"",
            "variables": as_members(shown) + b',"Channel-Presence-ID":"%b@127.0.0.1"' % self.agent.encode(),
            "application": b"",
        }


@define(eq=False)
class Call:
    """A caller, and what happened when, by `time.perf_counter`; 0: not yet."""

    uuid: str
    number: str
    plan: Plan
    created_at: float
    variables: dict[str, str] = field(factory=dict)
    wire: Wire | None = None
    leg: Leg | None = None
    ringing: list[Leg] = field(factory=list)
    music_uuid: bytes = b""
    is_followed: bool = False
    is_over: bool = False
    is_handled: bool = False
    placed_at: float = 0.0
    music_at: float = 0.0
    bridged_at: float = 0.0
    gone_at: float = 0.0

    @property
    def values(self) -> dict[str, bytes]:
        """What fills the gaps of a recorded message about this channel."""
        return {
            "caller": self.uuid.encode(),
            "leg": self.leg.uuid.encode() if self.leg is not None else b"",
            "number": self.number.encode(),
            "variables": b"",
            "application": b"",
        }

    @property
    def is_heard(self) -> bool:
        """Say whether a controller has this caller on a socket, and plays music."""
        return self.wire is not None and self.music_at > 0

    @property
    def is_talking(self) -> bool:
        return self.leg is not None and not self.is_over


class Watcher:
    """What a bench hears of the switch: every method is called at the very moment, and does nothing here."""

    def originate(self, leg: Leg) -> None:
        """An agent is to be rung."""

    def cancelled(self, leg: Leg) -> None:
        """A leg that rings was hung up by order."""

    def freed(self, agent: str) -> None:
        """The messages that tell of the end of this agent's talk are being sent."""

    def bridged(self, call: Call) -> None:
        """A caller and an agent hear each other."""

    def over(self, call: Call) -> None:
        """A call has ended."""


def as_members(variables: Mapping[str, str]) -> bytes:
    """Return channel variables as members of a JSON object, each with a comma ahead of it."""
    return b"".join(
        b",%b:%b" % (json.dumps(f"variable_{name}").encode(), json.dumps(value).encode())
        for name, value in variables.items()
        if value
    )
