"""A FreeSWITCH process of the tests' own: configured, started, asked, and stopped."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from callctl.esl.inbound import SwitchLink
from callctl.esl.wire import Event
from callctl.ids import Ids
from tests.live.configuration import NEEDED_MODULES, PASSWORD, Ports, write_configuration
from tests.live.patience import until

START_SECONDS = 60.0
"""How long FreeSWITCH may take to be ready; two seconds on an idle machine."""

STOP_SECONDS = 20.0


class UnusableFreeSwitch(Exception):
    """What was given as PREFIX is no FreeSWITCH that the tests can use."""


class FreeSwitch:
    """One installed FreeSWITCH, running with the tests' configuration in a directory of its own."""

    def __init__(self, prefix: Path, directory: Path) -> None:
        """Write the configuration into `directory`. Raises UnusableFreeSwitch."""
        self._binary = prefix / "bin" / "freeswitch"
        if not self._binary.is_file():
            raise UnusableFreeSwitch(f"there is no {self._binary}")
        modules = next((path.parent for path in prefix.glob("**/mod_sofia.so")), None)
        if modules is None:
            raise UnusableFreeSwitch(f"there is no mod_sofia.so under {prefix}")
        self._modules = modules
        if missing := [name for name in NEEDED_MODULES if not self.has_module(name)]:
            raise UnusableFreeSwitch(f"{modules} lacks {', '.join(missing)}")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = Ports()
        write_configuration(directory / "conf", self.ports, modules)
        for name in ("log", "db", "run", "temp"):
            (directory / name).mkdir()

    def has_module(self, name: str) -> bool:
        """Say whether a module is installed."""
        return (self._modules / f"{name}.so").is_file()

    def phone(self, name: str) -> str:
        """Return the dial string of a phone, such as `ring500`."""
        return f"sofia/phones/{name}@127.0.0.1:{self.ports.phones}"

    @property
    def log(self) -> str:
        """What FreeSWITCH complained of."""
        path = self._directory / "log" / "freeswitch.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it can be used."""
        places = {name: self._directory / name for name in ("conf", "log", "db", "run", "temp")}
        options = [text for name, path in places.items() for text in (f"-{name}", str(path))]
        # Not plain -nc: it forks. -np: realtime priority would starve callctl on a small machine.
        command = [str(self._binary), "-nc", "-nf", "-np", "-nonat", *options]
        with (self._directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    async def is_listening(self) -> bool:
        """Say whether it takes connections for its Event Socket."""
        return await _is_open(self.ports.event_socket)

    async def wait_ready(self) -> None:
        """Wait until all SIP profiles run."""
        await until(self.is_listening, START_SECONDS)
        async with self.console() as console:
            await until(console.is_ready, START_SECONDS)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in good order; its calls are hung up."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @asynccontextmanager
    async def console(
        self, on_event: Callable[[Event], None] | None = None, *events: str
    ) -> AsyncIterator[Console]:
        """Log in beside callctl, for orders that are none of callctl's; closes the connection at the end.

        `on_event` gets these `events` of all channels.
        """
        link = SwitchLink(
            name="console",
            host="127.0.0.1",
            port=self.ports.event_socket,
            password=PASSWORD,
            on_event=on_event or _ignore,
            on_up=_no_reconciliation,
            on_down=_ignore,
            ids=Ids(),
            random=random.Random(),
            events=("BACKGROUND_JOB", "HEARTBEAT", *events),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            yield Console(link)
            nursery.cancel_scope.cancel()


class Console:
    """Orders to FreeSWITCH, and questions."""

    def __init__(self, link: SwitchLink) -> None:
        self._link = link

    async def api(self, command: str) -> str:
        """Run a command and return its answer; waits for a FreeSWITCH that is just starting."""
        await self._link.wait_up()
        return await self._link.api(command)

    async def job(self, command: str, timeout_seconds: float = 60.0) -> str:
        """Run a command in FreeSWITCH's background, and return what it came to."""
        await self._link.wait_up()
        return (await self._link.job(command, timeout_seconds=timeout_seconds)).text

    async def is_ready(self) -> bool:
        """Say whether FreeSWITCH takes calls, on all SIP profiles."""
        profiles, status = await self.api("sofia status"), await self.api("status")
        return profiles.count("RUNNING") == 3 and "is ready" in status

    async def channels(self) -> list[dict[str, Any]]:
        """Return all channels, as FreeSWITCH shows them."""
        rows: list[dict[str, Any]] = json.loads(await self.api("show channels as json")).get("rows", [])
        return rows

    async def channel(self, uuid: str) -> dict[str, str]:
        """Return how a channel stands now, which `channels` tells up to a second later."""
        told: dict[str, str] = json.loads(await self.api(f"uuid_dump {uuid} json"))
        return told

    async def exists(self, uuid: str) -> bool:
        """Say whether a channel exists."""
        return await self.api(f"uuid_exists {uuid}") == "true"

    async def variable(self, uuid: str, name: str) -> str:
        """Return a channel's variable; `_undef_` where it is not set."""
        return await self.api(f"uuid_getvar {uuid} {name}")


async def _is_open(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


def _ignore(_: object) -> None:
    """Nobody is interested."""


async def _no_reconciliation(_: SwitchLink) -> None:
    """A console has no state to reconcile."""
