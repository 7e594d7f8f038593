"""`/live`: how everything stands, and then what changes, at most once a second; for wallboards."""

from __future__ import annotations

from functools import partial

import trio
from starlette.requests import Request
from starlette.responses import Response

from callctl.api.access import Principal, principal_of
from callctl.api.house import House
from callctl.api.streaming import (
    HEARTBEAT_SECONDS,
    REVOKED,
    TOO_SLOW_LIVE,
    EventStream,
    Line,
    StreamClosed,
    heartbeat,
)


class Live:
    """The live picture as a resource."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def stream(self, request: Request) -> Response:
        """GET /live: an event `snapshot`, and then `change` with what is other than before.

        It begins anew with each connection; nothing is resumed.
        """
        principal = principal_of(request)
        return EventStream(partial(self._feed, principal), principal, self._house.now())

    async def _feed(self, principal: Principal, line: Line) -> None:
        hub = self._house.live
        watcher = hub.add(principal.account)
        try:
            while not watcher.is_behind:
                if self._house.access.tokens.is_revoked(principal):
                    raise StreamClosed(REVOKED)
                with trio.move_on_after(HEARTBEAT_SECONDS) as patience:
                    await watcher.wait()
                if patience.cancelled_caught:
                    await line.send(heartbeat())
                while watcher.pieces:
                    await line.send(watcher.pieces.popleft())
            raise StreamClosed(TOO_SLOW_LIVE)
        finally:
            hub.remove(watcher)
