"""What callctl says to FreeSWITCH: typed commands that no value can turn into another one.

A command is a line, header lines, a blank line, and perhaps a body. CR, LF and NUL are refused wherever
they would end a line; what must be able to hold a newline, the argument of an application, goes in the
body. A command is checked when it is made, so one that exists can be sent.

There is no `getvar`: its reply is not encoded, so a value with newlines could forge a reply. Ask by `api`
with `uuid_getvar`, whose answer has a length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from callctl.errors import LocalProtocolError
from callctl.esl.framing import encode_text, header_line, refuse_control
from callctl.esl.table import SEPARATOR

_LABEL_LENGTH = 120
"""Enough of a line to know it again in a log."""

_UUID_LENGTH = 36
"""mod_event_socket copies a Job-UUID into a buffer for 36 characters and cuts the rest off."""


@frozen
class Command:
    """One command, ready to be sent. `label` names it in logs and errors; it never holds a password."""

    line: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    label: str = ""
    _encoded: bytes = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        refuse_control(self.line)
        if not self.line.strip():
            raise LocalProtocolError("an empty line is not a command")
        block = f"{self.line}\n" + "".join([header_line(name, value) for name, value in self.headers])
        # parse_command looks for these words anywhere in the header block, and obeys them.
        lower = block.lower()
        if "mod_event_socket" in lower and ("reload" in lower or "unload" in lower):
            raise LocalProtocolError("FreeSWITCH would take this command for a reload of mod_event_socket")
        object.__setattr__(self, "_encoded", encode_text(block) + b"\n" + self.body)

    def encode(self) -> bytes:
        """Return the bytes to send."""
        return self._encoded


def auth(password: str) -> Command:
    """Log in on an inbound connection; the first command there."""
    return Command(f"auth {password}", label="auth ***")


def connect() -> Command:
    """Take the call over on an outbound connection; the first command there, always."""
    return Command("connect", label="connect")


def linger(seconds: int) -> Command:
    """Keep an outbound connection for `seconds` after the hangup, so that its last events arrive."""
    return Command(f"linger {seconds:d}", label="linger")


def exit_() -> Command:
    """Have FreeSWITCH close the connection."""
    return Command("exit", label="exit")


def subscribe(names: Sequence[str], custom: Sequence[str] = ()) -> Command:
    """Ask for events by name, and for CUSTOM events by subclass, as JSON."""
    words = [*names, *(["CUSTOM", *custom] if custom else [])]
    if not words:
        raise LocalProtocolError("a subscription needs the name of an event")
    line = " ".join(["event json", *map(_word, words)])
    return Command(line, label="event json")


def noevents() -> Command:
    """Give every subscription up."""
    return Command("noevents", label="noevents")


def filter_events(header: str, value: str) -> Command:
    """Let through only events with this header value; several filters are OR-ed.

    FreeSWITCH reads a value that begins with `/` as a regular expression and one that begins with `-` as an
    exclusion. It ignores case.
    """
    return Command(f"filter {_filter(header, value)}", label=f"filter {header}")


def unfilter_events(header: str, value: str) -> Command:
    """Take one filter back. Without any filter left, everything that was subscribed comes through."""
    return Command(f"filter delete {_filter(header, value)}", label=f"filter delete {header}")


def api(text: str) -> Command:
    """Run an `api` command in the connection's own thread: nothing else is read until it ends."""
    return Command(f"api {_nonempty(text)}", label=_label("api", text))


def bgapi(text: str, *, job_uuid: str) -> Command:
    """Run an `api` command in the background; BACKGROUND_JOB with this Job-UUID tells its result."""
    if len(_word(job_uuid)) > _UUID_LENGTH:
        raise LocalProtocolError(f"a Job-UUID has at most {_UUID_LENGTH} characters")
    return Command(f"bgapi {_nonempty(text)}", (("Job-UUID", job_uuid),), label=_label("bgapi", text))


