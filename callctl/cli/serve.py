"""`callctl serve`: the server, in the foreground."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import structlog
import trio
from attrs import evolve

from callctl.cli.files import raise_file_limit
from callctl.cli.garbage import collect_seldom, start_afresh
from callctl.cli.options import checked_config, whole_config_option
from callctl.config import Config
from callctl.config.load import read_text
from callctl.config.reload import doubt, refuse_empty
from callctl.config.settings import Address, LogNumbers
from callctl.errors import CallctlError, ConfigError
from callctl.logging import background_logging
from callctl.server import Server

log = structlog.get_logger(__name__)

T = TypeVar("T")

DEFAULT_PASSWORD = "ClueCon"

SWITCH_SECONDS = 0.0005
"""How long the thread that writes the history may keep Python to itself while calls wait for it: by default
it is 5 ms, ten times as long as most of what is done for a call."""

READ_SECONDS = 5.0
"""How long reading the configuration may take at a reload."""

STILL_SECONDS = 0.3
"""How long a file must stay as it is before it is taken: many editors empty it first, and write it then."""

CONFIRM_SECONDS = 60.0
"""Within this a second SIGHUP takes over a file that was doubted."""


@click.command()
@whole_config_option
@click.option(
    "--log-numbers",
    type=click.Choice([each.value for each in LogNumbers]),
    help="Show phone numbers in the log whole, or their last three digits alone.",
)
def command(config: Config, log_numbers: str | None) -> None:
    """Run the server in the foreground, until SIGTERM or Ctrl-C.

    Callers who wait when it stops hear music from their dialplan, and keep their place until it is
    back. A second signal stops at once. SIGHUP reloads the queues and agents of the configuration;
    a bad file is refused whole, and the old one stays in force. So is an empty one, and one that would
    close most of the queues or looks cut off; that is taken by a second SIGHUP within a minute.

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
                    else:
                        log.warning("no reload while callctl starts: send SIGHUP again once it serves")
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
        self._doubted = ""
        self._doubted_at = -math.inf
        """The text that was doubted last, and when, on Trio's clock."""

    async def reload(self) -> None:
        """Have the server take over what the files say now; what is wrong with them is logged."""
        async with self._turn:
            try:
                text, config = await self._read()
                self._refuse_doubtful(text, config)
                await self._server.reload(config)
            except CallctlError as error:
                log.error("the configuration is not reloaded, the old one stays", why=str(error))

    async def _read(self) -> tuple[str, Config]:
        """Return the file's text, and what it and the environment say.

        Raises ConfigError, also for a file that is still being written after READ_SECONDS.
        """
        with trio.move_on_after(READ_SECONDS):
            text = await self._text()
            while True:
                await trio.sleep(STILL_SECONDS)
                outcome = await self._outcome()
                text, before = await self._text(), text
                if text != before:
                    continue
                if isinstance(outcome, ConfigError):
                    raise outcome
                return text, outcome
        raise ConfigError(
            f"{self._path or 'it'} cannot be read within {READ_SECONDS:g} s, or is being written"
        )

    async def _text(self) -> str:
        """Return the text of the file; "" where the environment says everything."""
        return "" if self._path is None else await self._in_thread(partial(read_text, self._path))

    async def _outcome(self) -> Config | ConfigError:
        try:
            return await self._in_thread(partial(checked_config, self._path))
        except ConfigError as error:
            return error

    async def _in_thread(self, read: Callable[[], T]) -> T:
        """Read in a thread: a pipe, or a disk on the network, may take for ever.

        What hangs keeps the one thread that there is for this.
        """
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._reader)

    def _refuse_doubtful(self, text: str, config: Config) -> None:
        """Raise ConfigError for what nobody may have meant, unless it is said again."""
        if self._path is None:
            return
        refuse_empty(self._path, text)
        why = doubt(self._server.config, config, text)
        now = trio.current_time()
        is_confirmed = text == self._doubted and now - self._doubted_at < CONFIRM_SECONDS
        self._doubted, self._doubted_at = ("", -math.inf) if why is None or is_confirmed else (text, now)
        if why is not None and not is_confirmed:
            raise ConfigError(
                f"{self._path}: {why}; if that is meant, send SIGHUP again within {CONFIRM_SECONDS:g} s"
            )
