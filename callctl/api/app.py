"""The two applications: the control socket's, whose principal may do everything, and the one on `[http]`."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp

from callctl.api.access import CONTROL_SOCKET, Principal
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.api.operations import Admit, Operation, operations_of, routes_of
from callctl.api.problems import handlers
from callctl.api.request_ids import NamedRequests


def control_app(house: House, metrics: Metrics) -> ASGIApp:
    """Return what answers on the control socket: all there is, to whoever may open the socket."""

    async def everybody(_request: Request, _operation: Operation) -> Principal:
        return CONTROL_SOCKET

    return _app(operations_of(house, metrics), everybody)


def public_app(house: House, metrics: Metrics) -> ASGIApp:
    """Return what answers on `[http]`."""
    return _app(operations_of(house, metrics), house.access.admit)


def _app(operations: Sequence[Operation], admit: Admit) -> ASGIApp:
    app = Starlette(routes=routes_of(operations, admit), exception_handlers=handlers())
    # A path with a slash too many is a wrong path, and is told so.
    app.router.redirect_slashes = False
    # Around everything, so that an answer about a mistake of ours has a name as well.
    return NamedRequests(app)