def execute(
    app: str,
    arg: str = "",
    *,
    event_uuid: str = "",
    event_lock: bool = True,
    uuid: str = "",
    expand: bool = False,
) -> Command:
    """Run an application on the channel of this connection, or on `uuid`.

    CHANNEL_EXECUTE_COMPLETE carries `event_uuid` as its Application-UUID. With `event_lock` the next
    message waits for this application instead of running inside it. FreeSWITCH expands `${…}` in an
    argument, which can run any command (`${system(…)}`): here it gets a blank inside, and is text, unless
    `expand` says that the argument is the administrator's own.
    """
    headers = [("call-command", "execute"), ("execute-app-name", _word(app))]
    if event_uuid:
        headers.append(("event-uuid", _word(event_uuid)))
    if event_lock:
        headers.append(("event-lock", "true"))
    if "\0" in arg:
        raise LocalProtocolError("an application's argument may not hold NUL")
    body = encode_text(arg if expand else _unexpanded(arg))
    if body:
        headers += [("content-type", "text/plain"), ("content-length", str(len(body)))]
    return Command(_sendmsg(uuid), tuple(headers), body, label=f"execute {app}")


def hangup(cause: str, uuid: str = "") -> Command:
    """Hang up the channel of this connection, or `uuid`, with a cause as FreeSWITCH names it."""
    headers = (("call-command", "hangup"), ("hangup-cause", _word(cause)))
    return Command(_sendmsg(uuid), headers, label="hangup")


def _sendmsg(uuid: str) -> str:
    return f"sendmsg {_word(uuid)}" if uuid else "sendmsg"


def _filter(header: str, value: str) -> str:
    # "add", "delete" and "all" are words of the command itself.
    if _word(header).lower() in ("add", "delete", "all") or not value.strip():
        raise LocalProtocolError(f"not a filter: {header[:60]!r} = {value[:60]!r}")
    return f"{header} {value}"


def _word(text: str) -> str:
    if text.split() != [text] or "\0" in text:
        raise LocalProtocolError(f"this must be one word: {text[:60]!r}")
    return text


def _nonempty(text: str) -> str:
    if not text.strip():
        raise LocalProtocolError("an api command needs a text")
    return text


def _label(kind: str, text: str) -> str:
    # The command and what it is about; what follows may be a caller's name or number.
    about = text.partition("{")[0].split(" ", 2)[:2]
    return " ".join([kind, *about]).strip()[:_LABEL_LENGTH]


_EXPANDED = re.compile(r"\$(\\*\{)")


def _unexpanded(text: str) -> str:
    """Return `text` with a blank in every `${`, so that FreeSWITCH expands nothing in it.

    Escaping would not do: `set` and others expand their argument once more, after it was expanded for them.
    """
    # switch_string_var_check_const passes over backslashes between the two.
    return _EXPANDED.sub(r"$ \1", text)


# The texts of `api` and `bgapi` commands. FreeSWITCH takes them apart with switch_separate_string
# (switch_utils.c), which knows quotes and backslashes; `_escaped` is the inverse of that.

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_UUID = re.compile(r"[A-Za-z0-9._:@-]{1,256}")

