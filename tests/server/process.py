"""`callctl serve` as a process of its own, for what only a process can show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import frozen

from callctl.cli.stage import free_port

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
database = "{database}"

[http]
listen = "127.0.0.1:{http_port}"

[[freeswitch]]
name = "fs1"
port = {switch_port}

[queue.caller]
"""


class Process:
    """A running `callctl serve`, with what it has logged."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.log = b""

    async def until_logged(self, words: str) -> None:
        """Wait until these words stand in the log; for a server whose log is read here."""
        assert self.process.stderr is not None
        with trio.fail_after(20):
            while words.encode() not in self.log:
                chunk = await self.process.stderr.receive_some()
                assert chunk, f"ended without {words!r}: {self.log.decode()}"
                self.log += chunk


@frozen
class Files:
    """A configuration, and what is in it."""

    config: Path
    database: Path
    port: int
    http_port: int


async def configuration(folder: Path, switch_port: int, database: str = "callctl.db") -> Files:
    """Write a configuration with free ports."""
    files = Files(folder / "callctl.toml", folder / database, await free_port(), await free_port())
    text = CONFIG.format(
        port=files.port, http_port=files.http_port, switch_port=switch_port, database=files.database
    )
    files.config.write_text(text)
    return files


@asynccontextmanager
async def started(config: Path, stderr: int = subprocess.PIPE) -> AsyncIterator[Process]:
    """Run a server in the block, from its first instant on; `stderr` is where its log goes."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "callctl", "serve", "--config", str(config)],
        stderr=stderr,
        env={**os.environ, "CALLCTL_LOG_FORMAT": "json"},
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def serving(config: Path) -> AsyncIterator[Process]:
    """Run a server that takes calls in the block."""
    async with started(config) as running:
        await running.until_logged('"serving"')
        yield running
