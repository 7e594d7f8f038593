"""No test meets a callctl that is in use on this machine: not its configuration, socket or database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from callctl.config import load
from callctl.config.paths import control_socket

ROOT = Path(__file__).parent.parent

AS_IF_INSTALLED = """
from pathlib import Path
from callctl.config import load
load.SEARCH = (Path("callctl.toml"), Path({etc!r}))
"""
"""A plugin for pytest: what /etc/callctl/callctl.toml is elsewhere, is here a file of our own."""

GREEDY_TESTS = ("tests/cli/test_check.py", "tests/cli/test_roster.py", "tests/cli/test_files.py")
"""Tests that read, write and spoil databases, change agents, and start servers."""


@pytest.mark.fault(1)
def test_the_tests_leave_a_configuration_in_use_alone(tmp_path: Path) -> None:
    """The tests run as a colleague runs them, on a machine where callctl is in use."""
    database = tmp_path / "callctl.db"
    etc = tmp_path / "callctl.toml"
    etc.write_text(f'[server]\ndatabase = "{database}"\n[queue.caller]\n')
    (tmp_path / "as_if_installed.py").write_text(AS_IF_INSTALLED.format(etc=str(etc)))
    subprocess.run(
        [sys.executable, "-m", "callctl", "agent", "add", "1001", "--config", str(etc)],
        check=True,
        capture_output=True,
    )
    before = database.read_bytes()
    with socket.socket(socket.AF_UNIX) as server:
        # The socket of a server that runs: each connection to it would be an order from a test.
        server.bind(str(control_socket(database)))
        server.listen()
        server.setblocking(False)
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "as_if_installed"),
                *(f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}"),
                *(str(ROOT / each) for each in GREEDY_TESTS),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
                "CALLCTL_CONFIG": str(etc),
                "CALLCTL_SERVER__DATABASE": str(database),
            },
            capture_output=True,
            text=True,
            timeout=100,  # a test that asks the socket above gets no answer, ever
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert database.read_bytes() == before
    assert ran.returncode == 0, ran.stdout


def test_a_process_that_a_test_starts_finds_no_configuration_in_use() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "callctl", "config", "show"], capture_output=True, text=True, check=True
    )
    assert str(Path.cwd()) in shown.stdout
    assert "/etc/callctl" not in shown.stdout


def test_this_process_finds_none_either() -> None:
    assert load.find_config(None, {}) == Path("callctl.toml")
    assert Path("callctl.toml").read_text() == ""
