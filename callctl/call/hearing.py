"""What is heard of a caller on one socket: until it ends, the caller hangs up, or the call is over."""

from __future__ import annotations

from collections.abc import Callable

import trio

from callctl.call.timers import Timer, Timers
from callctl.esl.call_socket import CallItem, CallSocket, ChannelEnded
from callctl.esl.wire import Event

HANGUP_SECONDS = 1.0
"""How long CHANNEL_HANGUP_COMPLETE may come after the notice of the hangup; they are not in order. After
that the caller counts as gone, though the event may still tell how: a switch that is overloaded tells late,
and one whose thread is busy with a consultation tells only at the end of that."""


class Hearing:
    """Listens to one socket from now on."""

    def __init__(
        self,
        socket: CallSocket,
        *,
        timers: Timers,
        on_event: Callable[[Event], None],
        on_gone: Callable[[], None],
        on_end: Callable[[bool], None],
    ) -> None:
        """`on_event` gets the channel's events. `on_gone` is called when the caller has hung up and no event
        has said so yet. `on_end` is called once, unless `stop` comes before: with whether the caller has hung
        up.
        """
        self.over = trio.Event()
        """Is set when nothing is heard any more."""
        self.socket = socket
        self._timers = timers
        self._on_event: Callable[[Event], None] | None = on_event
        self._on_gone: Callable[[], None] | None = on_gone
        self._on_end: Callable[[bool], None] | None = on_end
        self._last_words: Timer | None = None
        self._has_told = False
        socket.events.hear(self._take)

    @property
    def has_said_goodbye(self) -> bool:
        """Say whether the caller has hung up, and only the last words are still to come."""
        return self._last_words is not None

    def stop(self) -> None:
        """Listen no more; what comes now waits for the next one who listens. Safe to call again."""
        if not self.over.is_set():
            self.over.set()
            self._on_event = self._on_gone = self._on_end = None
            self.socket.events.hear_no_more()
            if self._last_words is not None:
                self._last_words.cancel()

    def _take(self, item: CallItem | None) -> None:
        if self._on_event is None:
            return
        if item is None:
            self._end(hung_up=self.has_said_goodbye)
        elif isinstance(item, Event):
            self._on_event(item)
            if item.name == "CHANNEL_HANGUP_COMPLETE":
                self._has_told = True
                self._end(hung_up=True)
        elif item.disposition == ChannelEnded.LINGER and self._last_words is None:
            self._last_words = self._timers.after(HANGUP_SECONDS, self._tell_gone)

    def _tell_gone(self) -> None:
        if not self._has_told and self._on_gone is not None:
            self._has_told = True
            self._on_gone()

    def _end(self, *, hung_up: bool) -> None:
        if self._on_end is None:
            return
        on_end = self._on_end
        if hung_up:
            self._tell_gone()
        self.stop()
        on_end(hung_up)
