"""Queues are shown as they stand in the running server, with today's figures beside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from callctl.cli import queue
from callctl.cli.options import Moment
from callctl.cli.stage import open_stage
from callctl.model import AgentSettings, QueueSettings
from tests.cli.conftest import Run
from tests.cli.history import HOSTILE, NINE, is_harmless, morning, write


def test_without_a_server_there_is_nothing_live_to_show(run: Run) -> None:
    for arguments in (["list"], ["show", "caller"]):
        ran = run("queue", *arguments)
        assert ran.code == 1
        assert "no server runs" in ran.err


async def test_the_queues_of_a_server_are_listed_and_shown(run: Run, tmp_path: Path) -> None:
    queues = (QueueSettings(name="caller"), QueueSettings(name="sales"))
    async with open_stage(tmp_path / "callctl.db", *queues, seed=1) as stage:
        stage.hire(AgentSettings(name="1001", contact="user/1001"), "sales")
        listed = await trio.to_thread.run_sync(run, "queue", "list", "--json")
        table = await trio.to_thread.run_sync(run, "queue", "list")
        shown = await trio.to_thread.run_sync(run, "queue", "show", "sales", "--json")
        told = await trio.to_thread.run_sync(run, "queue", "show", "sales")
        unknown = await trio.to_thread.run_sync(run, "queue", "show", "nowhere")
    assert [(row["name"], row["waiting"], row["service_level_today"]) for row in listed.json] == [
        ("caller", 0, None),
        ("sales", 0, None),
    ]
    assert table.out.splitlines()[2].split() == [
        *("sales", "yes", "0", "0", "Waiting:", "1", "1", "0", "of", "0")
    ]
    assert [agent["name"] for agent in shown.json["serving"]] == ["1001"]
    assert "1001" in told.out
    assert unknown.code == 1
    assert "nowhere" in unknown.err


@pytest.mark.fault(6)
def test_no_caller_can_steer_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("callctl.db"), morning())
    member = {"position": 1, "caller_number": HOSTILE, "caller_name": HOSTILE, "waited_seconds": 3.0}
    shape = {
        "name": "caller",
        "is_open": True,
        "is_removed": False,
        "waiting": 1,
        "longest_wait_seconds": 3.0,
        "agents": {},
        "free": 0,
        "members": [{**member, "score": 3.0, "state": "Waiting", "offered_to": []}],
        "serving": [],
    }

    class Server:
        def get(self, _path: str) -> dict[str, object]:
            return shape

    monkeypatch.setattr(queue, "need_server", lambda _config: Server())
    for arguments in (["show", "caller"], ["show", "caller", "--json"]):
        ran = run("queue", *arguments)
        assert "owned" in ran.out
        assert is_harmless(ran.out)


def test_todays_figures_are_those_since_midnight(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("callctl.db"), morning())

    class Server:
        def get(self, _path: str) -> dict[str, object]:
            state = {
                "waiting": 2,
                "longest_wait_seconds": 5.5,
                "agents": {"Waiting": 1, "Idle": 0},
                "free": 1,
                "is_open": False,
                "is_removed": False,
            }
            return {"queues": [{"name": name, **state} for name in ("caller", "sales", "other")]}

    monkeypatch.setattr(queue, "need_server", lambda _config: Server())
    monkeypatch.setattr(queue, "moment", lambda _text: Moment(datetime.fromtimestamp(NINE, UTC)))
    rows = run("queue", "list", "--json").json
    assert [(row["service_level_today"], row["answered_today"], row["offered_today"]) for row in rows] == [
        (0.5, 1, 2),
        (0, 0, 1),
        (None, 0, 0),
    ]
    lines = run("queue", "list").out.splitlines()
    assert lines[1].split() == ["caller", "no", "2", "5.5", "Waiting:", "1", "1", "50.0%", "1", "of", "2"]
    monkeypatch.setattr(queue, "moment", lambda _text: Moment(datetime.fromtimestamp(NINE + 3600, UTC)))
    assert [row["offered_today"] for row in run("queue", "list", "--json").json] == [0, 0, 0]
