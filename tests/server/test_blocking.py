"""Nothing outside callctl can stop its event loop: no reader of its log, no file that hangs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import trio

from callctl.api.client import ControlClient, path_of
from callctl.config.paths import control_socket
from callctl.model import QueueSettings
from callctl.sim.people import Caller
from tests.server.conftest import HANGS_UP
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


class Watch:
    """Notes what the thread of the event loop asks the system for that may keep it waiting."""

    BLOCKING = (
        "open",
        "os.",
        "shutil.",
        "socket.gethostby",
        "sqlite3.connect",
        "subprocess.",
        "time.sleep",
        "tempfile.",
    )

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.thread: int | None = None
        """The thread that is watched, None while nothing is."""
        sys.addaudithook(self._note)  # there is no way to take one back

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if threading.get_ident() != self.thread or not event.startswith(self.BLOCKING):
            return
        # What is imported only when it is used, is imported once.
        if not str(arguments[0] if arguments else "").endswith((".py", ".pyc", ".so")):
            self.seen.append(f"{event} {arguments}")


async def test_while_it_serves_the_event_loop_asks_for_no_file(theatre) -> None:
    watch = Watch()
    async with theatre(QueueSettings(name="caller", wrap_up_time=0.1)) as t:
        client = ControlClient(control_socket(t.database))

        def look() -> None:
            for path in ("healthz", "readyz", "metrics", "api/v1/queues", "api/v1/agents", "api/v1/calls"):
                if path == "metrics":
                    httpx2.get(f"http://127.0.0.1:{t.stage.server.http_port}/metrics")
                else:
                    client.get(f"/{path}")
            client.put(path_of("agents", "1002"), {"contact": "user/1002"})
            client.delete(path_of("agents", "1002"))

        watch.thread = threading.get_ident()
        t.hire("1001", HANGS_UP)
        await trio.to_thread.run_sync(look)
        await t.call(Caller())
        await t.stage.server.reload(t.stage.server.config)
        t.stage.switch.drop_connections()
        await t.until(lambda: not t.stage.server.switches["fs1"].is_ready)
        await t.until(lambda: t.stage.server.switches["fs1"].is_ready)
        await trio.to_thread.run_sync(look)
        watch.thread = None
    assert watch.seen == []
