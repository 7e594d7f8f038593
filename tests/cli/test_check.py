"""`callctl check` says in a line what stands how, and what to do about what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from callctl.cli import check, probe
from callctl.cli.check import Finding, Verdict
from callctl.cli.init import dialplan_files
from callctl.config import Config, SwitchSettings, load_config
from callctl.config.settings import Address
from callctl.errors import CallctlError
from callctl.esl.wire import CommandDecoder, encode_message
from callctl.model import QueueSettings
from tests.cli.conftest import Run

OURS = """<section name="dialplan"><context name="public"><extension name="callctl-wait"><condition>
<action application="socket" data="127.0.0.1:8084|10.0.0.2:8084 async full"/>
</condition></extension></context></section>"""


class FreeSwitch:
    """As much of FreeSWITCH as the check talks to."""

    def __init__(self, dialplan: str = OURS, missing: str = "", greeting: bytes | None = None) -> None:
        self.greeting = greeting or encode_message({"Content-Type": "auth/request"})
        self.answers = {
            "auth ClueCon": "",
            "api version": "FreeSWITCH Version 1.10.12-release+git~2024 (git a88d069 64bit)\n",
            "api xml_locate dialplan": dialplan,
            "api local_stream show": "default,/music\nmoh/8000,/music\n",
        }
        self.missing = missing

    async def serve(self, stream: trio.SocketStream) -> None:
        decoder = CommandDecoder()
        await stream.send_all(self.greeting)
        try:
            async for data in stream:
                decoder.receive_data(data)
                while (command := decoder.next_command()) is not None:
                    await stream.send_all(self._answer(command.line))
        except trio.BrokenResourceError:
            pass  # whoever was refused has closed the connection

    def _answer(self, line: str) -> bytes:
        if line.startswith("auth"):
            text = "+OK accepted" if line in self.answers else "-ERR invalid"
            return encode_message({"Content-Type": "command/reply", "Reply-Text": text})
        if line.startswith("api module_exists "):
            return _api("false" if line.endswith(f" {self.missing}") else "true")
        if line.startswith("api global_getvar "):
            return _api("-ERR no reply\n")
        if line.startswith("api file_exists "):
            return _api("false" if "/no/such" in line else "true")
        return _api(self.answers[line])


def _api(text: str) -> bytes:
    return encode_message({"Content-Type": "api/response"}, text.encode())


@asynccontextmanager
async def listening(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> Any:
    """Serve on a free port of this machine, and give the switch's settings."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield SwitchSettings(name="fs1", host="127.0.0.1", port=port)
        nursery.cancel_scope.cancel()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return load_config(None, {})


async def findings_of(config: Config, switch: SwitchSettings) -> list[Finding]:
    found = await check._collect(evolve(config, switches=(switch,)), is_printed=False)
    return [finding for finding in found if finding.what not in ("configuration", "database")]


async def test_a_switch_that_is_well_says_so(config: Config) -> None:
    async with listening(FreeSwitch().serve) as switch:
        found = await findings_of(config, switch)
    assert [finding.verdict for finding in found] == [Verdict.OK] * 4
    assert "FreeSWITCH 1.10.12-release at 127.0.0.1:" in found[0].words
    assert "mod_dptools" in found[1].words
    assert found[2].what == "sounds of fs1"
    assert "callctl-wait in context public leads to 127.0.0.1:8084|10.0.0.2:8084" in found[3].words


async def test_a_wrong_password_is_wrong(config: Config) -> None:
    async with listening(FreeSwitch().serve) as switch:
        (found,) = await findings_of(config, evolve(switch, password="other"))
    assert found.verdict is Verdict.WRONG
    assert "FreeSWITCH refused the password" in found.words


async def test_a_refused_address_is_wrong(config: Config) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(
            encode_message({"Content-Type": "text/rude-rejection"}, b"Access Denied, go away.\n")
        )

    async with listening(refuse) as switch:
        (found,) = await findings_of(config, switch)
    assert found.verdict is Verdict.WRONG
    assert "apply-inbound-acl" in found.words


async def test_nobody_there_is_wrong(config: Config) -> None:
    async with listening(FreeSwitch().serve) as switch:
        pass
    (found,) = await findings_of(config, switch)
    assert found.verdict is Verdict.WRONG
    assert "Connection refused; see [[freeswitch]]" in found.words


