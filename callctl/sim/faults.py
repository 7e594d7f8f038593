"""What may go wrong on purpose: the switchable faults of the stand-in.

Each is off by default, and may be switched on and off while the switch runs. Whole catastrophes (a crash,
a lost network, a stall) are orders to the `Switch` itself.
"""

from __future__ import annotations

import trio
from attrs import define


@define(kw_only=True)
class Faults:
    """Probabilities are from 0 to 1 and apply to each case anew; durations are in seconds."""

    lost_jobs: float = 0.0
    """How likely a BACKGROUND_JOB event never reaches anybody."""

    lost_events: float = 0.0
    """How likely any other event is not delivered to a listener."""

    late_events: float = 0.0
    """How likely an event is held back, so that later ones overtake it."""

    late_seconds: float = 0.05
    """How long an event is held back at most. 20 to 60 ms were seen between threads of the same switch."""

    missing_completions: float = 0.0
    """How likely the CHANNEL_EXECUTE_COMPLETE of an application never comes."""

    failed_bridges: float = 0.0
    """How likely a bridge that was answered with +OK does not come about, the caller living on."""

    broken_connections: float = 0.0
    """How likely a command finds its connection cut instead of an answer."""

    api_seconds: float = 0.0
    """How long each `api` command takes; nothing else moves on its connection meanwhile."""

    one_byte_at_a_time: bool = False
    """Deliver every message byte by byte."""

    refuse_by_acl: bool = False
    """Turn every inbound connection away, as the access list does."""

    refuse_login: bool = False
    """Find every password wrong."""

    refuse_originate: str = ""
    """The cause with which every originate fails, such as NORMAL_CIRCUIT_CONGESTION; "" for none."""


class Gate:
    """Something that is open, or else makes everybody wait: a stall, a lost network."""

    def __init__(self) -> None:
        self._opened = trio.Event()
        self._opened.set()

    def open(self) -> None:
        """Let everybody through who waits."""
        self._opened.set()

    def close(self) -> None:
        """Make everybody wait from now on."""
        if self._opened.is_set():
            self._opened = trio.Event()

    async def passed(self) -> None:
        """Return once it is open."""
        if not self._opened.is_set():
            await self._opened.wait()
