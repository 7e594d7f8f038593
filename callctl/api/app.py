"""Which path leads where: everything on the control socket, and on `[http]` what needs no token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from callctl.api.agents import Agents
from callctl.api.calls import Calls
from callctl.api.health import Health
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.api.problems import handlers
from callctl.api.queues import Queues

Endpoint = Callable[[Request], Awaitable[Response]]

API = "/api/v1"


def control_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on the control socket: all there is, to whoever may open the socket."""
    return _app([*health_routes(house, metrics), *api_routes(house)])


def public_app(house: House, metrics: Metrics) -> Starlette:
    """Return what answers on `[http]`."""
    return _app(health_routes(house, metrics))


def health_routes(house: House, metrics: Metrics) -> list[BaseRoute]:
    """Return the routes for monitoring."""
    health = Health(house, metrics)
    return [
        _resource("/healthz", GET=health.alive),
        _resource("/readyz", GET=health.ready),
        _resource("/metrics", GET=health.show_metrics),
    ]


def api_routes(house: House) -> list[BaseRoute]:
    """Return the routes below `/api/v1`."""
    agents, queues, calls = Agents(house), Queues(house), Calls(house)
    return [
        _under_api("/agents", GET=agents.list_all),
        _under_api(
            "/agents/{name}", GET=agents.show, PUT=agents.put, PATCH=agents.patch, DELETE=agents.delete
        ),
        _under_api("/agents/{name}/status", POST=agents.set_status),
        _under_api("/agents/{name}/wrap-up", POST=agents.change_wrap_up),
        _under_api("/queues", GET=queues.list_all),
        _under_api("/queues/{name}", GET=queues.show),
        _under_api("/queues/{queue}/tiers", GET=queues.list_tiers),
        _under_api(
            "/queues/{queue}/tiers/{agent}",
            GET=queues.show_tier,
            PUT=queues.put_tier,
            DELETE=queues.delete_tier,
        ),
        _under_api("/calls", GET=calls.list_all),
        _under_api("/calls/{uuid}", GET=calls.show),
        _under_api("/calls/{uuid}/hangup", POST=calls.hang_up),
        _under_api("/calls/{uuid}/transfer", POST=calls.transfer),
        _under_api("/calls/{uuid}/priority", POST=calls.set_priority),
        _under_api("/calls/{uuid}/withdraw", POST=calls.withdraw),
    ]


def _app(routes: list[BaseRoute]) -> Starlette:
    app = Starlette(routes=routes, exception_handlers=handlers())
    # A path with a slash too many is a wrong path, and is told so.
    app.router.redirect_slashes = False
    return app


def _under_api(path: str, **by_method: Endpoint) -> Route:
    return _resource(API + path, **by_method)


def _resource(path: str, **by_method: Endpoint) -> Route:
    """Return the route of one path; any other method than these is refused, with those that there are."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await by_method[method](request)

    return Route(path, endpoint, methods=list(by_method))
