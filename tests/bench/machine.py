"""The machine and the versions that a figure holds for."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("trio", "msgspec", "attrs")


def describe() -> dict[str, str]:
    """Return what a figure depends on, by name."""
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "sqlite": sqlite3.sqlite_version,
        "callctl": f"{version('callctl')} {_commit()}".strip(),
        # A machine that others use as well measures them too.
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


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