async def test_a_switch_that_says_nothing_is_wrong(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.05)

    async def say_nothing(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with listening(say_nothing) as switch:
        (found,) = await findings_of(config, switch)
    assert found.verdict is Verdict.WRONG
    assert "no answer within" in found.words


async def test_something_else_than_freeswitch_is_wrong(config: Config) -> None:
    async with listening(FreeSwitch(greeting=b"SSH-2.0-OpenSSH_9.6\r\n").serve) as switch:
        (found,) = await findings_of(config, switch)
    assert found.verdict is Verdict.WRONG


async def test_a_missing_module_is_wrong_and_the_rest_is_still_looked_at(config: Config) -> None:
    async with listening(FreeSwitch(missing="mod_local_stream").serve) as switch:
        found = await findings_of(config, switch)
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.OK, Verdict.WRONG, Verdict.OK]
    assert "fs_cli -x 'load mod_local_stream'" in found[2].words


async def test_only_modules_that_the_queues_need_are_asked_for(config: Config) -> None:
    tone = {"caller": QueueSettings(name="caller", moh_sound="tone_stream://%(1000,0,440)")}
    async with listening(FreeSwitch(missing="mod_local_stream").serve) as switch:
        found = await findings_of(evolve(config, queues=tone), switch)
    assert {finding.verdict for finding in found} == {Verdict.OK}


@pytest.mark.fault(22)
async def test_what_nobody_would_hear_is_said(config: Config) -> None:
    queue = QueueSettings(name="caller", moh_sound="local_stream://jazz", greeting="/no/such/hello.wav")
    async with listening(FreeSwitch().serve) as switch:
        found = await findings_of(evolve(config, queues={"caller": queue}), switch)
    assert [(finding.verdict, finding.words) for finding in found if finding.what == "sounds of fs1"] == [
        (
            Verdict.WARNING,
            "there is no local_stream 'jazz' for moh-sound of caller; FreeSWITCH plays its stream 'default' "
            "instead; define it in local_stream.conf.xml, and see that its folder exists",
        ),
        (Verdict.WRONG, "there is no file /no/such/hello.wav for greeting of caller"),
    ]


@pytest.mark.fault(22)
async def test_a_stream_of_this_machine_with_nothing_in_its_folder_is_silent(
    config: Config, tmp_path: Path
) -> None:
    freeswitch = FreeSwitch()
    folder = tmp_path / "music"
    folder.mkdir()
    freeswitch.answers["api local_stream show"] = f"moh,{folder}\n"
    async with listening(freeswitch.serve) as switch:
        found = await findings_of(config, switch)
        (folder / "song.wav").touch()
        found_then = await findings_of(config, switch)
    assert found[2].words.endswith(f"is silent: there is no file in {folder}")
    assert found_then[2].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("dialplan", "expected"),
    [
        ("<section/>", "no socket action leads to port 8084"),
        ("-ERR no such section", "no socket action leads to port 8084"),
        (OURS.replace("8084", "9999"), "no socket action leads to port 8084"),
        (OURS.replace(" async full", ""), "must say: socket 127.0.0.1:8084|10.0.0.2:8084 async full"),
        (OURS.replace("async ", ""), "must say: socket"),
    ],
)
async def test_a_dialplan_that_does_not_lead_here_is_wrong(
    config: Config, dialplan: str, expected: str
) -> None:
    async with listening(FreeSwitch(dialplan).serve) as switch:
        found = await findings_of(config, switch)
    assert found[-1].verdict is Verdict.WRONG
    assert expected in found[-1].words


async def test_it_is_our_own_port_that_counts(config: Config) -> None:
    moved = evolve(config, server=evolve(config.server, listen=Address("0.0.0.0", 9999)))
    async with listening(FreeSwitch(OURS.replace("8084", "9999")).serve) as switch:
        found = await findings_of(moved, switch)
    assert found[-1].verdict is Verdict.OK


def test_the_dialplan_that_init_writes_is_recognised() -> None:
    text = dialplan_files()["callctl.xml"].replace("$${callctl_sockets}", "127.0.0.1:8084")
    section = text.replace("<include>", "<section><context name='public'>").replace(
        "</include>", "</context></section>"
    )
    (action,) = probe.socket_actions(section)
    assert action.is_complete
    assert action.leads_to(8084)


def test_the_command_fails_when_something_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FS_SERVERS", "127.0.0.1,1,")
    ran = run("check")
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith("ok       configuration: built-in defaults")
    assert ran.out.splitlines()[-1].startswith("wrong    switch fs1: 127.0.0.1:1: ")
    assert [finding["verdict"] for finding in run("check", "--json").json] == ["ok", "ok", "wrong"]


