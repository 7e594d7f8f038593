"""The machine and the versions that a figure holds for."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

LIBRARIES = ("trio", "msgspec", "attrs")

YARDSTICK_ADDITIONS = 500_000
"""Some 30 ms of work."""


def describe() -> dict[str, str]:
    """Return what a figure depends on, by name."""
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "sqlite": sqlite3.sqlite_version,
        "callctl": f"{version('callctl')} {_commit()}".strip(),
        # A machine that others use as well measures them too: a core whose sibling is busy is slower by half,
        # in CPU time too. Figures of two runs compare only where these two are alike.
        "load before": f"{os.getloadavg()[0]:.1f}",
        "yardstick": f"{yardstick_ms():.0f} ms",
    }


def yardstick_ms() -> float:
    """Return the CPU time that a fixed piece of Python takes here and now: the median of several."""
    times = []
    for _ in range(9):
        begun = time.process_time()
        total = 0
        for number in range(YARDSTICK_ADDITIONS):
            total += number
        times.append((time.process_time() - begun) * 1000)
    return median(times)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) / 2**30


def _commit() -> str:
    """Return the commit of this checkout, marked where something is changed; "" outside of one."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return git.stdout.strip()
