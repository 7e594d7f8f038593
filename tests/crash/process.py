"""The real process: `callctl serve` on one database file, started, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from math import inf
from pathlib import Path

import trio

from callctl.clock import SteadyClock
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Tier
from callctl.store.journal import Journal
from tests.crash.patience import until

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
database = "{database}"

[http]
listen = "127.0.0.1:0"

[[freeswitch]]
name = "fs1"
port = {switch_port}

[queue.caller]
ring-timeout = 10
"""

UNWRITTEN_SECONDS = 0.5
"""What happened so shortly before a kill may not be in the file: the event may have been on its way."""


class ServerProcess:
    """One `callctl serve` after the other. Times are in seconds since the epoch."""

    def __init__(self, folder: Path, *, port: int, switch_port: int) -> None:
        self.database = folder / "callctl.db"
        self.started_at: list[float] = []
        self.serving_at: list[float] = []
        """When each life that came so far took calls."""
        self.killed_at: list[float] = []
        self._config = folder / "callctl.toml"
        self._config.write_text(
            CONFIG.format(port=port, switch_port=switch_port, database=self.database), encoding="utf-8"
        )
        self._log = folder / "callctl.log"
        self._log.touch()
        self._process: subprocess.Popen[bytes] | None = None

    async def hire(self, agents: Iterable[str]) -> None:
        """Write available agents of the queue into the database, which nobody else uses now."""
        async with trio.open_nursery() as nursery:
            journal = Journal(self.database, clock=SteadyClock())
            await nursery.start(journal.run)
            for name in agents:
                settings = AgentSettings(name=name, contact=f"user/{name}")
                journal.record(
                    AgentRecord(settings=settings, status=AgentStatus.AVAILABLE, state=AgentState.WAITING),
                    Tier(queue="caller", agent=name),
                )
            await journal.flush()
            nursery.cancel_scope.cancel()

    def start(self) -> None:
        """Start a process, as a service manager would."""
        self._log_begins_at = self._log.stat().st_size
        self.started_at.append(time.time())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "callctl", "serve", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CALLCTL_LOG_FORMAT": "json"},
            )

    async def until_serving(self) -> None:
        """Wait until the process says that it takes calls, and gives orders to the switch.

        On a very slow machine it may take calls first, as it waits for the switch for some seconds only.
        """
        await until(lambda: self._says_it_is_there() or not self._is_alive())
        assert self._is_alive(), self._log_of_this_life().decode()
        self.serving_at.append(time.time())

    async def kill(self) -> None:
        """`kill -9`, in the midst of whatever it does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self.killed_at.append(time.time())
        await self._wait_for_exit()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self._wait_for_exit()

    def abandon(self) -> None:
        """Leave no process behind, however the test ends."""
        if self._process is not None and self._is_alive():
            self._process.kill()
            self._process.wait()

    async def _wait_for_exit(self) -> int:
        assert self._process is not None
        await until(lambda: not self._is_alive())
        return self._process.returncode

    def _says_it_is_there(self) -> bool:
        said = self._log_of_this_life()
        return b'"serving"' in said and b'"switch connected"' in said

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _log_of_this_life(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(self._log_begins_at)
            return log.read()

    def complaints(self) -> list[str]:
        """Return the lines of all lives that tell of an error."""
        return [line for line in self._log.read_text().splitlines() if '"level": "error"' in line]

    def back_after(self, at: float) -> float:
        """Return when callctl took calls again that had not written down what happened at this moment."""
        kills = [when for when in self.killed_at if when <= at + UNWRITTEN_SECONDS]
        last_kill = kills[-1] if kills else 0.0
        return max(at, next((when for when in self.serving_at if when > last_kill), inf))
