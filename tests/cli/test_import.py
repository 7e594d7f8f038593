"""mod_callcenter's queues, agents and tiers are taken over, and what has no counterpart is said.

callcenter.conf.xml beside this file is FreeSWITCH's own sample (conf/vanilla of 1.10.12, under the MPL).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import evolve

from callctl.cli.callcenter import read_file, read_lists, take_over
from callctl.cli.stage import open_stage
from callctl.config import load_config
from callctl.errors import CallctlError
from callctl.esl.wire import CommandDecoder, encode_message
from callctl.model import AgentSettings, AgentStatus, QueueSettings, Strategy, Tier
from tests.cli.conftest import Run

SAMPLE = Path(__file__).with_name("callcenter.conf.xml")

CONFIGURATION = """
<configuration name="callcenter.conf">
  <queues>
    <queue name="sales">
      <param name="strategy" value="ring-all"/>
      <param name="moh-sound" value="$${hold_music}"/>
      <param name="announce-sound" value="/sounds/hello.wav"/>
      <param name="tier-rules-apply" value="YES"/>
      <param name="max-wait-time" value="60"/>
    </queue>
  </queues>
  <agents>
    <agent name="1000@default" type="callback" contact="[leg_timeout=10]user/1000@default" status="On Break"
           max-no-answer="3" wrap-up-time="10" reject-delay-time="10" busy-delay-time="60"/>
    <agent name="1001@default" contact="user/1001@default"/>
  </agents>
  <tiers>
    <tier agent="1000@default" queue="sales" level="2" position="3"/>
    <tier agent="1001@default" queue="sales"/>
  </tiers>
</configuration>
"""

QUEUE_LIST = """name|strategy|moh_sound|time_base_score|max_wait_time|calls_answered|calls_abandoned
support@default|random|local_stream://moh|system|30|15|5
+OK"""
AGENT_LIST = """name|instance_id|uuid|type|contact|status|state|max_no_answer|wrap_up_time|talk_time
agent1|single_box||callback|user/1001|Available|Waiting|3|5|17
+OK"""
TIER_LIST = """queue|agent|state|level|position
support@default|agent1|Ready|1|4
+OK"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration as FreeSWITCH lays it out: the file, and above it vars.xml."""
    folder = tmp_path / "freeswitch" / "autoload_configs"
    folder.mkdir(parents=True)
    variables = '<include><X-PRE-PROCESS cmd="set" data="hold_music=local_stream://jazz"/></include>'
    (folder.parent / "vars.xml").write_text(variables)
    (folder / "callcenter.conf.xml").write_text(CONFIGURATION)
    return folder / "callcenter.conf.xml"


def test_everything_with_a_counterpart_is_taken_over(file: Path) -> None:
    taken = take_over(read_file(file))
    assert taken.queues == {
        "sales": QueueSettings(
            name="sales",
            strategy=Strategy.RING_ALL,
            moh_sound="local_stream://jazz",
            announce_sound=("/sounds/hello.wav",),
            tier_rules_apply=True,
            max_wait_time=60,
        )
    }
    assert taken.agents == {
        "1000@default": AgentSettings(
            name="1000@default",
            contact="[leg_timeout=10]user/1000@default",
            max_no_answer=3,
            wrap_up_time=10,
            reject_delay_time=10,
            busy_delay_time=60,
        ),
        "1001@default": AgentSettings(name="1001@default", contact="user/1001@default"),
    }
    assert taken.statuses == {"1000@default": AgentStatus.ON_BREAK, "1001@default": AgentStatus.LOGGED_OUT}
    assert taken.tiers == (
        Tier(queue="sales", agent="1000@default", level=2, position=3),
        Tier(queue="sales", agent="1001@default"),
    )
    assert taken.left_out == ()


def test_freeswitchs_own_sample_is_taken_over_but_for_its_variable() -> None:
    taken = take_over(read_file(SAMPLE))
    queue = taken.queues["support@default"]
    assert (queue.time_base_score, queue.tier_rule_wait_second, queue.tier_rule_no_agent_no_wait) == (
        "system",
        300,
        False,
    )
    assert len(taken.left_out) == 1
    assert "$${hold_music}" in taken.left_out[0]


