"""A server in a process of its own: started for a load test or found running, and what it costs."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import tomli_w
import trio

from callctl.api.client import ControlClient, RequestRefused
from callctl.config.paths import control_socket
from callctl.config.settings import Address, SwitchSettings
from callctl.errors import CallctlError

READY_SECONDS = 30.0
"""How long a server may take to be ready; one whose switch was away tries it again within 30 s."""

POLL_SECONDS = 0.05

SAMPLE_SECONDS = 0.1


class ServerCost:
    """What a server's process has used since this was made."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._cpu_before = self._cpu_seconds()
        self._memory_before = self._most_memory = self._memory_bytes()

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _memory_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    async def watch_memory(self) -> None:
        """Look at the memory again and again, until cancelled."""
        while True:
            self._most_memory = max(self._most_memory, self._memory_bytes())
            await trio.sleep(SAMPLE_SECONDS)

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all its threads."""
        return self._cpu_seconds() - self._cpu_before

    @property
    def memory_bytes(self) -> int:
        """By how much its memory was larger at most."""
        return self._most_memory - self._memory_before


@asynccontextmanager
async def start_server(
    folder: Path, listen: Address, database: Path, switches: Sequence[SwitchSettings], max_calls: int
) -> AsyncIterator[int]:
    """Run `callctl serve` on `database`, with these switches, and yield its process ID when it is ready.

    What it says stands in `folder`. It is stopped in good order afterwards. Raises CallctlError where it
    does not become ready.
    """
    config, log = folder / "callctl.toml", folder / "callctl.log"
    document = {
        "server": {"listen": str(listen), "database": str(database), "max-calls": max_calls},
        "freeswitch": [{"name": each.name, "host": each.host, "port": each.port} for each in switches],
        "http": {"listen": "127.0.0.1:0"},
        "queue": {"caller": {"ring-timeout": 20}},
    }
    config.write_text(tomli_w.dumps(document), "utf-8")
    # -P: what lies in the folder where somebody happens to be is no part of the server.
    process = _spawn([sys.executable, "-P", "-m", "callctl", "serve", "--config", str(config)], log)
    try:
        try:
            await until_ready(ControlClient(control_socket(database)), process)
        except CallctlError as error:
            raise CallctlError(f"{error}; it said: {log.read_text('utf-8')[-500:]}") from error
        yield process.pid
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.wait)


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that no setting of ours reaches."""
    own = {"FS_SERVERS", "NOTIFY_SOCKET", "WATCHDOG_USEC"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CALLCTL_") and name not in own
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the test, which then stops it
        )


async def until_ready(client: ControlClient, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the server takes calls; raises CallctlError if it does not."""
    with trio.move_on_after(READY_SECONDS):
        while process is None or process.poll() is None:
            if await trio.to_thread.run_sync(_is_ready, client):
                return
            await trio.sleep(POLL_SECONDS)
    raise CallctlError("the server did not become ready")


def _is_ready(client: ControlClient) -> bool:
    try:
        client.get("/readyz")
    except RequestRefused:
        return False
    except CallctlError:
        return False  # it does not listen yet
    return True


def process_behind(path: Path) -> int | None:
    """Return the process that listens on a Unix socket; None where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):  # Linux alone
        return None
    size = struct.calcsize("3i")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(str(path))
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, _, _ = struct.unpack("3i", credentials)
    return int(pid)
