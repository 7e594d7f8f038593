"""The file and the environment become one checked configuration, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.config import Address, Config, SwitchSettings, load_config
from callctl.errors import ConfigError
from callctl.model import AgentSettings, QueueSettings, Strategy, Tier


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, **environ: str) -> Config:
    path = Path("callctl.toml")
    path.write_text(text, "utf-8")
    return load_config(path, environ)


def complaint(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_file_at_all_means_one_queue_and_one_switch() -> None:
    config = load_config(None, {})
    assert config.queues == {"caller": QueueSettings(name="caller")}
    assert config.switches == (SwitchSettings(name="fs1", host="127.0.0.1", port=8021, password="ClueCon"),)
    assert config.server.listen == Address("127.0.0.1", 8084)
    assert config.server.database == Path.cwd() / "callctl.db"
    assert config.agents == {}
    assert config.path is None


def test_a_file_in_the_current_directory_is_found() -> None:
    Path("callctl.toml").write_text("[server]\ndrain-timeout = 7\n")
    assert load_config(None, {}).server.drain_timeout == 7


def test_the_environment_names_the_file_before_the_current_directory_does(tmp_path: Path) -> None:
    Path("callctl.toml").write_text("[server]\ndrain-timeout = 7\n")
    other = tmp_path / "other.toml"
    other.write_text("[server]\ndrain-timeout = 8\n")
    assert load_config(None, {"CALLCTL_CONFIG": str(other)}).server.drain_timeout == 8
    assert load_config(Path("callctl.toml"), {"CALLCTL_CONFIG": str(other)}).server.drain_timeout == 7


def test_the_example_of_the_interface_is_understood() -> None:
    config = load(
        """
        [server]
        listen = "127.0.0.1:8084"
        allow = ["127.0.0.0/8", "::1"]
        database = "callctl.db"
        drain-timeout = 0
        default-queue = "caller"
        [[freeswitch]]
        name = "fs1"
        host = "127.0.0.1"
        port = 8021
        password = "ClueCon"
        [http]
        listen = "127.0.0.1:8090"
        jwt-secret-file = "/etc/callctl/jwt.key"
        [queue.caller]
        strategy = "longest-idle-agent"
        moh-sound = "local_stream://moh"
        [agent.1001]
        contact = "user/1001"
        tiers = { caller = { level = 1, position = 1 } }
        """
    )
    assert config.queues["caller"].strategy is Strategy.LONGEST_IDLE_AGENT
    assert config.agents == {"1001": AgentSettings(name="1001", contact="user/1001")}
    assert config.tiers == (Tier(queue="caller", agent="1001", level=1, position=1),)
    assert config.http.jwt_secret_file == Path("/etc/callctl/jwt.key")


def test_relative_paths_start_at_the_directory_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "callctl.toml"
    path.write_text('[server]\ndatabase = "calls.db"\n')
    assert load_config(path, {}).server.database == tmp_path / "etc" / "calls.db"


def test_a_section_that_leaves_things_out_takes_the_defaults() -> None:
    config = load("[queue.sales]\nring-timeout = 12\n[server]\ndefault-queue = 'sales'\n")
    assert config.queues == {"sales": QueueSettings(name="sales", ring_timeout=12)}


def test_configurations_that_do_the_same_are_equal_wherever_they_came_from() -> None:
    assert load("[server]\ndrain-timeout = 0\n") == load("[server]\n")


class TestEnvironment:
    def test_fs_servers_replaces_all_switches(self) -> None:
        config = load('[[freeswitch]]\nname = "old"\n', FS_SERVERS="10.0.0.1,8022,secret|10.0.0.2,,|,8023,")
        assert [(each.name, each.host, each.port, each.password) for each in config.switches] == [
            ("fs1", "10.0.0.1", 8022, "secret"),
            ("fs2", "10.0.0.2", 8021, "ClueCon"),
            ("fs3", "localhost", 8023, "ClueCon"),
        ]

    def test_a_password_in_fs_servers_may_hold_commas(self) -> None:
        assert load("", FS_SERVERS="a,1,p,q,r").switches[0].password == "p,q,r"

    def test_a_single_setting_is_laid_over_the_file(self) -> None:
        config = load("[server]\ndrain-timeout = 3\n", CALLCTL_SERVER__DRAIN_TIMEOUT="4.5")
        assert config.server.drain_timeout == 4.5

    def test_lists_truth_values_and_tables_are_read_too(self) -> None:
        config = load(
            "",
            CALLCTL_SERVER__ALLOW="10.0.0.0/8, ::1",
            CALLCTL_QUEUE__CALLER__TIER_RULES_APPLY="true",
            CALLCTL_AGENT__1001__TIERS="{ caller = { level = 2 } }",
        )
        assert config.server.allow == ("10.0.0.0/8", "::1")
        assert config.queues["caller"].tier_rules_apply is True
        assert config.tiers == (Tier(queue="caller", agent="1001", level=2),)

    def test_a_name_with_capitals_or_dashes_is_found_again(self) -> None:
        config = load('[queue."Sales-EU"]\n[queue.caller]\n', CALLCTL_QUEUE__SALES_EU__MAX_CALLERS="9")
        assert config.queues["Sales-EU"].max_callers == 9

    def test_a_switch_is_meant_by_its_name(self) -> None:
        config = load(
            '[[freeswitch]]\nname = "a"\n[[freeswitch]]\nname = "b"\n', CALLCTL_FREESWITCH__B__PASSWORD="x"
        )
        assert [each.password for each in config.switches] == ["ClueCon", "x"]

    def test_the_built_in_switch_can_be_changed_too(self) -> None:
        assert load("", CALLCTL_FREESWITCH__FS1__HOST="pbx").switches[0].host == "pbx"

    def test_a_password_takes_the_place_of_the_files_password_file(self) -> None:
        text = '[[freeswitch]]\nname = "fs1"\npassword-file = "/nowhere"\n'
        assert load(text, CALLCTL_FREESWITCH__FS1__PASSWORD="x").switches[0].password == "x"

    def test_the_log_has_short_names(self) -> None:
        config = load("", CALLCTL_LOG_FORMAT="json", CALLCTL_LOG_LEVEL="debug")
        assert (config.log.format, config.log.level) == ("json", "debug")

    def test_other_variables_of_ours_are_no_settings(self) -> None:
        assert load("", CALLCTL_CONFIG="callctl.toml", CALLCTL_SOMETHING="1", OTHER__KEY="1") == load("")

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("CALLCTL_SERVER__LISTN", "x", 'server.listn: unknown key; did you mean "listen"?'),
            ("CALLCTL_SERVR__LISTEN", "x", 'unknown section; did you mean "server"?'),
            ("CALLCTL_SERVER__DRAIN_TIMEOUT", "soon", "server.drain-timeout: cannot read 'soon'"),
            ("CALLCTL_SERVER__DRAIN_TIMEOUT", "1\ny = 2", "cannot read"),
            ("CALLCTL_SERVER__A__B", "1", "must have the form CALLCTL_SERVER__KEY"),
            ("CALLCTL_QUEUE__CALLER", "1", "must have the form CALLCTL_QUEUE__NAME__KEY"),
            ("CALLCTL_FREESWITCH__FS9__PORT", "1", "there is no switch 'fs9'"),
            ("FS_SERVERS", "a,b,c", "FS_SERVERS: switch 1: port must be a number, not 'b'"),
            ("FS_SERVERS", "10.0.0.1|", "FS_SERVERS: switch 2 is empty"),
            ("FS_SERVERS", "a,70000,c", "must be from 1 to 65535"),
        ],
    )
    def test_a_wrong_variable_is_named(self, name: str, value: str, expected: str) -> None:
        message = complaint("", **{name: value})
        assert message.startswith(name)
        assert expected in message


class TestSecrets:
    def test_a_password_comes_from_a_file_without_its_line_end(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("s3cret\n")
        assert load('[[freeswitch]]\nname="a"\npassword-file="secret"\n').switches[0].password == "s3cret"

    def test_a_password_is_in_no_representation(self) -> None:
        assert "s3cret" not in repr(load('[[freeswitch]]\nname="a"\npassword="s3cret"\n'))

    def test_a_password_is_in_no_error(self) -> None:
        assert "4711" not in complaint('[[freeswitch]]\nname="a"\npassword=4711\n')

    @pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe"])
    def test_a_password_file_that_holds_no_password_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "secret").write_bytes(content)
        assert "callctl.toml:3: freeswitch[1].password-file:" in complaint(
            '[[freeswitch]]\nname="a"\npassword-file="secret"\n'
        )

    def test_a_password_file_that_is_missing_is_named(self) -> None:
        message = complaint('[[freeswitch]]\nname="a"\npassword-file="secret"\n')
        assert "No such file" in message
        assert "secret" in message

    def test_a_password_is_given_once(self) -> None:
        text = '[[freeswitch]]\nname="a"\npassword="x"\npassword-file="secret"\n'
        assert "callctl.toml:3: freeswitch[1].password: give either" in complaint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nlistn = 1\n", 'callctl.toml:2: server.listn: unknown key; did you mean "listen"?'),
        ("[sever]\n", 'callctl.toml:1: sever: unknown section; did you mean "server"?'),
        (
            "\n[queue.caller]\n\nring_timeout = 3\n",
            'toml:4: queue.caller.ring_timeout: unknown key; did you mean "ring-',
        ),
        ("[server]\nlisten = 8084\n", "server.listen: must be a text in quotes, not 8084"),
        ("[server]\nlisten = 'here'\n", "must be \"host:port\" with a port up to 65535, not 'here'"),
        ("[server]\nlisten = '::1:8084'\n", "an IPv6 address stands in brackets"),
        ("[server]\nlisten = ':8084'\n", "needs a host"),
        ("[server]\nallow = '127.0.0.1'\n", "must be a list, not '127.0.0.1'"),
        ("[server]\nallow = ['127.0.0.1/8']\n", "has host bits set"),
        ("[server]\nallow = ['::1', 5]\n", "server.allow[2]: must be a text in quotes, not 5"),
        ("[server]\ndrain-timeout = true\n", "must be a number, not true"),
        ("[server]\ndrain-timeout = -1\n", "must not be negative, not -1"),
        ("[server]\ndrain-timeout = inf\n", "must be an ordinary number"),
        ("[server]\ndrain-timeout = nan\n", "must be an ordinary number"),
        ("[server]\nmax-calls = 2.5\n", "must be a whole number, not 2.5"),
        ("[server]\nmax-calls = 0\n", "must be at least 1, not 0"),
        ("[server]\nmax-calls = 99999999999999999999\n", "must be at most 2147483647"),
        (
            "[server]\ndefault-queue = 'sales'\n",
            "callctl.toml:2: server.default-queue: there is no [queue.sales]",
        ),
        ("[queue.sales]\n", "server.default-queue: there is no [queue.caller]; queues are sales"),
        ("server = 5\n", "callctl.toml:1: server: must be a table, not 5"),
        ("queue = 5\n", "callctl.toml:1: queue: must be a table, not 5"),
        ("[queue]\ncaller = 5\n", "callctl.toml:2: queue.caller: must be a table, not 5"),
        ("[queue.caller]\nstrategy = 'longest-idle'\n", 'did you mean "longest-idle-agent"?'),
        ("[queue.caller]\nstrategy = 'fair'\n", "'fair' is none of longest-idle-agent, "),
        ("[queue.caller]\nagent-no-answer-status = 'on break'\n", 'did you mean "On Break"?'),
        ("[queue.caller]\ntier-rules-apply = 'false'\n", "must be true or false, not 'false'"),
        ("[queue.caller]\ntier-rules-apply = 1\n", "must be true or false, not 1"),
        ("[queue.caller]\ntime-base-score = 'call'\n", "must be one of queue, system, not 'call'"),
        ("[queue.caller]\nweight = 0\n", "must be above 0, not 0"),
        ("[queue.caller]\nring-timeout = 0\n", "must be from 1 to 600, not 0"),
        ('[queue.caller]\nmoh-sound = "a\\nb"\n', "must not hold a line break or NUL"),
        ("[queue.'a/b']\n", "a name has no slash"),
        ("[queue.'']\n", "a name has 1 to 100 printable characters"),
        ("[freeswitch]\nname = 'fs1'\n", "write [[freeswitch]] in double brackets"),
        ("freeswitch = []\n", "needs at least one switch"),
        ("[[freeswitch]]\nhost = 'a'\n", 'callctl.toml:1: freeswitch[1]: needs "name"'),
        (
            "[[freeswitch]]\nname = 'a'\n[[freeswitch]]\nname = 'a'\n",
            "toml:4: freeswitch[2].name: there is another",
        ),
        ("[[freeswitch]]\nname = 'a'\nport = 0\n", "must be from 1 to 65535, not 0"),
        (
            "[agent.1]\ntiers = { calller = {} }\n",
            'agent.1.tiers.calller: unknown queue; did you mean "caller"?',
        ),
        (
            "[agent.1]\ntiers = { caller = { level = 0 } }\n",
            "agent.1.tiers.caller.level: must be at least 1, not 0",
        ),
        ("[agent.1]\ntiers = { caller = 1 }\n", "agent.1.tiers.caller: must be a table, not 1"),
        ("[agent.1]\nskills = { english = '5' }\n", "agent.1.skills.english: must be a number, not '5'"),
        (
            "[agent.1]\ncontact = 'user/1'\n[agent.2]\ncontact = 'user/1'\n",
            "toml:4: agent.2.contact: 'user/1' is agent '1'",
        ),
        (
            "[agent.1]\ncontacts = { berlin = 'user/1' }\n",
            "agent.1.contacts.berlin: unknown switch; known are fs1",
        ),
        ("[http]\njwt-algorithms = ['none']\n", "'none' is none of"),
        ("[log]\nlevel = 'loud'\n", "'loud' is none of debug, info, warning, error"),
        ("[server\n", "callctl.toml: not TOML: "),
        ("[server]\na = 1\na = 2\n", "callctl.toml: not TOML: "),
    ],
)
def test_a_wrong_value_is_named_with_its_line(text: str, expected: str) -> None:
    assert expected in complaint(text)


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[agent.'${x}']\n", "toml:1: agent.${x}: a name has no brace"),
        ("[queue.'a{b']\n", "toml:1: queue.a{b: a name has no brace"),
        ("[agent.'a:_:b']\n", "no ':_:'"),
        (
            "[agent.1]\ncontact = 'user/a:_:user/b'\n",
            "toml:2: agent.1.contact: must be a dial string without ':_:'",
        ),
        ("[agent.1]\ncontact = '1001'\n", "such as user/1001, not '1001'"),
        (
            "[agent.1]\ncontacts = { fs1 = 'user/${x}' }\n",
            "agent.1.contacts: fs1: must be a dial string without ${",
        ),
        (
            "[queue.caller]\naccept-key = '12'\n",
            "toml:2: queue.caller.accept-key: must be a single key, not '12'",
        ),
        ("[queue.caller]\ncallback-key = '12'\n", "must be a single key, not '12'"),
        (
            "[queue.caller]\ncallback-key = '1'\n",
            'toml:2: queue.caller.callback-key: needs "callback-dialstring"',
        ),
        (
            "[queue.caller]\ncallback-key = '1'\nexit-keys = '12'\ncallback-dialstring = 'user/{number}'\n",
            "toml:2: queue.caller.callback-key: '1' is one of exit-keys as well",
        ),
        (
            "[queue.caller]\ncallback-key = '1'\ncallback-dialstring = 'user/1'\n",
            "toml:3: queue.caller.callback-dialstring: must hold {number}",
        ),
    ],
)
def test_what_could_never_be_rung_or_pressed_is_refused(text: str, expected: str) -> None:
    assert expected in complaint(text)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load_config(Path("missing.toml"), {})
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, {})
    Path("latin.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(ConfigError, match=r"latin\.toml: not UTF-8"):
        load_config(Path("latin.toml"), {})