def test_a_running_one_is_read_by_its_lists() -> None:
    taken = take_over(read_lists(QUEUE_LIST, AGENT_LIST, TIER_LIST, CONFIGURATION))
    assert taken.queues["support@default"].max_wait_time == 30
    assert taken.agents == {
        "agent1": AgentSettings(name="agent1", contact="user/1001", max_no_answer=3, wrap_up_time=5)
    }
    assert taken.statuses == {"agent1": AgentStatus.AVAILABLE}
    assert taken.tiers == (Tier(queue="support@default", agent="agent1", level=1, position=4),)
    assert taken.left_out == ()


def test_an_agent_who_holds_the_line_is_left_out_and_so_are_the_tiers(tmp_path: Path) -> None:
    file = tmp_path / "callcenter.conf.xml"
    file.write_text(CONFIGURATION.replace("$${hold_music}", "music.wav").replace("callback", "uuid-standby"))
    taken = take_over(read_file(file))
    assert set(taken.agents) == set(taken.statuses) == {"1001@default"}
    assert {tier.agent for tier in taken.tiers} <= {"1001@default"}
    agent, tier = taken.left_out
    assert agent.startswith("agent 1000@default: type 'uuid-standby'")
    assert tier == "tier of agent 1000@default in queue sales: there is no such agent"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"ring-all"', '"fair"', "queue sales: strategy: 'fair' is none of"),
        ('name="max-wait-time"', 'name="max-waiting"', "queue sales: max-waiting: unknown key"),
        ('value="60"', 'value="soon"', "queue sales: max-wait-time: cannot read 'soon'"),
        ('status="On Break"', 'status="Asleep"', "agent 1000@default: status 'Asleep' is none of"),
        ('wrap-up-time="10"', 'wrap-up-time="-1"', "agent 1000@default: wrap-up-time: must not be negative"),
        (
            'contact="user/1001@default"',
            'contact="[leg_timeout=10]user/1000@default"',
            "is agent 1000@default's",
        ),
        ('level="2"', 'level="x"', "tier of agent 1000@default in queue sales: level: cannot read 'x'"),
        (
            'agent="1001@default" queue="sales"',
            'agent="x" queue="sales"',
            "in queue sales: there is no such agent",
        ),
        ('agent="1001@default" queue="sales"', 'agent="1001@default" queue="x"', "there is no such queue"),
        ("$${hold_music}", "$${other_music}", "the variable other_music is not known here"),
    ],
)
def test_what_has_no_counterpart_is_said_and_the_rest_is_taken(
    file: Path, old: str, new: str, expected: str
) -> None:
    assert old in CONFIGURATION
    file.write_text(CONFIGURATION.replace(old, new))
    taken = take_over(read_file(file))
    (line,) = taken.left_out
    assert expected in line
    assert taken.queues.keys() == {"sales"}
    assert len(taken.agents) == 2


@pytest.mark.fault(28)
def test_levels_and_positions_below_one_are_raised_together_so_that_their_order_stays(file: Path) -> None:
    file.write_text(
        CONFIGURATION.replace('level="2" position="3"', 'level="0" position="0"')
        .replace('agent="1001@default" queue="sales"', 'agent="1001@default" queue="sales" position="2"')
        .replace('"tier-rules-apply"', '"tier-rule-wait-multiply-level"')
    )
    taken = take_over(read_file(file))
    assert taken.tiers == (
        Tier(queue="sales", agent="1000@default", level=1, position=1),
        Tier(queue="sales", agent="1001@default", level=2, position=3),
    )
    assert taken.left_out == ()
    assert taken.changed == (
        "queue sales: every level is 1 higher, as the lowest was 0; with tier-rule-wait-multiply-level each "
        "level opens later than it did",
        "queue sales: every position is 1 higher, as the lowest was 0",
    )


@pytest.mark.fault(28)
def test_variables_come_from_the_file_from_vars_xml_and_from_the_command_line(file: Path) -> None:
    (file.parent.parent / "vars.xml").write_text(
        '<include><X-PRE-PROCESS cmd="set" data="folder=/music"/>'
        '<X-PRE-PROCESS cmd="set" data="hold_music=$${folder}/jazz.wav"/></include>'
    )
    text = CONFIGURATION.replace('name="sales"', 'name="sales@$${domain}"').replace(
        '"/sounds/hello.wav"', '"$${us-ring}"'
    )
    file.write_text(text.replace('queue="sales"', 'queue="sales@$${domain}"'))
    taken = take_over(read_file(file))
    assert taken.queues == {}
    assert taken.left_out[0] == (
        "queue 'sales@$${domain}': the variable domain is not known here; give it with --set domain=VALUE"
    )
    taken = take_over(read_file(file, {"domain": "example.org", "us-ring": "tone & <tone>"}))
    queue = taken.queues["sales@example.org"]
    assert (queue.moh_sound, queue.announce_sound) == ("/music/jazz.wav", ("tone & <tone>",))
    assert len(taken.tiers) == 2
    assert taken.left_out == ()


