"""`callctl serve`: the server, in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click
import structlog
import trio
from attrs import evolve

from callctl.cli.files import raise_file_limit
from callctl.cli.garbage import collect_seldom, start_afresh
from callctl.cli.options import checked_config, config_option
from callctl.config import Config
from callctl.config.settings import Address, LogNumbers
from callctl.errors import CallctlError, ConfigError
from callctl.logging import background_logging
from callctl.server import Server

log = structlog.get_logger(__name__)

DEFAULT_PASSWORD = "ClueCon"

SWITCH_SECONDS = 0.0005
"""How long the thread that writes the history may keep Python to itself while calls wait for it: by default
it is 5 ms, ten times as long as most of what is done for a call."""

READ_SECONDS = 5.0
"""How long reading the configuration may take at a reload."""


@click.command()
@config_option
@click.option(
    "--log-numbers",
    type=click.Choice([each.value for each in LogNumbers]),
    help="Show phone numbers in the log whole, or their last three digits alone.",
)
def command(config: Config, log_numbers: str | None) -> None:
    """Run the server in the foreground, until SIGTERM or Ctrl-C.

    Callers who wait when it stops hear music from their dialplan, and keep their place until it is
    back. A second signal stops at once. SIGHUP reloads the queues and agents of the configuration;
    a bad file is refused whole, and the old one stays in force.

    \b
    Example:
      callctl serve --config /etc/callctl/callctl.toml
    """
    settings = config.log if log_numbers is None else evolve(config.log, numbers=LogNumbers(log_numbers))
    with background_logging(settings):
        _warn_of_open_doors(config)
        _have_files_for(config.server.max_calls)
        sys.setswitchinterval(SWITCH_SECONDS)
        start_afresh()
        trio.run(_serve, config)


def _warn_of_open_doors(config: Config) -> None:
    for switch in config.switches:
        address = Address(switch.host, switch.port)
        if switch.password == DEFAULT_PASSWORD and not address.is_loopback:
            log.warning(
                "the switch has FreeSWITCH's default password; give it one of its own "
                "in event_socket.conf.xml, and the same here",
                switch=switch.name,
                host=str(address),
            )


def _have_files_for(max_calls: int) -> None:
    calls = raise_file_limit(max_calls)
    if calls < max_calls:
        log.warning(
            "the system allows fewer open files than max-calls needs; raise LimitNOFILE in callctl's unit, "
            "or the hard limit of ulimit -n",
            calls=calls,
            max_calls=max_calls,
        )


async def _serve(config: Config) -> None:
    server = Server(config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, server, config.path, nursery.cancel_scope)
        nursery.start_soon(collect_seldom, lambda: server.calls)
        await server.run()
        nursery.cancel_scope.cancel()


async def _obey_signals(server: Server, path: Path | None, scope: trio.CancelScope) -> None:
    reloads = _Reloads(server, path)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            async for number in signals:
                if number == signal.SIGHUP:
                    if server.is_serving:
                        # Beside this task: a file that cannot be read must not keep us from stopping.
                        nursery.start_soon(reloads.reload)
                    continue
                if server.is_stopping:
                    scope.cancel()
                server.stop()


class _Reloads:
    """The configuration is read again, once at a time, and without keeping anybody waiting."""

    def __init__(self, server: Server, path: Path | None) -> None:
        self._server = server
        self._path = path
        self._turn = trio.StrictFIFOLock()
        self._reader = trio.CapacityLimiter(1)

    async def reload(self) -> None:
        """Have the server take over what the files say now; what is wrong with them is logged."""
        async with self._turn:
            try:
                await self._server.reload(await self._read())
            except CallctlError as error:
                log.error("the configuration is not reloaded, the old one stays", why=str(error))

    async def _read(self) -> Config:
        """Read the files in a thread: a pipe, or a disk on the network, may take for ever.

        Raises ConfigError. What hangs keeps the one thread that there is for this.
        """
        with trio.move_on_after(READ_SECONDS):
            return await trio.to_thread.run_sync(
                checked_config, self._path, abandon_on_cancel=True, limiter=self._reader
            )
        raise ConfigError(f"{self._path or 'the configuration'} cannot be read within {READ_SECONDS:g} s")
