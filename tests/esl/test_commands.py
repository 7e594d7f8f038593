"""Commands say what was meant, and no value turns one into another."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from callctl.errors import LocalProtocolError
from callctl.esl import commands
from callctl.esl.commands import Command
from callctl.esl.wire import CommandDecoder, CommandMessage
from tests.esl.separate import originated, separate
from tests.esl.strategies import any_text, line_text, nasty_text
from tests.recordings import commanded, recordings

UUID = "9abc056e-544a-4f1d-a7bd-044637a801d6"
any_value = any_text | nasty_text
places = st.sampled_from(["auth", "api", "filter", "hangup", "uuid", "app", "cause", "job", "event"])
variable_names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


def read_back(*sent: Command) -> list[CommandMessage]:
    decoder = CommandDecoder()
    decoder.receive_data(b"".join(command.encode() for command in sent))
    found = []
    while (command := decoder.next_command()) is not None:
        found.append(command)
    assert decoder.buffered_bytes == 0
    return found


@pytest.mark.parametrize(
    ("command", "encoded"),
    [
        (commands.auth("ClueCon"), b"auth ClueCon\n\n"),
        (commands.connect(), b"connect\n\n"),
        (commands.linger(10), b"linger 10\n\n"),
        (commands.exit_(), b"exit\n\n"),
        (commands.noevents(), b"noevents\n\n"),
        (commands.subscribe(["DTMF", "HEARTBEAT"]), b"event json DTMF HEARTBEAT\n\n"),
        (commands.subscribe(["DTMF"], ["a::b"]), b"event json DTMF CUSTOM a::b\n\n"),
        (commands.filter_events("Unique-ID", UUID), f"filter Unique-ID {UUID}\n\n".encode()),
        (commands.unfilter_events("Unique-ID", "x"), b"filter delete Unique-ID x\n\n"),
        (commands.api("uuid_exists x"), b"api uuid_exists x\n\n"),
        (commands.bgapi("status", job_uuid="j-1"), b"bgapi status\nJob-UUID: j-1\n\n"),
        (commands.hangup("USER_BUSY"), b"sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY\n\n"),
        (
            commands.execute("playback", "a b.wav", event_uuid="e-1"),
            b"sendmsg\ncall-command: execute\nexecute-app-name: playback\nevent-uuid: e-1\nevent-lock: true\n"
            b"content-type: text/plain\ncontent-length: 7\n\na b.wav",
        ),
        (
            commands.execute("answer", event_lock=False, uuid=UUID),
            f"sendmsg {UUID}\ncall-command: execute\nexecute-app-name: answer\n\n".encode(),
        ),
    ],
)
def test_each_command_has_its_form_on_the_wire(command, encoded):
    assert command.encode() == encoded


def test_the_commands_of_the_pipelined_recording_can_be_said_byte_for_byte():
    [path] = [path for path in recordings("json") if "outbound_pipelined" in path.name]
    music = "tone_stream://%(1000,0,440);loops=-1"
    said = [
        commands.connect(),
        commands.linger(10),
        Command("myevents json"),
        commands.execute("answer", event_uuid="11111111-1111-4111-8111-111111111111"),
        commands.execute(
            "playback", music, event_uuid="22222222-2222-4222-8222-222222222222", event_lock=False
        ),
        commands.exit_(),
    ]
    assert b"".join(command.encode() for command in said) == commanded(path)["outbound-1"]


# --- no value becomes a command ---


@given(
    any_value, st.sampled_from(["auth", "api", "filter", "hangup", "uuid", "app", "cause", "job", "event"])
)
@example("x\n\napi shutdown", "api")
@example("x\r\nJob-UUID: y", "job")
@example("x y", "app")
def test_a_value_is_refused_or_stays_inside_its_one_command(value, place):
    try:
        command = {
            "auth": lambda: commands.auth(value),
            "api": lambda: commands.api(value),
            "filter": lambda: commands.filter_events("Unique-ID", value),
            "hangup": lambda: commands.hangup(value),
            "uuid": lambda: commands.hangup("X", uuid=value),
            "app": lambda: commands.execute(value),
            "cause": lambda: commands.api(commands.uuid_kill(UUID, value)),
            "job": lambda: commands.bgapi("status", job_uuid=value),
            "event": lambda: commands.subscribe([value]),
        }[place]()
    except LocalProtocolError:
        return
    follower = commands.connect()
    found = read_back(command, follower)
    assert [message.line for message in found] == [command.line, "connect"]
    assert found[0].headers == {name.lower(): text for name, text in command.headers}


@given(any_value)
@example("line\n\napi shutdown\n\n")
@example("\r\nevent-lock: false")
def test_an_argument_of_an_application_is_carried_whole_or_refused(value):
    try:
        command = commands.execute("playback", value, expand=True)
    except LocalProtocolError:
        assert "\0" in value
        return
    [message, _] = read_back(command, commands.connect())
    assert message.body == value.encode("utf-8", "surrogateescape")
    assert message.headers["event-lock"] == "true"


@pytest.mark.parametrize(
    ("arg", "sent"),
    [
        ("${system(reboot)}", "$ {system(reboot)}"),
        ("$\\\\{x} $${y}", "$ \\\\{x} $$ {y}"),
        ("price $5", "price $5"),
        ("a\\b", "a\\b"),
    ],
)
def test_an_argument_is_not_expanded_unless_it_is_the_administrators(arg, sent):
    assert commands.execute("set", arg).body.decode() == sent
    assert commands.execute("set", arg, expand=True).body.decode() == arg


@pytest.mark.parametrize("verb", ["reload", "UNLOAD"])
def test_a_header_block_that_freeswitch_takes_for_a_reload_is_refused(verb):
    with pytest.raises(LocalProtocolError, match="reload"):
        commands.api(f"uuid_setvar x y Mod_Event_Socket {verb}")
    with pytest.raises(LocalProtocolError, match="reload"):
        commands.bgapi(f"status {verb}", job_uuid="mod_event_socket")
    assert commands.execute("log", f"{verb} mod_event_socket").body


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\rb", "a\0b", "\ud800"])
def test_a_line_that_is_none_is_refused(text):
    with pytest.raises(LocalProtocolError):
        commands.api(text)
    with pytest.raises(LocalProtocolError):
        Command(text)


@pytest.mark.parametrize("header", ["add", "delete", "all", "", "two words"])
def test_a_filter_on_a_word_of_the_command_itself_is_refused(header):
    with pytest.raises(LocalProtocolError):
        commands.filter_events(header, "x")


def test_a_subscription_to_nothing_and_a_job_uuid_that_would_be_cut_are_refused():
    with pytest.raises(LocalProtocolError):
        commands.subscribe([])
    with pytest.raises(LocalProtocolError):
        commands.bgapi("status", job_uuid="x" * 37)


def test_no_label_and_no_repr_tells_a_password_or_a_callers_data():
    sent = [
        commands.auth("hunter2"),
        commands.bgapi("originate {origination_caller_id_name=hunter2}user/1 &park()", job_uuid="j"),
        commands.api(commands.uuid_setvar_multi(UUID, {"name": "hunter2"})),
        commands.execute("set", "name=hunter2"),
    ]
    assert "hunter2" not in "".join(command.label + repr(command) for command in sent)
    assert sent[2].label == f"api uuid_setvar_multi {UUID}"


# --- the texts of api commands ---


@given(st.dictionaries(variable_names, line_text, max_size=4), line_text)
@example({"name": "O'Brien, \"Ada\" \\ 'x' = y; z"}, "[a='b c']user/1001")
@example({"name": "  spaces  "}, "user/1 ")
@example({"name": "\\"}, "user/1\\")
@example({"name": "^^:a=b:c"}, "user/1")
@example({"a": "b,origination_uuid=forged"}, "user/1")
def test_originate_is_read_by_freeswitch_as_it_was_meant_or_refused(variables, dialstring):
    try:
        text = commands.originate(leg_uuid=UUID, dialstring=dialstring, timeout=19.2, variables=variables)
    except LocalProtocolError:
        values = [*variables.values(), dialstring]
        assert (
            not dialstring.strip()
            or any(bad in "".join(values) for bad in ("{", "}", ":_:"))
            or any(bad in "=".join(values) for bad in ("${", "\\"))
        )
        return
    command, _, rest = text.partition(" ")
    assume(not dialstring.strip().startswith("{"))
    assert command == "originate"
    fixed = {"origination_uuid": UUID, "originate_timeout": "20"}
    set_variables = {name: value for name, value in variables.items() if value}
    assert originated(rest) == (fixed | set_variables, dialstring.strip(), [("park", "")])


def test_originate_keeps_a_dial_string_with_variables_of_its_own():
    text = commands.originate(
        leg_uuid=UUID, dialstring="{a='b c'}[d=e]user/1,user/2", timeout=5, variables={"f": "g"}
    )
    variables, dialstring, _ = originated(text.partition(" ")[2])
    assert variables == {"origination_uuid": UUID, "originate_timeout": "5", "f": "g", "a": "b c"}
    assert dialstring == "[d=e]user/1,user/2"


applications = st.tuples(variable_names, line_text.map(lambda text: text.strip(" ")))


@given(st.lists(applications, min_size=1, max_size=4))
@example([("socket", "127.0.0.1:8084 async full")])
@example([("playback", "tone_stream://%(1000,0,440)")])
@example([("playback", "a^b, 'c'"), ("set", "x=y:z"), ("park", "")])
def test_originate_runs_the_applications_that_were_meant_in_order(run):
    text = commands.originate(leg_uuid=UUID, dialstring="user/1", timeout=1, variables={}, applications=run)
    assert originated(text.partition(" ")[2])[2] == run


def test_originate_without_any_application_is_refused():
    with pytest.raises(LocalProtocolError):
        commands.originate(leg_uuid=UUID, dialstring="user/1", timeout=1, variables={}, applications=[])


@pytest.mark.parametrize("value", ["a{b", "a}b", "a${b", "a\nb", "a\rb", "a\0b", "a:_:b"])
def test_originate_refuses_what_it_cannot_carry_and_harmless_makes_it_carry(value):
    def originate(name: str) -> str:
        return commands.originate(leg_uuid=UUID, dialstring="user/1", timeout=1, variables={"name": name})

    with pytest.raises(LocalProtocolError):
        originate(value)
    variables, _, _ = originated(originate(commands.harmless(value)).partition(" ")[2])
    assert variables["name"].startswith("a")
    assert variables["name"].endswith("b")


@given(any_value)
def test_whatever_a_caller_is_called_the_harmless_name_can_be_originated(name):
    text = commands.originate(
        leg_uuid=UUID, dialstring="user/1", timeout=1, variables={"name": commands.harmless(name)}
    )
    assert originated(text.partition(" ")[2])[0].get("name", "") == commands.harmless(name)


def test_harmless_leaves_ordinary_names_alone():
    for name in ["Ada Caller", "O'Brien, John", "Müller & Söhne", "名前", "50% = half"]:
        assert commands.harmless(name) == name


def test_originate_refuses_a_variable_that_it_sets_itself_and_names_that_are_none():
    for variables in ({"origination_uuid": "x"}, {"a,b": "c"}, {"": "c"}, {"a b": "c"}):
        with pytest.raises(LocalProtocolError):
            commands.originate(leg_uuid=UUID, dialstring="user/1", timeout=1, variables=variables)


@given(st.dictionaries(variable_names, line_text, min_size=1, max_size=4))
@example({"callctl_reason": "a;socket_resume=true"})
@example({"x": " '; "})
def test_uuid_setvar_multi_is_read_by_freeswitch_as_it_was_meant(variables):
    assume(not any("${" in value.replace("\\", "") for value in variables.values()))
    text = commands.uuid_setvar_multi(UUID, variables)
    command, uuid, rest = text.split(" ", 2)
    assert (command, uuid) == ("uuid_setvar_multi", UUID)
    assert dict(pair.split("=", 1) for pair in separate(rest, ";", 64)) == variables


@pytest.mark.parametrize("character", [*sorted(set(string.punctuation) - set("{}")), " "])
def test_one_odd_character_in_a_plain_value_comes_through(character):
    variables = {"name": f"a{character}b", "other": f"{character}x"}
    _, _, rest = commands.uuid_setvar_multi(UUID, variables).split(" ", 2)
    assert dict(pair.split("=", 1) for pair in separate(rest, ";", 64)) == variables
    text = commands.originate(leg_uuid=UUID, dialstring="user/1", timeout=1, variables=variables)
    found, _, _ = originated(text.partition(" ")[2])
    assert {name: found[name] for name in variables} == variables


def test_uuid_setvar_multi_refuses_more_than_freeswitch_takes_and_what_it_drops():
    with pytest.raises(LocalProtocolError):
        commands.uuid_setvar_multi(UUID, {f"v{number}": "x" for number in range(65)})
    for variables in ({}, {"a": "${b}"}, {"a": "$\\{b}"}, {"a;b": "c"}, {"a": "b\nc"}):
        with pytest.raises(LocalProtocolError):
            commands.uuid_setvar_multi(UUID, variables)


def test_the_recorded_uuid_setvar_multi_is_said_as_recorded():
    variables = {"socket_resume": "false", "hangup_after_bridge": "true"}
    text = commands.uuid_setvar_multi("U", variables)
    assert text == "uuid_setvar_multi U socket_resume=false;hangup_after_bridge=true"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (commands.uuid_answer("U"), "uuid_answer U"),
        (commands.uuid_bridge("U", "V"), "uuid_bridge U V"),
        (commands.uuid_kill("U"), "uuid_kill U"),
        (commands.uuid_kill("U", "USER_BUSY"), "uuid_kill U USER_BUSY"),
        (commands.uuid_exists("U"), "uuid_exists U"),
        (commands.uuid_dump("U"), "uuid_dump U json"),
        (commands.uuid_getvar("U", "x"), "uuid_getvar U x"),
        (commands.uuid_transfer("U", "100"), "uuid_transfer U 100 XML default"),
        (commands.uuid_broadcast("U", "/a b.wav"), "uuid_broadcast U /a\\sb.wav aleg"),
        (commands.uuid_record("U", "/a b.wav"), "uuid_record U start /a\\sb.wav"),
        (commands.uuid_break("U"), "uuid_break U all"),
        (commands.show_channels(), "show channels as delim <|>"),
        (commands.show_registrations(), "show registrations as delim <|>"),
    ],
)
def test_each_api_text_has_its_form(text, said):
    assert text == said


@given(any_value)
def test_a_value_in_an_api_text_stays_one_word_or_is_refused(value):
    try:
        transfer = commands.uuid_transfer(UUID, value, context=value)
        broadcast = commands.uuid_broadcast(UUID, value)
        commands.api(transfer), commands.api(broadcast)
    except LocalProtocolError:
        return
    assert separate(transfer, " ") == ["uuid_transfer", UUID, value, "XML", value]
    if "${" not in value:
        assert separate(broadcast, " ") == ["uuid_broadcast", UUID, value, "aleg"]


@pytest.mark.parametrize("uuid", ["", "a b", "a\nb", "a;b", "a'b", "ä", "x" * 257])
def test_a_uuid_that_is_none_is_refused(uuid):
    with pytest.raises(LocalProtocolError):
        commands.uuid_exists(uuid)
    with pytest.raises(LocalProtocolError):
        commands.originate(leg_uuid=uuid, dialstring="user/1", timeout=1, variables={})


def test_an_extension_that_would_be_an_option_is_refused():
    with pytest.raises(LocalProtocolError):
        commands.uuid_transfer(UUID, "-both")