@pytest.mark.fault(28)
def test_a_variable_with_a_dash_in_its_name_is_one(file: Path) -> None:
    file.write_text(CONFIGURATION.replace("/sounds/hello.wav", "$${us-ring}"))
    taken = take_over(read_file(file))
    assert taken.queues["sales"].announce_sound == ()
    assert "the variable us-ring is not known here" in taken.left_out[0]


@pytest.mark.fault(28)
def test_settings_of_the_module_are_said_as_its_database_may_hold_the_agents(file: Path) -> None:
    settings = (
        '<settings><param name="odbc-dsn" value="cc:user:pass"/><param name="debug" value="1"/>'
        '<param name="agent-originate-timeout" value="15"/></settings><queues>'
    )
    file.write_text(CONFIGURATION.replace("<queues>", settings))
    taken = take_over(read_file(file))
    assert taken.left_out == (
        "settings: odbc-dsn; agents and tiers may live there; --from-switch takes them from the running "
        "module",
        "settings: agent-originate-timeout '15'; set ring-timeout in the queues",
    )


@pytest.mark.fault(28)
def test_files_that_are_included_are_taken_over_and_missing_ones_are_said(file: Path) -> None:
    folder = file.parent / "callcenter"
    folder.mkdir()
    (folder / "b.xml").write_text('<include><queue name="two"/><queue name="three"/></include>')
    (folder / "a.xml").write_text('<queue name="one"/>')
    include = '<X-PRE-PROCESS cmd="include" data="callcenter/*.xml"/>'
    gone = '<X-PRE-PROCESS cmd="include" data="gone/*.xml"/>'
    file.write_text(CONFIGURATION.replace("</queues>", f"{include}{gone}</queues>"))
    taken = take_over(read_file(file))
    assert list(taken.queues) == ["sales", "one", "two", "three"]
    assert taken.left_out == ("include 'gone/*.xml': there is no such file",)
    (folder / "a.xml").write_text(f"<include>{include.replace('callcenter/', '')}</include>")
    with pytest.raises(CallctlError, match="is included by a file that it includes"):
        read_file(file)


@pytest.mark.fault(28)
def test_what_the_lists_of_a_running_one_do_not_tell_comes_from_its_configuration() -> None:
    configuration = CONFIGURATION.replace("sales", "support@default").replace(
        "<queues>", "<queues><queue name='loaded-no-more'/>"
    )
    taken = take_over(read_lists(QUEUE_LIST, AGENT_LIST, TIER_LIST, configuration))
    assert list(taken.queues) == ["support@default"]
    queue = taken.queues["support@default"]
    assert (queue.announce_sound, queue.max_wait_time) == (("/sounds/hello.wav",), 30)
    assert taken.left_out == ()


@pytest.mark.fault(28)
def test_a_delay_of_zero_seconds_means_that_none_was_set() -> None:
    queues = QUEUE_LIST.replace("calls_answered", "ring_progressively_delay").replace("|15|", "|0|")
    taken = take_over(read_lists(queues, AGENT_LIST, TIER_LIST, CONFIGURATION))
    assert taken.queues["support@default"].ring_progressively_delay == 10
    assert taken.left_out == ()


