"""How soon a command answers, and how soon a server takes calls."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import trio

from callctl.cli.stage import free_port
from tests.bench.figures import Figure
from tests.bench.house import Floor, ServerProcess
from tests.bench.lean_switch import LeanSwitch
from tests.bench.subject import Size, command


async def measure(size: Size) -> list[Figure]:
    """Start of `callctl --help`, and of `callctl serve` to ready: the median of several."""
    times = size.whole(1, 5, 15)
    helped = [await trio.to_thread.run_sync(_help) for _ in range(times)]
    served = [await _serve() for _ in range(times)]
    return [
        Figure(what="callctl --help", measured=median(helped), unit="s", goal=0.25),
        Figure(what="callctl serve, to ready", measured=median(served), unit="s", goal=1),
    ]


def _help() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "callctl", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


async def _serve() -> float:
    """Start a server on a new database, with a switch that is there and 20 agents; stop it."""
    port = await free_port()
    with tempfile.TemporaryDirectory(prefix="callctl-bench-") as folder:
        async with trio.open_nursery() as nursery:
            switch = LeanSwitch(port)
            await nursery.start(switch.run)
            server = ServerProcess(Path(folder), Floor(agents=20), port=port, switch_port=switch.port)
            await server.hire()
            try:
                took = await server.start()
                await server.stop()
            finally:
                server.abandon()
            nursery.cancel_scope.cancel()
    return took


if __name__ == "__main__":
    command(measure)
