"""`callctl loadtest`: small, and its figures add up."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from callctl.api.client import ControlClient
from callctl.cli import main
from callctl.cli.loadtest import command
from callctl.cli.process import start_server
from callctl.config.paths import control_socket
from callctl.config.settings import Address
from callctl.errors import CallctlError

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
database = "callctl.db"
default-queue = "sales"
[http]
listen = "127.0.0.1:0"
[queue.sales]
[[freeswitch]]
name = "fs1"
host = "127.0.0.1"
port = {switch_port}
password = "secret"
"""

SMALL = ["--calls", "12", "--concurrent", "6", "--agents", "6", "--rate", "40"]


def two_free_ports() -> tuple[int, int]:
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def load(*arguments: str) -> Result:
    return CliRunner().invoke(command, [*SMALL, *arguments, "--json"], catch_exceptions=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose switch is not there."""
    port, switch_port = two_free_ports()
    path = tmp_path_factory.mktemp("loadtest") / "callctl.toml"
    path.write_text(CONFIG.format(port=port, switch_port=switch_port), "utf-8")
    return path


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[ControlClient]:
    """A server of that configuration, waiting for its switch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "callctl", "serve", "--config", str(config)], stderr=subprocess.PIPE
    )
    assert process.stderr is not None, "it was asked for"
    try:
        for line in process.stderr:
            if b'"serving"' in line:
                break
        yield ControlClient(control_socket(config.with_name("callctl.db")))
    finally:
        process.terminate()
        process.communicate()


def test_a_small_load_on_two_switches_is_carried_and_measured() -> None:
    figures = json.loads(load("--switches", "2").stdout)
    assert (figures["calls"], figures["handled"], figures["errors"]) == (12, 12, 0)
    assert figures["most_at_once"] <= 6
    assert 200 <= figures["wait"]["p50"] <= figures["wait"]["p99"] <= figures["wait"]["max"]
    assert 0 < figures["bridge"]["p50"] < figures["wait"]["p50"]
    assert 0 <= figures["offer"]["p50"] < figures["wait"]["p50"]
    assert 0 < figures["cpu_per_call_ms"] < 1000
    assert figures["memory_per_call_kib"] >= 0


def test_a_running_server_is_loaded_in_place_of_its_switch_and_left_as_it_was(
    server: ControlClient, config: Path
) -> None:
    figures = json.loads(load("--running", "--config", str(config)).stdout)
    assert (figures["handled"], figures["errors"]) == (12, 0)
    assert figures["cpu_per_call_ms"] > 0
    assert server.get("/api/v1/agents")["agents"] == []
    with closing(sqlite3.connect(config.with_name("callctl.db"))) as connection:
        rows = connection.execute("SELECT queue, account_id, outcome, count(*) FROM calls GROUP BY 1, 2, 3")
        assert rows.fetchall() == [("sales", "loadtest", "handled", 12)]


def test_it_does_not_ring_agents_who_are_there(
    server: ControlClient, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (
        ["agent", "add", "1001", "--contact", "user/1001", "--status", "Available"],
        ["tier", "add", "sales", "1001"],
    ):
        assert main([*line, "--config", str(config)]) == 0
    assert main(["loadtest", "--running", "--config", str(config)]) == 1
    assert "1001 would be rung in queue sales" in capsys.readouterr().err
    assert main(["agent", "remove", "1001", "--config", str(config)]) == 0


def test_a_switch_that_is_there_is_said(
    server: ControlClient, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.socket()) as taken:
        port = int(config.read_text().partition("[[freeswitch]]")[2].partition("port = ")[2].split()[0])
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert main(["loadtest", "--running", "--config", str(config)]) == 1
    assert f"cannot take the place of fs1 at 127.0.0.1:{port}" in capsys.readouterr().err


def test_without_a_running_server_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["loadtest", "--running"]) == 1
    assert "no server runs" in capsys.readouterr().err


async def test_a_server_that_does_not_start_is_told_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here because it has no switch, and for whatever reason elsewhere; not because of what lies around."""
    (tmp_path / "json.py").write_text("raise SystemExit('this is no part of callctl')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallctlError, match=r"did not become ready; it said: .* needs at least one switch"):
        async with start_server(tmp_path, Address("127.0.0.1", 0), tmp_path / "load.db", [], 10):
            raise AssertionError("it is not there")
    await trio.lowlevel.checkpoint()
