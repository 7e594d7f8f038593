"""`callctl serve`: the server, in the foreground."""

from __future__ import annotations

import signal

import click
import trio

from callctl.cli.options import config_option
from callctl.config import Config
from callctl.server import Server


@click.command()
@config_option
def command(config: Config) -> None:
    """Run the server in the foreground, until SIGTERM or Ctrl-C.

    Callers who wait when it stops hear music from their dialplan, and keep their place until it is
    back. A second signal stops at once.

    \b
    Example:
      callctl serve --config /etc/callctl/callctl.toml
    """
    trio.run(_serve, config)


async def _serve(config: Config) -> None:
    server = Server(config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, server, nursery.cancel_scope)
        await server.run()
        nursery.cancel_scope.cancel()


async def _obey_signals(server: Server, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if server.is_stopping:
                scope.cancel()
            server.stop()
