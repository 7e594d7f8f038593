"""While a server runs, agents and tiers are changed in it, at once, and its database follows."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio

from callctl.cli import target
from callctl.cli.stage import Stage, open_stage
from callctl.model import AgentStatus, QueueSettings
from callctl.store.connections import ServerLock
from callctl.store.loading import epoch
from tests.cli.conftest import Ran, Run

Ask = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def stage(run: Run, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path / "callctl.db", QueueSettings(name="caller"), seed=1) as stage:
        yield stage


@pytest.fixture
def ask(run: Run, stage: Stage) -> Ask:
    """Run a command in a thread, as it waits for the server."""

    async def run_aside(*arguments: str) -> Ran:
        return await trio.to_thread.run_sync(run, *arguments)

    return run_aside


def status_of(stage: Stage, name: str) -> AgentStatus:
    return stage.server.dispatcher.act(lambda distributor, now: distributor.agent(name, now)).status


async def test_an_agent_is_added_shown_changed_and_removed(stage: Stage, ask: Ask) -> None:
    ran = await ask(
        *(
            "agent",
            "add",
            "10/01 ä".replace("/", "-"),
            "--contact",
            "user/1001",
            "--contact-on",
            "fs2=user/1",
        ),
        *("--skill", "english=5", "--wrap-up-time", "7", "--status", "available"),
    )
    assert (ran.code, ran.out) == (0, "agent 10-01 ä added, Available\n")
    assert status_of(stage, "10-01 ä") is AgentStatus.AVAILABLE
    assert (await ask("agent", "set", "10-01 ä", "--busy-delay-time", "3")).code == 0
    shown = (await ask("agent", "show", "10-01 ä", "--json")).json
    assert (shown["contact"], shown["wrap_up_time"], shown["busy_delay_time"]) == ("user/1001", 7, 3)
    assert (shown["contacts"], shown["skills"]) == ({"fs2": "user/1"}, {"english": 5})
    assert (await ask("agent", "remove", "10-01 ä")).code == 0
    assert (await ask("agent", "list", "--json")).json == []


async def test_a_status_is_in_force_at_once(stage: Stage, ask: Ask) -> None:
    await ask("agent", "add", "1001")
    assert status_of(stage, "1001") is AgentStatus.LOGGED_OUT
    await ask("agent", "login", "1001")
    assert status_of(stage, "1001") is AgentStatus.AVAILABLE
    assert (await ask("agent", "pause", "1001", "--reason", "lunch", "--minutes", "30")).code == 0
    (row,) = (await ask("agent", "list", "--json")).json
    assert (row["status"], row["reason"]) == ("On Break", "lunch")
    paused = stage.server.dispatcher.act(lambda distributor, now: distributor.agent("1001", now))
    assert paused.status_until is not None
    assert paused.status_until - stage.server.clock.now() == pytest.approx(1800, abs=20)


async def test_a_tier_is_added_changed_and_removed(ask: Ask) -> None:
    await ask("agent", "add", "1001")
    assert (await ask("tier", "add", "caller", "1001")).code == 0
    assert (await ask("tier", "set", "caller", "1001", "--level", "3")).code == 0
    tiers = (await ask("tier", "list", "--json")).json
    assert tiers == [{"queue": "caller", "agent": "1001", "level": 3, "position": 1}]
    assert (await ask("tier", "remove", "caller", "1001")).code == 0
    assert (await ask("tier", "list", "--json")).json == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["agent", "show", "9"], "there is no agent 9"),
        (["agent", "login", "9"], "there is no agent '9'"),
        (["agent", "remove", "9"], "there is no agent '9'"),
        (["agent", "add", "1001"], "there is an agent '1001' already"),
        (["tier", "add", "caller", "9"], "there is no agent 9"),
        (["tier", "remove", "caller", "1001"], "1001"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_line(ask: Ask, arguments: list[str], expected: str) -> None:
    await ask("agent", "add", "1001")
    ran = await ask(*arguments)
    assert ran.code == 1
    assert expected in ran.err
    assert ran.err.count("\n") == 1


async def test_what_was_changed_outlives_the_server(run: Run, tmp_path: Path) -> None:
    async with open_stage(tmp_path / "callctl.db", QueueSettings(name="caller"), seed=1):
        await trio.to_thread.run_sync(run, "agent", "add", "1001", "--status", "available")
        await trio.to_thread.run_sync(run, "tier", "add", "caller", "1001")
    (row,) = run("agent", "list", "--json").json
    assert (row["name"], row["status"], row["queues"]) == ("1001", "Available", ["caller"])


@pytest.mark.fault(30)
async def test_the_list_of_a_server_knows_the_phones_and_the_end_of_a_pause(stage: Stage, ask: Ask) -> None:
    for name in ("1001", "1002", "1003"):
        assert (await ask("agent", "add", name, "--contact", f"user/{name}")).code == 0
    act = stage.server.dispatcher.act
    act(lambda distributor, now: distributor.set_registered("1001", True, now))
    act(lambda distributor, now: distributor.set_registered("1002", False, now))
    assert (await ask("agent", "pause", "1003", "--minutes", "5")).code == 0
    rows = (await ask("agent", "list", "--json")).json
    assert [row["registered"] for row in rows] == [True, False, None]
    assert [row["until"] is not None for row in rows] == [False, False, True]
    assert 290 < epoch(rows[2]["until"]) - epoch(rows[2]["since"]) <= 300


BROKEN = {
    "not TOML": '[server]\ndatabase = "callctl.db"\n\n[queue.caller\nstrategy = "top-down"\n',
    "a key that there is not": '[server]\ndatabase = "callctl.db"\ndatabse = "x"\n',
    "a value out of range": '[server]\ndatabase = "callctl.db"\n[queue.caller]\nring-timeout = -1\n',
    "two at once": (
        '[server]\ndatabase = "callctl.db"\nlisten = 5\n[[freeswitch]]\nname = "fs1"\nport = 0\n'
    ),
}


@pytest.mark.fault(28)
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
async def test_a_spoilt_file_keeps_nobody_from_the_server_that_runs(
    stage: Stage, ask: Ask, tmp_path: Path, text: str
) -> None:
    (tmp_path / "callctl.toml").write_text(text)
    for command in (
        ("agent", "add", "1001", "--contact", "user/1001"),
        ("tier", "add", "caller", "1001"),
        ("agent", "login", "1001"),
        ("agent", "list"),
        ("queue", "show", "caller"),
        ("call", "list"),
        ("report",),
        ("export",),
        ("backup", "copy.db"),
    ):
        ran = await ask(*command)
        assert (ran.code, command) == (0, command), ran.err
        assert ran.err.startswith("callctl: warning: "), command
        assert "callctl.toml" in ran.err
        assert "goes on with what it read before" in ran.err
    assert status_of(stage, "1001") is AgentStatus.AVAILABLE
    unknown = await ask("tier", "add", "nowhere", "1001")
    assert (unknown.code, "there is no queue" in unknown.err) == (1, True)


@pytest.mark.parametrize("command", [("check",), ("config", "show"), ("serve",)])
async def test_what_looks_at_the_file_itself_still_refuses_a_spoilt_one(
    ask: Ask, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "callctl.toml").write_text(BROKEN["not TOML"])
    ran = await ask(*command)
    assert ran.code == 2 if command != ("check",) else ran.code != 0
    assert "warning" not in ran.err


def test_without_a_server_a_spoilt_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "callctl.toml").write_text(BROKEN["not TOML"])
    ran = run("agent", "list")
    assert (ran.code, ran.err.startswith("callctl: callctl.toml: not TOML")) == (2, True)


async def test_a_password_that_one_may_not_read_is_needed_by_no_command_for_a_server(
    ask: Ask, tmp_path: Path
) -> None:
    text = '[server]\ndatabase = "callctl.db"\n[[freeswitch]]\nname = "fs1"\npassword-file = "not there"\n'
    (tmp_path / "callctl.toml").write_text(text)
    assert await ask("agent", "list", "--json") == Ran(0, "[]\n", "")
    assert "not there cannot be read" in (await ask("config", "show")).err


def test_a_server_that_starts_or_stops_is_waited_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the database some time before its control socket, and some time after."""
    lock = ServerLock(tmp_path / "callctl.db")
    lock.acquire()
    monkeypatch.setattr(target, "BETWEEN_SECONDS", 0.2)
    late = run("agent", "add", "1001")
    assert (late.code, "starts or stops" in late.err) == (1, True)
    monkeypatch.setattr(target, "BETWEEN_SECONDS", 20.0)
    threading.Timer(0.3, lock.release).start()
    assert run("agent", "add", "1001").code == 0