class TestDatabase:
    def look(self, config: Config) -> Finding:
        [finding] = check._database(config)
        return finding

    def test_one_that_is_not_there_will_be_made(self, config: Config) -> None:
        assert self.look(config).verdict is Verdict.OK
        assert "callctl serve creates it" in self.look(config).words

    def test_one_that_is_there_says_its_version(self, run: Run, config: Config) -> None:
        run("agent", "add", "1001")
        assert self.look(config).words.endswith(f"version {check.SCHEMA_VERSION}, sound")

    def test_another_programs_is_wrong(self, config: Config) -> None:
        connection = sqlite3.connect(config.server.database)
        connection.execute("CREATE TABLE something (other)")
        connection.close()
        assert self.look(config).verdict is Verdict.WRONG
        assert "another program" in self.look(config).words

    def test_a_damaged_one_is_wrong(self, run: Run, config: Config) -> None:
        run("agent", "add", "1001")
        content = bytearray(config.server.database.read_bytes())
        content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
        config.server.database.write_bytes(content)
        findings = list(check._database(config))
        assert {finding.verdict for finding in findings} == {Verdict.WRONG}
        assert "callctl restore" in findings[0].words

    def test_a_directory_that_is_missing_is_wrong(self, config: Config, tmp_path: Path) -> None:
        elsewhere = evolve(config, server=evolve(config.server, database=tmp_path / "no" / "where.db"))
        assert "create it" in self.look(elsewhere).words


def test_contacts_that_do_not_do_what_they_seem_to_are_warned_of(run: Run, config: Config) -> None:
    run("agent", "add", "1001", "--contact", "user/1001")
    [agents] = check._agents(config)
    assert (agents.verdict, agents.words) == (Verdict.OK, "1, each with a contact of its own")
    run("agent", "add", "1002", "--contact", "user/1002,user/1003")
    [agents] = check._agents(config)
    assert agents.verdict is Verdict.WARNING
    assert "of 1002 names several phones" in agents.words


def test_without_agents_there_is_nothing_to_say_of_them(config: Config) -> None:
    assert list(check._agents(config)) == []


def test_a_server_that_does_not_answer_keeps_nothing_else_from_being_looked_at(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(_config: Config) -> None:
        raise CallctlError("no answer")

    monkeypatch.setattr(check, "read_roster", time_out)
    [agents] = check._agents(config)
    assert (agents.verdict, agents.words) == (Verdict.WARNING, "they cannot be read: no answer")


async def test_the_agents_of_a_damaged_database_are_not_looked_at(config: Config) -> None:
    config.server.database.write_bytes(b"nothing like a database" * 100)
    found = await check._collect(evolve(config, switches=()), is_printed=False)
    assert [finding.what for finding in found] == ["configuration", "database"]


async def test_the_well_known_password_is_warned_of_beyond_this_machine(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_asked: object) -> probe.SwitchAnswers:
        return probe.SwitchAnswers("FreeSWITCH Version 1.10.12", {"mod_commands": True}, OURS, ())

    monkeypatch.setattr(check, "ask_switch", answer)
    far = await findings_of(config, SwitchSettings(name="fs1", host="10.0.0.9"))
    near = await findings_of(config, SwitchSettings(name="fs1", host="127.0.0.1"))
    changed = await findings_of(config, SwitchSettings(name="fs1", host="10.0.0.9", password="other"))
    assert [finding.verdict for finding in far].count(Verdict.WARNING) == 1
    assert all(finding.verdict is Verdict.OK for finding in near + changed)


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("line", "mode", "is_warned_of"),
    [
        ('password = "secret"', 0o644, True),
        ('password = "secret"', 0o640, False),
        ('password = "ClueCon"', 0o644, False),
        ("", 0o644, False),
        ('password-file = "switch.password"', 0o644, True),
        ('password-file = "switch.password"', 0o640, False),
    ],
)
def test_a_password_that_everybody_can_read_is_warned_of(
    run: Run, line: str, mode: int, is_warned_of: bool
) -> None:
    Path("callctl.toml").write_text(f'[[freeswitch]]\nname = "fs1"\nport = 1\n{line}\n')
    Path("switch.password").write_text("secret\n")
    for name in ("callctl.toml", "switch.password"):
        Path(name).chmod(mode)
    warned = [each["words"] for each in run("check", "--json").json if each["verdict"] == "warning"]
    assert len([words for words in warned if "everybody can read" in words]) == is_warned_of
    assert all("chmod o-r" in words for words in warned)


@pytest.mark.fault(26)
def test_a_history_that_everybody_can_read_is_warned_of(run: Run) -> None:
    run("agent", "add", "1001")
    assert "warning" not in run("check").out
    Path("callctl.db").chmod(0o644)
    assert "warning  database: everybody on this machine can read who called whom" in run("check").out
