"""`/events`: what happens, as it happens, and from wherever the client has read to."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

import trio
from attrs import frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from callctl.api.access import Principal, principal_of
from callctl.api.house import House
from callctl.api.reading import query_of
from callctl.api.streaming import (
    HEARTBEAT_SECONDS,
    REVOKED,
    EventStream,
    Line,
    StreamClosed,
    heartbeat,
    message,
)
from callctl.errors import ConfigError
from callctl.store.event_log import EventFilter, StoredEvent, events_after, pruned_through
from callctl.store.event_types import CATALOGUE

AT_ONCE = 100
"""How many events are sent in one piece: about 60 kB."""

LONGEST_SEQUENCE = 18
"""So many digits at most, as SQLite's whole numbers end at nineteen."""


@frozen(kw_only=True)
class EventsQuery:
    """Which events are wanted, and `after` which sequence (0: all there are); "" means from now on.

    Each list that is not empty must hold the event's: `type`, `queue`, `agent` (a name) or `call` (the key of
    the visit).
    """

    after: str = ""
    type: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    call: tuple[str, ...] = ()


class Events:
    """The stream of events as a resource."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def stream(self, request: Request) -> Response:
        """GET /events: server-sent events; `Last-Event-ID`, or `after`, says what was read last.

        Answers 410 where events after that one were removed as too old, or it is none of this database.
        """
        query, principal = query_of(request, EventsQuery), principal_of(request)
        for name in query.type:
            if name not in CATALOGUE:
                raise ConfigError(
                    f"type: there are no events {name[:60]!r}; there are {', '.join(CATALOGUE)}"
                )
        after = _last_read(request, query)
        if after is None:
            after = self._house.events.last
        else:
            await self._check_is_kept(after)
        wanted = EventFilter(
            types=frozenset(query.type),
            queues=frozenset(query.queue),
            agents=frozenset(query.agent),
            calls=frozenset(query.call),
            account=None if principal.sees_every_account else principal.account,
            only_agent=principal.only_agent,
        )
        return EventStream(partial(self._feed, after, wanted, principal), principal, self._house.now())

    async def _check_is_kept(self, after: int) -> None:
        if after > self._house.events.last:
            raise HTTPException(
                HTTPStatus.GONE,
                f"the last event is {self._house.events.last}, not {after}: the database is another one now, "
                "such as a backup; read from after=0, or without it from now on",
            )
        removed = await self._house.look_up(pruned_through)
        if 0 < after < removed:
            raise HTTPException(
                HTTPStatus.GONE,
                f"events up to {removed} were removed as too old (callctl prune), and you have read up to "
                f"{after}; read from after=0 to get what there is",
            )

    async def _feed(self, after: int, wanted: EventFilter, principal: Principal, line: Line) -> None:
        hub = self._house.events
        while True:
            if self._house.access.tokens.is_revoked(principal):
                raise StreamClosed(REVOKED)
            events = await self._after(after)
            for start in range(0, len(events), AT_ONCE):
                piece = events[start : start + AT_ONCE]
                frames = [
                    message(each.type, each.envelope, each.sequence) for each in piece if wanted.takes(each)
                ]
                if frames:
                    await line.send(b"".join(frames))
                after = piece[-1].sequence
            if events:
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(HEARTBEAT_SECONDS) as patience:
                await hub.wait_after(after)
            if patience.cancelled_caught:
                await line.send(heartbeat(after))

    async def _after(self, sequence: int) -> list[StoredEvent]:
        """Return the next events: from memory, or of one who has been away for longer from the database."""
        events = self._house.events.after(sequence)
        if events is not None:
            return events
        return await self._house.look_up(lambda connection: events_after(connection, sequence))


def _last_read(request: Request, query: EventsQuery) -> int | None:
    """Return the sequence of the event that was read last, None if the client says none."""
    header = request.headers.get("last-event-id", "")
    text, name = (header, "Last-Event-ID") if header else (query.after, "after")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_SEQUENCE):
        raise ConfigError(f"{name}: must be the sequence of an event, a number, or 0 for all there are")
    return int(text)
