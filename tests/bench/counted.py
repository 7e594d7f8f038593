"""`callctl`, with the tasks of its event loop counted: what the soak runs, as a process of its own.

The number stands in a file beside the configuration.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import trio

from callctl.cli import main

FILE = "tasks"


def tasks(folder: Path) -> int:
    """Return how many tasks live in the server whose configuration is in `folder`."""
    return int((folder / FILE).read_text("utf-8"))


class TaskCount(trio.abc.Instrument):
    """Counts the tasks that live, and writes their number down whenever the loop has nothing to do."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT)
        self._tasks = 0
        self._written = -1

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self._tasks += 1

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._tasks -= 1

    def before_io_wait(self, timeout: float) -> None:
        if timeout > 0 and self._tasks != self._written:
            self._written = self._tasks
            # Always as long, so that nobody reads half of it.
            os.pwrite(self._file, b"%9d" % self._tasks, 0)


def run(config: Path) -> int:
    """Run `callctl serve` with this configuration."""
    count = TaskCount(config.with_name(FILE))
    trio.run = cast(Any, partial(trio.run, instruments=[count]))
    return main(["serve", "--config", str(config)])


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[-1])))
