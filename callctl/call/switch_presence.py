"""Whether a switch is there: ready for orders, away for now, or gone with all its calls."""

from __future__ import annotations

import math

import structlog
import trio

from callctl.esl.inbound import Attempt

log = structlog.get_logger(__name__)

SWITCH_LOST_SECONDS = 300.0
"""How long a switch may stay away before its calls count as lost and their agents as free, whatever it is
that keeps us from it."""

GONE_SECONDS = {Attempt.REFUSED: 10.0, Attempt.UNANSWERED: 120.0}
"""How long that may be where more is known. A machine on which nobody listens runs no FreeSWITCH, and so no
call; a reload of mod_event_socket takes less than a second. A machine that says nothing may be without power
or without a network, in which talks go on: as long as TCP takes to find the same of the calls' sockets."""


class SwitchPresence:
    """What is known of one switch's presence. Its `Switch` tells it what happens to the link."""

    def __init__(self) -> None:
        self._ready = trio.Event()
        self._lost = trio.Event()
        self._settled = trio.Event()
        """Set while the switch is ready, and while it counts as gone."""
        self._identified = trio.Event()
        """Set while it is known which run of FreeSWITCH this is."""
        self._away_since = 0.0
        """Since when nothing has been heard of it, on Trio's clock, while it is not ready."""
        self._lost_at: float | None = None
        """When it was last there before it was lost last."""
        self._is_gone = False

    # --- what is asked ---

    @property
    def is_ready(self) -> bool:
        """Say whether the switch is connected and reconciled."""
        return self._ready.is_set()

    @property
    def is_gone(self) -> bool:
        """Say whether the switch has been away for so long that its calls count as lost."""
        return self._is_gone

    @property
    def silent_seconds(self) -> float:
        """For how long nothing has been heard of the calls that were on it when it was lost last."""
        return 0.0 if self._lost_at is None else trio.current_time() - self._lost_at

    async def wait_ready(self) -> None:
        """Wait until the switch is connected and what we know of it is true."""
        await self._ready.wait()

    async def wait_lost(self) -> None:
        """Wait until a connection that is up is lost."""
        await self._lost.wait()

    async def wait_settled(self) -> None:
        """Wait until the switch is ready, or counts as gone."""
        await self._settled.wait()

    async def wait_identified(self) -> None:
        """Wait until it is known which run of FreeSWITCH this is."""
        await self._identified.wait()

    # --- what happens ---

    def begin(self) -> None:
        """From now on the switch is looked for."""
        self._away_since = trio.current_time()

    def come_up(self) -> None:
        """It is connected."""
        self._lost = trio.Event()

    def be_identified(self) -> None:
        """It has said which run of FreeSWITCH it is."""
        self._identified.set()

    def be_ready(self) -> None:
        """It is reconciled."""
        self._is_gone = False
        self._ready.set()
        self._settled.set()

    def go_down(self, lost_at: float) -> None:
        """The connection is lost; the switch was last there at `lost_at`, on Trio's clock."""
        if self.is_ready:
            self._away_since = self._lost_at = lost_at
            self._settled = trio.Event()
        self._ready, self._identified = trio.Event(), trio.Event()
        self._lost.set()

    def miss(self, name: str, attempt: Attempt) -> None:
        """It could not be reached, as `attempt` says."""
        away_seconds = trio.current_time() - self._away_since
        if not self._is_gone and away_seconds >= GONE_SECONDS.get(attempt, math.inf):
            log.error("switch is gone, and its calls count as lost", switch=name, away=round(away_seconds))
            self._is_gone = True
            self._settled.set()