_MAX_VARIABLES = 64
"""uuid_setvar_multi takes this many, and drops the rest."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]*")
"""A value in which no character means anything to switch_separate_string, as most are: it stays as it is."""

_ENTERPRISE = ":_:"
"""Anywhere in the text of an originate, also inside a value, it makes two independent originates of one."""


SET_BY_ORIGINATE = ("origination_uuid", "originate_timeout")
"""The variables of a leg that `originate` sets itself."""


def originate(
    *,
    leg_uuid: str,
    dialstring: str,
    timeout: float,
    variables: Mapping[str, str],
    applications: Sequence[tuple[str, str]] = (("park", ""),),
) -> str:
    """Return the text that rings `dialstring` for `timeout` seconds as the leg `leg_uuid`.

    Once it is answered it runs `applications`, each with its argument, one after the other; `${…}` in an
    argument is expanded by FreeSWITCH.

    `variables` are set on the leg; empty ones are left out, as FreeSWITCH does itself. Raises
    LocalProtocolError for a value that originate cannot carry: braces, `${`, control characters; see
    `harmless` for text that a caller chose.
    """
    if not dialstring.strip():
        raise LocalProtocolError("an originate needs a dial string")
    values = _uuid(leg_uuid), str(max(1, math.ceil(timeout)))
    fixed = dict(zip(SET_BY_ORIGINATE, values, strict=True))
    if clash := fixed.keys() & variables.keys():
        raise LocalProtocolError(f"originate sets this variable itself: {', '.join(sorted(clash))}")
    pairs = [_originate_pair(name, value) for name, value in (fixed | dict(variables)).items() if value]
    text = f"{{{','.join(pairs)}}}{dialstring.strip()}"
    if _ENTERPRISE in text:
        raise LocalProtocolError(f"originate cannot carry {_ENTERPRISE!r}")
    refuse_control(text)
    return f"originate {_escaped(text, ' ')} {_run(applications)}"


def _run(applications: Sequence[tuple[str, str]]) -> str:
    """Return the applications as words of `originate`: one alone, or several by the dialplan `inline`."""
    match applications:
        case [(name, argument)] if ")" not in argument:
            # What stands behind the first closing parenthesis would be cut off.
            return _escaped(f"&{_word(name)}({argument})", " ")
    parts = [f"{_word(name)}:{argument}" if argument else _word(name) for name, argument in applications]
    # "m:^:" makes ^ the delimiter instead of the comma (inline_dialplan_hunt in mod_dptools.c).
    inline = "^".join(_escaped(part, "^") for part in parts)
    refuse_control(inline)
    return f"{_escaped(f'm:^:{_nonempty(inline)}', ' ')} inline"


def harmless(text: str) -> str:
    """Return text that a caller chose with blanks for what `originate` refuses, and otherwise unchanged."""
    if not text.isprintable() or "{" in text or "}" in text:
        text = "".join(
            " " if not character.isprintable() or character in "{}" else character for character in text
        )
    return text.replace(_ENTERPRISE, " ").strip(" ")


def uuid_answer(uuid: str) -> str:
    """Answer a channel; `+OK`, before it is answered."""
    return f"uuid_answer {_uuid(uuid)}"


def uuid_bridge(uuid: str, other_uuid: str) -> str:
    """Bridge two channels. `+OK` proves nothing, CHANNEL_BRIDGE does."""
    return f"uuid_bridge {_uuid(uuid)} {_uuid(other_uuid)}"


def uuid_kill(uuid: str, cause: str = "") -> str:
    """Hang up a channel, also one that is still being originated."""
    return f"uuid_kill {_uuid(uuid)} {_word(cause)}" if cause else f"uuid_kill {_uuid(uuid)}"


def uuid_exists(uuid: str) -> str:
    """Ask whether a channel lives: `true` or `false`."""
    return f"uuid_exists {_uuid(uuid)}"


def uuid_dump(uuid: str) -> str:
    """Ask for all that a channel knows, as a JSON object of headers."""
    return f"uuid_dump {_uuid(uuid)} json"


def uuid_getvar(uuid: str, name: str) -> str:
    """Ask for a variable's bare value, `_undef_` when it is not set.

    A value can look like an error (`-ERR …`): where a caller chose it, read the reply's text, not its kind.
    """
    return f"uuid_getvar {_uuid(uuid)} {_variable_name(name)}"


def uuid_setvar_multi(uuid: str, variables: Mapping[str, str]) -> str:
    """Set variables of a channel, at most 64; an empty value unsets."""
    if not 0 < len(variables) <= _MAX_VARIABLES:
        raise LocalProtocolError(f"uuid_setvar_multi takes 1 to {_MAX_VARIABLES} variables")
    pairs = [_setvar_pair(name, value) for name, value in variables.items()]
    return f"uuid_setvar_multi {_uuid(uuid)} {';'.join(pairs)}"


def uuid_transfer(uuid: str, extension: str, dialplan: str = "XML", context: str = "default") -> str:
    """Send a channel to an extension of the dialplan."""
    if extension.startswith("-"):
        raise LocalProtocolError(f"an extension that begins with '-' would be an option: {extension[:60]!r}")
    words = (_escaped(_nonempty(word), " ") for word in (extension, dialplan, context))
    return f"uuid_transfer {_uuid(uuid)} {' '.join(words)}"


def uuid_broadcast(uuid: str, sound: str, leg: str = "aleg") -> str:
    """Play `sound` over whatever runs, to `aleg`, `bleg` or `both`; `app::argument` runs an application."""
    return f"uuid_broadcast {_uuid(uuid)} {_escaped(_unexpanded(_nonempty(sound)), ' ')} {_word(leg)}"


def uuid_record(
    uuid: str, path: str, *, action: Literal["start", "pause", "resume", "stop"] = "start"
) -> str:
    """Record a channel into the file `path`, until that is stopped, or the channel hangs up."""
    return f"uuid_record {_uuid(uuid)} {action} {_escaped(_unexpanded(_nonempty(path)), ' ')}"


def uuid_break(uuid: str, *, everything: bool = True) -> str:
    """End at once what runs on a channel, and with `everything` also all that waits to run."""
    return f"uuid_break {_uuid(uuid)} all" if everything else f"uuid_break {_uuid(uuid)}"


def show_channels() -> str:
    """Ask for every channel; `table.rows_of` reads the answer."""
    return f"show channels as delim {SEPARATOR}"


def show_registrations() -> str:
    """Ask for every phone that is registered; `table.rows_of` reads the answer."""
    return f"show registrations as delim {SEPARATOR}"


def global_getvar(name: str) -> str:
    """Ask for a global variable."""
    return f"global_getvar {_variable_name(name)}"


def sofia_contact(user: str, domain: str) -> str:
    """Ask where a user of the directory is registered, on whichever SIP profile; see `is_registered`."""
    # FreeSWITCH takes the text apart at these (sofia_contact_function in mod_sofia.c).
    if not user or not set("/@~").isdisjoint(user + domain):
        raise LocalProtocolError(f"not a user of the directory: {user[:60]!r} of {domain[:60]!r}")
    return f"sofia_contact */{user}@{domain}" if domain else f"sofia_contact */{user}"


def is_registered(answer: str) -> bool:
    """Say whether this answer to `sofia_contact` names any phone, rather than why there is none."""
    return bool(answer.strip()) and not answer.startswith(("error/", "-ERR"))


def _setvar_pair(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"{_variable_name(name)}={value}"
    return _escaped(f"{_variable_name(name)}={_variable_value(name, value)}", ";")


def _originate_pair(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"{_variable_name(name)}={value}"
    if "{" in value or "}" in value:
        # The end of the variables is found by counting braces, wherever they stand.
        raise LocalProtocolError(f"originate cannot carry a brace: {name}={value[:60]!r}")
    inner = _escaped(_variable_value(name, value), "=")
    return _escaped(f"{_variable_name(name)}={inner}", ",")


def is_variable_name(name: str) -> bool:
    """Say whether a channel variable can be set by this name."""
    return _NAME.fullmatch(name) is not None


def _variable_name(name: str) -> str:
    if not is_variable_name(name):
        raise LocalProtocolError(f"not the name of a channel variable: {name[:60]!r}")
    return name


def _variable_value(name: str, value: str) -> str:
    refuse_control(value)
    if "${" in value.replace("\\", ""):
        # switch_channel_set_variable drops such a value, with a line in FreeSWITCH's log only.
        raise LocalProtocolError(f"a channel variable cannot hold '${{': {name}={value[:60]!r}")
    return value


def is_uuid(text: str) -> bool:
    """Say whether a channel can be asked for by this."""
    return _UUID.fullmatch(text) is not None


def _uuid(uuid: str) -> str:
    if not is_uuid(uuid):
        raise LocalProtocolError(f"not the UUID of a channel: {uuid[:60]!r}")
    return uuid


def _escaped(text: str, delimiter: str) -> str:
    """Return `text` so that switch_separate_string, splitting at `delimiter`, gives it back in one piece.

    A space is written as backslash and s: inside for the delimiter blank, else at the ends, where spaces
    are cut off.
    """
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    if delimiter == " ":
        return text.replace(" ", "\\s")
    inner = text.strip(" ")
    if not inner:
        return "\\s" * len(text)
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(text.rstrip(" "))
    return "\\s" * before + inner.replace(delimiter, "\\" + delimiter) + "\\s" * after
