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
    """Accept clients on real TCP for ever; reports the port that it listens on.

    While the switch is down, nobody listens there: who connects is refused.
    """

    async def serve(stream: trio.SocketStream) -> None:
        await serve_inbound(switch, stream)

    is_first = True
    while True:
        listeners = await trio.open_tcp_listeners(port, host=host)
        port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, serve, listeners)
            if is_first:
                task_status.started(port)
                is_first = False
            await switch.wait_down()
            nursery.cancel_scope.cancel()
        await switch.wait_running()
