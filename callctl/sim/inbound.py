"""The inbound side of Event Socket: clients connect to the switch, on TCP or any other stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from callctl.sim.listener import Listener

if TYPE_CHECKING:
    from callctl.sim.switch import Switch


async def serve_inbound(switch: Switch, stream: trio.abc.Stream) -> None:
    """Serve one client to the end of its connection. Cancellation cuts it without a word."""
    listener = Listener(switch, stream)
    listener.enlist()
    await listener.run()


async def listen_inbound(
    switch: Switch,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept clients on real TCP for ever; reports the port that it listens on."""
    listeners = await trio.open_tcp_listeners(port, host=host)

    async def serve(stream: trio.SocketStream) -> None:
        await serve_inbound(switch, stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])
