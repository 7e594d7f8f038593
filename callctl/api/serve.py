"""Makes a server visible: its control socket, its `[http]` listener, and the watch over its invariants."""

from __future__ import annotations

import structlog
import trio

from callctl.api.app import control_app, public_app
from callctl.api.house import House
from callctl.api.listeners import serve_control, serve_http
from callctl.api.metrics import Metrics
from callctl.api.watch import watch_invariants
from callctl.config.paths import control_socket
from callctl.config.settings import Address

log = structlog.get_logger(__name__)


async def serve_api(
    house: House,
    metrics: Metrics,
    control_group: str = "",
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and then leave no connection open; reports the port of `[http]`.

    The members of `control_group`, a group of this machine, may open the control socket as well. Raises
    ConfigError when it cannot listen there or beside the database.
    """
    metrics.watch(house)
    house.events.open()
    address = house.access.settings.listen
    async with trio.open_nursery() as nursery:
        path = control_socket(house.database)
        await nursery.start(serve_control, control_app(house, metrics), path, control_group)
        await house.access.tls.load()
        nursery.start_soon(house.access.run)
        port: int = await nursery.start(serve_http, public_app(house, metrics), address, house.access.tls)
        nursery.start_soon(watch_invariants, house, metrics)
        nursery.start_soon(house.live.run)
        log.info("control", socket=str(path), http=str(Address(address.host, port)))
        task_status.started(port)
