"""What systemd is told, on a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from callctl.systemd import ServiceManager


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def told(systemd: socket.socket) -> list[bytes]:
    """Return what has been said since the last time."""
    messages = []
    while True:
        try:
            messages.append(systemd.recv(1000))
        except BlockingIOError:
            return messages


def test_it_hears_that_the_server_is_ready_and_that_it_stops(systemd: socket.socket) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": systemd.getsockname()})
    manager.ready()
    manager.stopping()
    assert told(systemd) == [b"READY=1", b"STOPPING=1"]


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="abstract socket names are Linux's alone")
def test_an_abstract_name_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0callctl-test-{os.getpid()}")
        listening.setblocking(False)
        ServiceManager({"NOTIFY_SOCKET": f"@callctl-test-{os.getpid()}"}).ready()
        assert told(listening) == [b"READY=1"]


async def test_the_watchdog_gets_two_signs_of_life_in_each_of_its_spans(
    systemd: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    environ = {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "20000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    with trio.move_on_after(45):
        await ServiceManager(environ).keep_watchdog_quiet()
    assert told(systemd) == [b"WATCHDOG=1"] * 5  # at 0, 10, 20, 30 and 40 s


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "often"}]
)
async def test_a_watchdog_that_did_not_ask_us_hears_nothing(
    systemd: socket.socket, environ: dict[str, str]
) -> None:
    await ServiceManager({"NOTIFY_SOCKET": systemd.getsockname(), **environ}).keep_watchdog_quiet()
    assert told(systemd) == []


def test_without_systemd_nothing_happens() -> None:
    with capture_logs() as logs:
        ServiceManager({}).ready()
    assert logs == []


def test_a_systemd_that_does_not_listen_costs_a_line_in_the_log(tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    with capture_logs() as logs:
        manager.ready()
        manager.stopping()
    [line] = logs
    assert (line["event"], line["state"]) == ("systemd not told", "READY=1")


async def test_the_signs_of_life_end_when_the_loop_stands_still(systemd: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "20000"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ServiceManager(environ).keep_watchdog_quiet)
        await trio.testing.wait_all_tasks_blocked()
        told(systemd)
        deadline = trio.current_time() + 0.05
        while trio.current_time() < deadline:
            pass  # Something of ours does not give way.
        assert told(systemd) == []
        nursery.cancel_scope.cancel()