@pytest.mark.fault(28)
def test_a_line_of_a_list_that_cannot_be_read_is_said() -> None:
    agents = AGENT_LIST.replace("user/1001", "user/1001|user/1002")
    taken = take_over(read_lists(QUEUE_LIST, agents, TIER_LIST, CONFIGURATION))
    assert taken.left_out[0].startswith("agent agent1: a value holds a bar, so its line cannot be read: ")
    assert taken.agents == {}


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1001@default", "1001{default", ["agent '1001{default': a name has no brace", "no such agent"]),
        ('"sales"', '"sales:_:1"', ["queue 'sales:_:1': a name has no brace", "no such queue"]),
        (
            'contact="user/1001@default"',
            'contact="user/a:_:b"',
            ["contact: must be a dial string without ':_:'"],
        ),
    ],
)
def test_what_could_never_be_rung_is_left_out(file: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in CONFIGURATION
    file.write_text(CONFIGURATION.replace(old, new))
    taken = take_over(read_file(file))
    for words in expected:
        assert any(words in line for line in taken.left_out), taken.left_out
    assert new.strip('"') not in {*taken.agents, *taken.queues}
    assert not any("{" in tier.agent or ":_:" in tier.queue for tier in taken.tiers)


def test_what_is_written_can_be_read_as_a_configuration(file: Path, tmp_path: Path) -> None:
    text = take_over(read_file(file)).queues_as_toml()
    path = tmp_path / "callctl.toml"
    path.write_text(f'[server]\ndefault-queue = "sales"\n\n{text}')
    assert load_config(path, {}).queues == take_over(read_file(file)).queues
    assert "weight" not in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not XML"),
        (b"<configuration>", "not XML"),
        (b"\xff\xfe<a/>", "not UTF-8"),
        (b"<configuration><settings/></configuration>", "has neither queues nor agents"),
        (b"name|strategy", "not XML"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "odd.xml"
    path.write_bytes(content)
    with pytest.raises(CallctlError, match=expected):
        read_file(path)


class TestCommand:
    def test_queues_go_to_a_file_and_the_others_to_the_database(self, run: Run, file: Path) -> None:
        ran = run("import", str(file))
        assert ran.code == 0
        assert ran.err == "1 queues, 2 agents, 2 tiers; 0 things could not be taken over\n"
        assert '[queue."sales"]' in Path("callcenter.toml").read_text()
        rows = run("agent", "list", "--json").json
        assert [(row["name"], row["status"], row["queues"]) for row in rows] == [
            ("1000@default", "On Break", ["sales"]),
            ("1001@default", "Logged Out", ["sales"]),
        ]

    @pytest.mark.fault(28)
    def test_what_stands_for_a_variable_is_given_by_hand(self, run: Run, file: Path) -> None:
        file.write_text(CONFIGURATION.replace("/sounds/hello.wav", "$${sounds_dir}/hello.wav"))
        assert "sounds_dir is not known here" in run("import", str(file), "--dry-run").err
        ran = run("import", str(file), "--dry-run", "--set", "sounds_dir=/sounds")
        assert '"/sounds/hello.wav"' in ran.out
        assert ran.err.endswith("; 0 things could not be taken over\n")
        assert run("import", str(file), "--set", "sounds_dir").code == 2

    def test_a_dry_run_changes_nothing(self, run: Run, file: Path) -> None:
        ran = run("import", str(file), "--dry-run")
        assert 'strategy = "ring-all"' in ran.out
        assert not Path("callcenter.toml").exists()
        assert run("agent", "list", "--json").json == []

    def test_what_is_there_already_stays(self, run: Run, file: Path) -> None:
        Path("callctl.toml").write_text("[queue.sales]\n[queue.caller]\n")
        run("agent", "add", "1000@default", "--contact", "user/9")
        ran = run("import", str(file))
        assert ran.code == 0
        assert "not taken over: queue sales: it is there already" in ran.err
        assert "agent 1000@default is there already" in ran.out
        assert not Path("callcenter.toml").exists()
        assert run("agent", "show", "1000@default", "--json").json["contact"] == "user/9"
        assert len(run("tier", "list", "--json").json) == 2

    @pytest.mark.parametrize(
        ("arguments", "code", "expected"),
        [
            ([], 2, "give either a callcenter.conf.xml or --from-switch"),
            (["a.xml", "--from-switch", "fs1"], 2, "give either"),
            (["a.xml"], 1, "a.xml: cannot be read: No such file"),
            (["--from-switch", "fs9"], 1, "there is no switch fs9; there are fs1"),
        ],
    )
    def test_what_cannot_be_done_is_said(
        self, run: Run, arguments: list[str], code: int, expected: str
    ) -> None:
        ran = run("import", *arguments)
        assert ran.code == code
        assert expected in ran.err
        assert ran.err.count("\n") == 1

    def test_a_file_is_never_overwritten(self, run: Run, file: Path) -> None:
        Path("callcenter.toml").write_text("mine")
        ran = run("import", str(file))
        assert ran.code == 1
        assert "callcenter.toml exists already" in ran.err
        assert Path("callcenter.toml").read_text() == "mine"
        assert run("agent", "list", "--json").json == []


ANSWERS = {
    "api callcenter_config queue list": QUEUE_LIST,
    "api callcenter_config agent list": AGENT_LIST,
    "api callcenter_config tier list": TIER_LIST,
    "api xml_locate configuration configuration name callcenter.conf": CONFIGURATION,
}


@pytest.mark.parametrize(
    ("answers", "code"), [(ANSWERS, 0), (dict.fromkeys(ANSWERS, "-ERR no such command"), 1)]
)
async def test_a_running_one_is_asked_over_event_socket(
    run: Run, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], code: int
) -> None:
    async def freeswitch(stream: trio.SocketStream) -> None:
        decoder = CommandDecoder()
        await stream.send_all(encode_message({"Content-Type": "auth/request"}))
        async for data in stream:
            decoder.receive_data(data)
            while (command := decoder.next_command()) is not None:
                if command.line.startswith("auth"):
                    reply = {"Content-Type": "command/reply", "Reply-Text": "+OK accepted"}
                    await stream.send_all(encode_message(reply))
                else:
                    text = answers[command.line]
                    await stream.send_all(encode_message({"Content-Type": "api/response"}, text.encode()))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, freeswitch, 0, host="127.0.0.1"))
        monkeypatch.setenv("FS_SERVERS", f"127.0.0.1,{listeners[0].socket.getsockname()[1]},")
        ran = await trio.to_thread.run_sync(run, "import", "--from-switch", "fs1")
        nursery.cancel_scope.cancel()
    assert ran.code == code
    if code == 0:
        assert [row["name"] for row in run("agent", "list", "--json").json] == ["agent1"]
    else:
        assert "switch fs1 has no mod_callcenter: -ERR no such command" in ran.err


