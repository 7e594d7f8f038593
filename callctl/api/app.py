"""The two applications: the control socket's, whose principal may do everything, and the one on `[http]`."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request

from callctl.api.access import CONTROL_SOCKET, Principal, unauthorized
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.api.operations import Authenticate, Operation, operations_of, routes_of
from callctl.api.problems import handlers

NO_KEYS = (
    "no key is set with which tokens can be checked; set jwt-secret-file, jwt-public-key-file, jwks-file or "
    "jwks-url in [http] of callctl.toml, and start callctl again"
)


def control_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on the control socket: all there is, to whoever may open the socket."""

    async def everybody(_request: Request) -> Principal:
        return CONTROL_SOCKET

    return _app(operations_of(house, metrics), everybody)


def public_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on `[http]`."""

    async def nobody(_request: Request) -> Principal:
        raise unauthorized(NO_KEYS)

    return _app(operations_of(house, metrics), nobody)


def _app(operations: tuple[Operation, ...], authenticate: Authenticate) -> Starlette:
    app = Starlette(routes=routes_of(operations, authenticate), exception_handlers=handlers())
    # A path with a slash too many is a wrong path, and is told so.
    app.router.redirect_slashes = False
    return app
