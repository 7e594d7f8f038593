"""`callctl serve` as a process: signals, a second server, a new configuration."""

from __future__ import annotations

import grp
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
import trio

from callctl.cli.stage import free_port
from callctl.config.paths import control_socket
from tests.server.process import configuration, serving, started


async def test_sigterm_stops_in_good_order_and_exits_0(tmp_path: Path, switch_port: int) -> None:
    async with serving((await configuration(tmp_path, switch_port)).config) as server:
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await server.process.wait() == 0
    assert not control_socket(tmp_path / "callctl.db").exists()


async def test_two_servers_on_one_database_are_refused(tmp_path: Path, switch_port: int) -> None:
    first = await configuration(tmp_path, switch_port)
    async with serving(first.config):
        second = tmp_path / "second"
        second.mkdir()
        config = (await configuration(second, switch_port, database=str(tmp_path / "callctl.db"))).config
        result = await trio.run_process(
            [sys.executable, "-m", "callctl", "serve", "--config", str(config)],
            capture_stderr=True,
            check=False,
        )
    assert result.returncode == 1
    lines = [line for line in result.stderr.decode().splitlines() if line.startswith("callctl: ")]
    assert len(lines) == 1
    assert "callctl.db" in lines[0]


async def test_sighup_reloads_and_refuses_a_bad_file_whole(tmp_path: Path, switch_port: int) -> None:
    config = (await configuration(tmp_path, switch_port)).config
    async with serving(config) as server:
        good = config.read_text()
        config.write_text(good + "\n[queue.sales]\nstrategy = 'top-down'\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("configuration reloaded")
        config.write_text(good + "\n[queue.sales]\nstrategy = 'nonsense'\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("the old one stays")
        assert server.process.returncode is None


@pytest.mark.parametrize("is_reloaded", [False, True], ids=["from the start on", "after a reload"])
async def test_a_series_of_backups_is_made_while_the_server_runs(
    tmp_path: Path, switch_port: int, is_reloaded: bool
) -> None:
    config = (await configuration(tmp_path, switch_port)).config
    text = config.read_text() + '\n[backup]\nfolder = "copies"\n'
    if not is_reloaded:
        config.write_text(text)
    async with serving(config) as server:
        if is_reloaded:
            config.write_text(text)
            server.process.send_signal(signal.SIGHUP)
        await server.until_logged("backup made")
    [copy] = [name for name in os.listdir(tmp_path / "copies") if name.endswith(".db")]
    assert copy.startswith("callctl-")


@pytest.mark.fault(28)
async def test_the_control_socket_is_there_before_a_switch_that_cannot_be_reached(tmp_path: Path) -> None:
    files = await configuration(tmp_path, switch_port=await free_port())
    async with started(files.config) as server:
        await server.until_logged('"control"')
        assert b"switch not connected yet" not in server.log
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("send SIGHUP again")
        added = await trio.run_process(
            [sys.executable, "-m", "callctl", "agent", "add", "1001", "--config", str(files.config)],
            capture_stdout=True,
        )
        assert added.stdout.startswith(b"agent 1001 added")


@pytest.mark.fault(29)
async def test_a_group_may_use_the_control_socket(tmp_path: Path, switch_port: int) -> None:
    files = await configuration(tmp_path, switch_port)
    group = grp.getgrgid(os.getegid())
    text = files.config.read_text()
    files.config.write_text(text.replace("[server]\n", f'[server]\ncontrol-group = "{group.gr_name}"\n'))
    async with serving(files.config):
        status = control_socket(files.database).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, group.gr_gid)
