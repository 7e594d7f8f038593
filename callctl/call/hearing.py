"""What is heard of a caller on one socket: until it ends, the caller hangs up, or the call is over."""

from __future__ import annotations

from collections.abc import Callable

import trio

from callctl.call.timers import Timer, Timers
from callctl.esl.call_socket import CallItem, CallSocket, ChannelEnded
from callctl.esl.wire import Event

LAST_WORDS_SECONDS = 1.0
"""How long CHANNEL_HANGUP_COMPLETE may come after the notice of the hangup; they are not in order."""


class Hearing:
    """Listens to one socket from now on."""

    def __init__(
        self,
        socket: CallSocket,
        *,
        timers: Timers,
        on_event: Callable[[Event], None],
        on_end: Callable[[bool, bool], None],
    ) -> None:
        """`on_event` gets the channel's events. `on_end` is called once, unless `stop` comes before: with
        whether the caller has hung up, and whether an event has said so.
        """
        self.over = trio.Event()
        """Is set when nothing is heard any more."""
        self.socket = socket
        self._timers = timers
        self._on_event: Callable[[Event], None] | None = on_event
        self._on_end: Callable[[bool, bool], None] | None = on_end
        self._last_words: Timer | None = None
        socket.events.hear(self._take)

    @property
    def has_said_goodbye(self) -> bool:
        """Say whether the caller has hung up, and only the last words are still to come."""
        return self._last_words is not None

    def stop(self) -> None:
        """Listen no more; what comes now waits for the next one who listens. Safe to call again."""
        if not self.over.is_set():
            self.over.set()
            self._on_event = self._on_end = None
            self.socket.events.hear_no_more()
            if self._last_words is not None:
                self._last_words.cancel()

    def _take(self, item: CallItem | None) -> None:
        if self._on_event is None:
            return
        if item is None:
            self._end(hung_up=self._last_words is not None)
        elif isinstance(item, Event):
            self._on_event(item)
            if item.name == "CHANNEL_HANGUP_COMPLETE":
                self._end(hung_up=True, said_so=True)
        elif item.disposition == ChannelEnded.LINGER and self._last_words is None:
            self._last_words = self._timers.after(LAST_WORDS_SECONDS, lambda: self._end(hung_up=True))

    def _end(self, *, hung_up: bool, said_so: bool = False) -> None:
        on_end = self._on_end
        self.stop()
        if on_end is not None:
            on_end(hung_up, said_so)
