"""The two applications: the control socket's, whose principal may do everything, and the one on `[http]`."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from starlette.applications import Starlette
from starlette.requests import Request

from callctl.api.access import CONTROL_SOCKET, Principal
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.api.operations import Authenticate, Operation, operations_of, routes_of
from callctl.api.problems import handlers


def control_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on the control socket: all there is, to whoever may open the socket."""

    async def everybody(_request: Request) -> Principal:
        return CONTROL_SOCKET

    return _app(operations_of(house, metrics), everybody)


def public_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on `[http]`."""
    settings = house.access.settings
    monitoring_is_open = settings.metrics == "open" or settings.listen.is_loopback
    operations = [
        evolve(each, scope=None) if each.is_open_to_monitoring and monitoring_is_open else each
        for each in operations_of(house, metrics)
    ]
    return _app(operations, house.access.authenticate)


def _app(operations: Sequence[Operation], authenticate: Authenticate) -> Starlette:
    app = Starlette(routes=routes_of(operations, authenticate), exception_handlers=handlers())
    # A path with a slash too many is a wrong path, and is told so.
    app.router.redirect_slashes = False
    return app
