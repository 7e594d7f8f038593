"""A `callctl serve` in a process of its own, on a lean switch in this one, and what it costs from outside.

Agents and their tiers are in the database before the server starts, available. The database lies where the
system keeps temporary files, or in TMPDIR.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psutil
import tomli_w
import trio
from attrs import field, frozen

from callctl.cli.files import raise_file_limit
from callctl.cli.stage import free_port
from callctl.clock import SteadyClock
from callctl.config.paths import control_socket
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Tier
from callctl.store.journal import Journal
from tests.bench.lean_people import Watcher
from tests.bench.lean_switch import LeanSwitch

READY_SECONDS = 30.0
"""No server takes so long to be ready, or something is wrong with it."""

SETTLED_SECONDS = 2.0
"""After a login the server looks at its switch once more, 1.2 s later; that belongs to no call."""

POLL_SECONDS = 0.01

MAX_CALLS = 15_000
"""More than any subject has."""

PROFILE_VARIABLE = "CALLCTL_BENCH_PROFILE"
"""A file for the profile of the server (cProfile), which makes it slower by half."""


@frozen(kw_only=True)
class Floor:
    """Who serves what: `agents` are spread evenly over `queues`, the first of which is called `caller`."""

    agents: int
    queues: int = 1
    settings: Mapping[str, object] = field(factory=dict)
    """Parameters of every queue, as in callctl.toml."""

    def queue(self, number: int) -> str:
        """Return the name of a queue; numbers begin anew behind the last."""
        return f"queue{number}" if (number := number % self.queues) else "caller"

    def agent(self, number: int) -> str:
        """Return the name of an agent."""
        return f"a{number:05d}"


class ServerProcess:
    """One `callctl serve` after the other, on one database."""

    def __init__(
        self, folder: Path, floor: Floor, *, port: int, switch_port: int, module: str = "callctl"
    ) -> None:
        self.database = folder / "callctl.db"
        self.folder = folder
        self._module = module
        self._floor = floor
        self._config = folder / "callctl.toml"
        self._log = folder / "callctl.log"
        self._config.write_text(
            tomli_w.dumps(
                {
                    "server": {
                        "listen": f"127.0.0.1:{port}",
                        "database": str(self.database),
                        # The default bounds memory; here memory is measured.
                        "max-calls": MAX_CALLS,
                    },
                    "freeswitch": [{"name": "fs1", "host": "127.0.0.1", "port": switch_port}],
                    "http": {"listen": "127.0.0.1:0"},
                    "queue": {floor.queue(number): dict(floor.settings) for number in range(floor.queues)},
                }
            ),
            encoding="utf-8",
        )

    async def hire(self) -> None:
        """Write the agents into the database, before the first start."""
        async with trio.open_nursery() as nursery:
            journal = Journal(self.database, clock=SteadyClock())
            await nursery.start(journal.run)
            for number in range(self._floor.agents):
                name = self._floor.agent(number)
                settings = AgentSettings(name=name, contact=f"user/{name}")
                journal.record(
                    AgentRecord(settings=settings, status=AgentStatus.AVAILABLE, state=AgentState.WAITING)
                )
                journal.record(Tier(queue=self._floor.queue(number), agent=name))
            await journal.flush()
            nursery.cancel_scope.cancel()

    async def start(self) -> float:
        """Start a process and wait until calls can come, as systemd would; return how long it took."""
        notices = self.folder / "notify"
        notices.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(notices))
            ready.setblocking(False)
            begun = time.perf_counter()
            self._spawn(notices)
            with trio.move_on_after(READY_SECONDS):
                await trio.lowlevel.wait_readable(ready)
                return time.perf_counter() - begun
        raise trio.TooSlowError(self._log.read_text("utf-8")[-2000:])

    def _spawn(self, notices: Path) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CALLCTL_LOG_FORMAT": "json", "NOTIFY_SOCKET": str(notices)},
            )
        self._statistics = psutil.Process(self._process.pid)

    def _command(self) -> list[str]:
        serve = ["-m", self._module, "serve", "--config", str(self._config)]
        if profile := os.environ.get(PROFILE_VARIABLE):
            serve = ["-m", "cProfile", "-o", profile, *serve]
        return [sys.executable, *serve]

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._process.terminate()
        await trio.to_thread.run_sync(self._process.wait)

    async def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        await trio.to_thread.run_sync(self._process.wait)

    def abandon(self) -> None:
        """Leave no process behind, however the measurement ends."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    # --- what it costs ---

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used, its threads and the system's part included."""
        times = self._statistics.cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        """Return how much memory the process holds."""
        return int(self._statistics.memory_info().rss)

    def open_files(self) -> int:
        """Return how many file descriptors it has."""
        return int(self._statistics.num_fds())

    # --- what it says ---

    def errors(self) -> list[str]:
        """Return the lines of the log that tell of a fault."""
        lines = self._log.read_text("utf-8").splitlines()
        return [line for line in lines if '"level": "error"' in line or "Traceback" in line]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    @property
    def pid(self) -> int:
        """The running server's process."""
        return self._process.pid

    async def metric(self, name: str) -> float:
        """Return the sum of one metric over its labels."""
        async with await trio.open_unix_socket(str(control_socket(self.database))) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: callctl\r\nConnection: close\r\n\r\n")
            text = b"".join([chunk async for chunk in stream]).decode()
        values = [line.split()[-1] for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
        return sum(map(float, values))


@frozen
class House:
    """The server and its switch."""

    server: ServerProcess
    switch: LeanSwitch
    floor: Floor

    async def until_over(self, calls: int) -> None:
        """Wait until so many calls have ended, counted from the start of the switch."""
        await until(lambda: self.switch.ended >= calls)

    async def until_history_is_whole(self) -> None:
        """Wait until the history has every call that has ended, with its end."""
        ended = "SELECT count(*) FROM calls WHERE ended_at NOTNULL"
        await until(lambda: self.server.query(ended)[0][0] >= self.switch.ended)

    async def faults(self) -> list[str]:
        """Return what went wrong by the log, the server's own watch, the switch and the history."""
        [(rows, handled, open_rows)] = self.server.query(
            "SELECT count(*), coalesce(sum(outcome = 'handled'), 0), coalesce(sum(ended_at IS NULL), 0)"
            " FROM calls"
        )
        found = self.server.errors()
        if violations := await self.server.metric("callctl_invariant_violations_total"):
            found.append(f"the server counted {violations:g} violations of what must be true")
        if rows != self.switch.placed:
            found.append(f"{self.switch.placed} calls were placed, the history has {rows}")
        if handled != self.switch.handled:
            found.append(f"{self.switch.handled} calls were bridged, the history has {handled}")
        if open_rows:
            found.append(f"{open_rows} calls have no end in the history")
        if self.switch.stranded:
            found.append(f"{len(self.switch.stranded)} callers were stranded")
        return found


@asynccontextmanager
async def open_house(
    floor: Floor, watcher: Watcher | None = None, *, module: str = "callctl"
) -> AsyncIterator[House]:
    """Start a server and its switch, yield them, and stop the server in good order.

    `module` is what Python runs as the server.
    """
    raise_file_limit(MAX_CALLS)
    port = await free_port()
    with tempfile.TemporaryDirectory(prefix="callctl-bench-") as folder:
        async with trio.open_nursery() as nursery:
            switch = LeanSwitch(port, watcher=watcher)
            await nursery.start(switch.run)
            server = ServerProcess(Path(folder), floor, port=port, switch_port=switch.port, module=module)
            await server.hire()
            try:
                await server.start()
                await trio.sleep(SETTLED_SECONDS)
                yield House(server, switch, floor)
                await server.stop()
            finally:
                server.abandon()
            nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], *, patience_seconds: float = 120.0) -> None:
    """Wait until something is true, by looking every 10 ms; raises trio.TooSlowError."""
    with trio.fail_after(patience_seconds):
        while True:
            if condition():
                return
            await trio.sleep(POLL_SECONDS)
