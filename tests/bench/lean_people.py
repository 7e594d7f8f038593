"""Who calls and who is rung on the lean switch, and what a bench hears of them."""

from __future__ import annotations

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
    commands: int = 0
    events: int = 0

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
