"""Answers without an end: server-sent events, to clients who may read slowly, go away, or stay for days.

Hypercorn's Trio worker never cancels a handler whose client has gone, so each stream watches for that itself.
A stream says why it ends in an event named `closed`, wherever the client can still be told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
import trio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from callctl.api.access import Principal
from callctl.api.listeners import FAREWELL_SECONDS
from callctl.errors import StoreError
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
"""How long nothing is sent at most: proxies close what is silent for long, and a dead client is noticed."""

SLOW_SECONDS = 3.0
"""How long a client may take to read what it was sent. One who takes longer is told so and dropped; one who
does not read at all the listener drops after 10 s."""

RETRY_MILLISECONDS = 2000
"""When a browser comes again after a stream was closed."""

TOO_SLOW = "you read too slowly; come again, and read on from the last event"
TOO_SLOW_LIVE = "you read too slowly; come again, and a new snapshot comes first"
EXPIRED = "the token has expired"
REVOKED = "the token was revoked"
STOPPING = "callctl stops"


class StreamClosed(Exception):
    """A stream is to end; the words say why, and the client is told."""


class Line:
    """The way to one client of a stream."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, data: bytes) -> None:
        """Send a piece of the stream. Raises StreamClosed for a client who reads too slowly."""
        began = trio.current_time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if trio.current_time() - began > SLOW_SECONDS:
            Refusals.of_this_run().note(
                Refusal.HTTP_SLOW_STREAMS, log.warning, "a client of a stream reads too slowly"
            )
            raise StreamClosed(TOO_SLOW)


class EventStream(Response):
    """An answer that goes on until the client has gone, the token has expired, or callctl stops."""

    media_type = "text/event-stream"

    def __init__(self, feed: Callable[[Line], Awaitable[None]], principal: Principal, now: float) -> None:
        """`feed` sends all there is, without an end; it may raise StreamClosed. `now` is in epoch seconds."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._seconds = None if principal.expires_at is None else max(0.0, principal.expires_at - now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        start: Message = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        why, gone = "", trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, receive, gone, nursery.cancel_scope)
            try:
                why = await self._feed_until_closed(Line(send))
            except trio.Cancelled:
                if not gone.is_set():
                    with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                        await _say_why(send, STOPPING)
                raise
            nursery.cancel_scope.cancel()
        # Only now, as the end of the answer looks to the watch as if the client had gone.
        await _say_why(send, why)

    async def _feed_until_closed(self, line: Line) -> str:
        seconds = float("inf") if self._seconds is None else self._seconds
        try:
            with trio.move_on_after(seconds):
                await line.send(b"retry: %d\n\n" % RETRY_MILLISECONDS)
                await self._feed(line)
        except (StreamClosed, StoreError) as closed:
            return str(closed)
        return EXPIRED


async def _watch(receive: Receive, gone: trio.Event, stream: trio.CancelScope) -> None:
    """End the stream when its client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
    stream.cancel()


async def _say_why(send: Send, why: str) -> None:
    body = message("closed", msgspec.json.encode({"reason": why}))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def message(name: str, data: bytes, event_id: int | None = None) -> bytes:
    """Return a server-sent event; `data` is on one line."""
    head = b"" if event_id is None else b"id: %d\n" % event_id
    return head + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def heartbeat(event_id: int | None = None) -> bytes:
    """Return what tells a client nothing but that the stream lives, and how far it has come."""
    return b":\n\n" if event_id is None else b":\nid: %d\n\n" % event_id
