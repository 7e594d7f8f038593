"""Nothing outside callctl can stop its event loop: no reader of its log, no file that hangs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import trio

from tests.server.process import configuration, serving, started


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe that takes nothing more until somebody reads."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


async def get(port: int, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path)


async def until_ready(port: int) -> None:
    with trio.fail_after(20):
        while True:
            try:
                if (await get(port, "/readyz")).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass  # it does not listen yet
            await trio.sleep(0.05)


@pytest.mark.fault(24)
async def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    with full_pipe() as (reading, writing):
        async with started(files.config, stderr=writing) as server:
            await until_ready(files.http_port)
            assert (
                'callctl_refusals_total{reason="log-lines"} 0.0'
                in (await get(files.http_port, "/metrics")).text
            )
            server.process.send_signal(signal.SIGTERM)
            with trio.fail_after(20):
                assert await server.process.wait() == 0
        assert set(os.read(reading, 4096)) == {ord("x")}, "it was full to the end"


@pytest.mark.fault(24)
async def test_a_configuration_that_cannot_be_read_to_its_end_stops_nothing(
    tmp_path: Path, switch_port: int
) -> None:
    files = await configuration(tmp_path, switch_port)
    async with serving(files.config) as server:
        files.config.unlink()
        os.mkfifo(files.config)
        server.process.send_signal(signal.SIGHUP)
        await trio.sleep(0.5)
        with trio.fail_after(3):
            assert (await get(files.http_port, "/healthz")).json() == {"alive": True}
        await server.until_logged("cannot be read within")
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await server.process.wait() == 0


@pytest.mark.fault(27)
async def test_without_any_standard_stream_it_serves_and_none_of_its_files_takes_their_place(
    tmp_path: Path, switch_port: int
) -> None:
    files = await configuration(tmp_path, switch_port)
    server = f'exec "{sys.executable}" -m callctl serve --config "{files.config}" <&- >&- 2>&-'
    process = await trio.lowlevel.open_process(["sh", "-c", server])
    try:
        await until_ready(files.http_port)
        standard = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert standard == [os.devnull] * 3
        process.terminate()
        with trio.fail_after(20):
            assert await process.wait() == 0
    finally:
        process.kill()
        await process.wait()
