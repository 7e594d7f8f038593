"""Runs callctl in a process of its own on a terminal, as a person does who looks at it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

ROWS = 40


def on_terminal(*arguments: str, folder: Path, columns: int = 80) -> tuple[int, str]:
    """Return the exit code of `callctl` with these arguments, and all that it wrote to the terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, columns))
    process = subprocess.Popen(
        [sys.executable, "-m", "callctl", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(theirs)
    written = bytearray()
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:
        pass  # That is how Linux says that nobody has the terminal open any more.
    os.close(ours)
    return process.wait(), written.decode().replace("\r\n", "\n")
