"""`/healthz`, `/readyz` and `/metrics`: what monitoring asks, without a token."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response

from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.api.shapes import Alive, Answer, Ready

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
"""Not OpenMetrics: there the gauge callctl_calls and the counter callctl_calls_total were one name twice."""


class Health:
    """How the server stands, for machines."""

    def __init__(self, house: House, metrics: Metrics) -> None:
        self._house = house
        self._metrics = metrics

    async def alive(self, request: Request) -> Response:
        """GET /healthz: whether the process works at all; an answer is the proof."""
        return Answer(Alive(alive=True))

    async def ready(self, request: Request) -> Response:
        """GET /readyz: whether calls should be sent here, and if not, why not."""
        reasons = reasons_not_ready(self._house)
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        warnings = [f"the HTTP API: {problem}" for problem in self._house.access.problems]
        ready = Ready(ready=not reasons, reasons=reasons, warnings=warnings or msgspec.UNSET)
        return Answer(ready, status)

    async def show_metrics(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(generate_latest(self._metrics.registry), headers={"Content-Type": TEXT_FORMAT})


def reasons_not_ready(house: House) -> list[str]:
    """Return in words why no calls should be sent here, nothing if they should."""
    reasons = []
    if house.is_stopping():
        reasons.append("callctl is stopping")
    elif not house.is_serving():
        reasons.append("callctl is starting, and takes no calls yet")
    switches = list(house.switches())
    if not any(switch.is_ready for switch in switches):
        details = (f"{switch.name} ({switch.last_error or 'not yet'})" for switch in switches)
        reasons.append(f"no switch is connected: {', '.join(details)}")
    error = house.journal.statistics().error
    if error is not None:
        reasons.append(f"the history cannot be written: {error}")
    return reasons
