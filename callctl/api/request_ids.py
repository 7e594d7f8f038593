"""A name for each request, which stands in its answer and in every line that is logged for it.

A client, or its proxy, may name a request itself with `X-Request-ID`, and so find it again on both sides.
"""

from __future__ import annotations

import re

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callctl.ids import Ids

HEADER = "X-Request-ID"
USUAL_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What each answer says that says nothing else: it is about calls and people, and is what it says to be."""

IN_SCOPE = "callctl.request_id"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class NamedRequests:
    """An app whose requests have names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ids = Ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _NAME.fullmatch(given) else self._ids.uuid()
        scope[IN_SCOPE] = name

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[HEADER] = name
                for other, value in USUAL_HEADERS.items():
                    headers.setdefault(other, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=name):
            await self._app(scope, receive, send_with_name)
