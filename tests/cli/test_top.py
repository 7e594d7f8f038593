"""The live screen fits the terminal, shows first what matters, and ends at Ctrl-C."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

from callctl.cli.output import clock
from callctl.cli.stage import open_stage
from callctl.cli.top import Snapshot, _screen
from callctl.model import AgentSettings, QueueSettings
from callctl.store.loading import epoch
from tests.cli.conftest import Run
from tests.cli.history import HOSTILE


def queue(name: str, waiting: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "is_open": True,
        "waiting": waiting,
        "longest_wait_seconds": 65.4,
        "present": 2,
        "free": 1,
    }


def agent(name: str, state: str, status: str = "Available") -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "state": state,
        "reason": "",
        "since": "2026-11-22T09:00:00.000Z",
        "status_until": None,
        "registered": None,
        "talk_seconds": 65.0,
        "tiers": {"caller": {"level": 1, "position": 1}},
        "calls_answered": 3,
        "misses": 0,
    }


def call(number: int) -> dict[str, Any]:
    return {
        "uuid": f"{number:08}-0000-4000-8000-000000000000",
        "queue": "caller",
        "caller_name": "[bold]Ada",
        "caller_number": "4930111",
        "state": "waiting",
        "agent": "",
        "place": {"position": number, "waited_seconds": 7.0, "offered_to": ["1001"]},
    }


def drawn(snapshot: Snapshot, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(_screen(snapshot, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_queues_calls_and_agents_are_shown() -> None:
    snapshot = Snapshot([queue("caller", 1)], [agent("1001", "Waiting")], [call(1)])
    text = "\n".join(drawn(snapshot))
    assert "caller" in text
    assert "1:05" in text
    assert "[bold]Ada 4930111" in text  # a caller's name is no markup
    assert "0:07" in text


@pytest.mark.fault(6)
def test_no_name_can_steer_the_terminal() -> None:
    eve = {**call(1), "caller_name": HOSTILE, "caller_number": HOSTILE}
    reason = {**agent("1001", "Waiting"), "reason": HOSTILE}
    lines = drawn(Snapshot([queue("caller", 1)], [reason], [eve]), width=200)
    assert any("owned" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_busy_agents_come_first() -> None:
    states = ["Idle", "Waiting", "In a queue call"]
    lines = drawn(Snapshot([], [agent(f"agent-{state}", state) for state in states], []), width=120)
    order = [line.split("  ")[0] for line in lines if line.startswith("agent-")]
    assert order == ["agent-In a queue call", "agent-Waiting", "agent-Idle"]


@pytest.mark.fault(30)
def test_how_long_an_agent_has_been_so_its_pause_its_phone_and_its_talk_time_are_shown() -> None:
    at = epoch("2026-11-22T09:12:34.000Z")
    paused = {
        **agent("1001", "Idle", "On Break"),
        "status_until": "2026-11-22T09:30:00.000Z",
        "registered": False,
    }
    lines = drawn(Snapshot([], [paused, {**agent("1002", "Waiting"), "registered": True}], [], at), width=140)
    there, away = lines[-2], lines[-1]
    assert away.split() == [
        *("1001", "On", "Break,", "17:26", "left", "Idle", "12:34", "away", "caller", "3", "1:05")
    ]
    assert there.split() == ["1002", "Available", "Waiting", "12:34", "yes", "caller", "3", "1:05"]


@pytest.mark.fault(30)
def test_a_queue_that_is_closed_says_so() -> None:
    closed = {**queue("night"), "is_open": False}
    lines = drawn(Snapshot([queue("caller"), closed], [], []))
    assert lines[1].split()[:2] == ["caller", "yes"]
    assert lines[2].split()[:2] == ["night", "closed"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60), (20, 5)])
@pytest.mark.parametrize("many", [0, 1, 5, 300])
def test_the_screen_fits_any_terminal(width: int, height: int, many: int) -> None:
    agents = [agent(str(number), "Waiting") for number in range(many)]
    calls = [call(number) for number in range(many)]
    lines = drawn(Snapshot([queue("caller", many)], agents, calls), width, height)
    # Less than that cannot be: three heads, one queue, two empty lines, and what was left out.
    assert len(lines) <= max(height, 8 if many else 6)
    assert max(len(line) for line in lines) <= width


def test_what_does_not_fit_is_counted() -> None:
    text = "\n".join(drawn(Snapshot([], [], [call(number) for number in range(100)]), height=20))
    assert "and 89 more calls" in text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, ""), (0.4, "0:00"), (59.9, "0:59"), (60, "1:00"), (3723, "1:02:03")]
)
def test_a_duration_is_aclock(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


def test_elsewhere_than_on_a_terminal_it_says_what_to_do(run: Run) -> None:
    ran = run("top")
    assert ran.code == 1
    assert "needs a terminal" in ran.err


async def test_it_shows_a_running_server_follows_the_size_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "callctl.toml").write_text("[queue.caller]\n")
    ours, theirs = os.openpty()
    _resize(theirs, 20, 100)
    # Spelt out, as readline slips COLUMNS and LINES into what a child would inherit otherwise.
    environ = dict(os.environ, TERM="xterm")
    command = [
        sys.executable,
        "-m",
        "callctl",
        "top",
        "--every",
        "0.2",
        "--config",
        str(tmp_path / "callctl.toml"),
    ]
    async with open_stage(tmp_path / "callctl.db", QueueSettings(name="caller"), seed=1) as stage:
        stage.hire(AgentSettings(name="Ann", contact="user/1"), "caller")
        with trio.fail_after(20):
            process = await trio.lowlevel.open_process(
                command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
            )
            await _read_until(ours, b"Ann")
            stage.hire(AgentSettings(name="Bob", contact="user/2"), "caller")
            await _read_until(ours, b"Bob")
            _resize(theirs, 20, 60)
            await _read_until(ours, b"Bob")
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    os.close(ours)
    os.close(theirs)


def _resize(terminal: int, lines: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


async def _read_until(terminal: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        await trio.lowlevel.wait_readable(terminal)
        seen += os.read(terminal, 65536)