def with_a_tier_of_nobody(file: Path) -> None:
    file.write_text(CONFIGURATION.replace("</tiers>", '<tier agent="gone" queue="sales"/></tiers>'))


def with_the_queues_added() -> Mapping[str, QueueSettings]:
    """Add what was imported to callctl.toml, and return all its queues."""
    config = Path("callctl.toml")
    config.write_text("[queue.caller]\n" + Path("callcenter.toml").read_text())
    return load_config(config, {}).queues


@pytest.mark.fault(28)
async def test_a_running_server_takes_what_it_can_and_the_rest_is_said(run: Run, file: Path) -> None:
    with_a_tier_of_nobody(file)
    async with open_stage(Path("callctl.db"), QueueSettings(name="caller"), seed=1) as stage:
        ran = await trio.to_thread.run_sync(run, "import", str(file))
        assert ran.code == 1
        assert "not taken over: tier of agent gone in queue sales: there is no such agent" in ran.err
        assert "2 tiers wait for queues that the running server does not know yet (sales)" in ran.err
        rows = (await trio.to_thread.run_sync(run, "agent", "list", "--json")).json
        assert [(row["name"], row["status"]) for row in rows] == [
            ("1000@default", "On Break"),
            ("1001@default", "Logged Out"),
        ]
        await stage.server.reload(evolve(stage.server._config, queues=with_the_queues_added()))
        again = await trio.to_thread.run_sync(run, "import", str(file))
        assert again.code == 0
        assert len((await trio.to_thread.run_sync(run, "tier", "list", "--json")).json) == 2


@pytest.mark.fault(12)
def test_where_talks_are_recorded_is_taken_over_as_callctl_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "callcenter.conf.xml"
    template = "${strftime(%Y-%m-%d)}/${caller_id_number}.${uuid}.wav"
    file.write_text(
        '<configuration><queues><queue name="sales">'
        f'<param name="record-template" value="/rec/{template}"/></queue><queue name="support">'
        '<param name="record-template" value="/rec/${my_own}.wav"/></queue></queues></configuration>'
    )
    taken = take_over(read_file(file))
    assert taken.queues["sales"].record_template == "/rec/%Y-%m-%d/{caller_number}.{uuid}.wav"
    assert taken.queues["support"].record_template == ""
    [left_out] = taken.left_out
    assert "queue support: record-template '/rec/${my_own}.wav'; write it anew" in left_out
