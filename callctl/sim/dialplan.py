"""The dialplan: which applications run for a call, as small data.

Two are here: the one of the recordings, and one that behaves like callctl's own (`dialplan/` at the top).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from callctl.sim.api import run_api
from callctl.sim.channel import Action, Channel

_EXPANSION = re.compile(r"\$\{([^}:]+)(?::-([^}]*))?\}")

_COMMAND = re.compile(r"(\w+)\((.*)\)")

MUSIC = "tone_stream://%(1000,0,350);loops=-1"
"""What an agent's leg of the recordings plays once it has answered."""


_CALL_VARIABLES: list[Action] = [
    ("set", "caller_uuid=${uuid}"),
    ("set", "lead_number=${lead_number:-sock}"),
    ("set", "call_type=${call_type:-incoming}"),
    ("set", "source=${source:-sip_trunk}"),
    ("set", "account_id=${account_id:-default}"),
    ("set", "widget_id=${widget_id:-default}"),
    ("set", "queue=${queue:-caller}"),
]
"""The seven variables of a call, where the trunk has not set them."""


@frozen
class Extension:
    """What a destination runs: the first that matches is taken, looked for when the call is routed.

    `destination` is a regular expression; `$1` in an argument is its first group. `conditions` are regular
    expressions on channel variables that must match as well.
    """

    destination: str
    actions: Sequence[Action]
    conditions: Sequence[tuple[str, str]] = ()


@frozen
class Dialplan:
    """All extensions, in their order; contexts are not told apart."""

    extensions: Sequence[Extension]

    def actions(self, channel: Channel) -> list[Action] | None:
        """Return what this channel is to run, or None where nothing fits."""
        for extension in self.extensions:
            found = re.fullmatch(extension.destination, channel.profile.destination)
            if found and all(
                re.search(pattern, channel.variable(name)) for name, pattern in extension.conditions
            ):
                first = found.group(1) if found.lastindex else ""
                return [(name, argument.replace("$1", first)) for name, argument in extension.actions]
        return None

    def expand(self, channel: Channel, text: str) -> str:
        """Return `text` with each `${name}` or `${name:-default}` replaced by what the channel says of it.

        `${name(argument)}` is what the `api` command of this name answers.
        """

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if (command := _COMMAND.fullmatch(name)) is not None:
                return run_api(channel.switch, f"{command[1]} {command[2]}".rstrip())
            if name == "destination_number":
                return channel.profile.destination
            if name == "caller_id_number":
                return channel.profile.caller_id_number
            return channel.variable(name) or found[2] or ""

        return _EXPANSION.sub(value, text)


def recorded_dialplan(sockets: str = "127.0.0.1:8084", dead_socket: str = "127.0.0.1:8999") -> Dialplan:
    """Return the dialplan that the recordings ran on: callers' extensions and agents' ones."""
    return Dialplan(
        [
            Extension("sock", [*_CALL_VARIABLES, ("socket", f"{sockets} async full")]),
            Extension(
                "resume",
                [
                    ("set", "socket_resume=true"),
                    ("socket", f"{sockets} async full"),
                    ("playback", "tone_stream://%(500,0,800);loops=2"),
                    ("socket", f"{sockets} async full"),
                ],
            ),
            Extension("failover", [("socket", f"{dead_socket}|{sockets} async full")]),
            Extension("sync", [("socket", f"{sockets} full")]),
            Extension(
                "ring([0-9]+)", [("ring_ready", ""), ("sleep", "$1"), ("answer", ""), ("playback", MUSIC)]
            ),
            Extension("answer", [("answer", ""), ("playback", MUSIC)]),
            Extension("noanswer", [("ring_ready", ""), ("sleep", "60000"), ("hangup", "NO_ANSWER")]),
            Extension("busy", [("hangup", "USER_BUSY")]),
            Extension("reject", [("hangup", "CALL_REJECTED")]),
        ]
    )


_OF_A_VISIT = (
    "callctl_call",
    "callctl_reason",
    "callctl_target",
    "callctl_resumes",
    "callctl_refusal",
    "callctl_refused_epoch",
    "callctl_rounds",
)
"""What is left of an earlier visit, and goes with the next one."""


def house_dialplan(
    sockets: str = "127.0.0.1:8084",
    *,
    music: str = "local_stream://moh",
    music_seconds: int = 5,
    rounds: int = 120,
    hand_back: Sequence[Action] = (("hangup", "NORMAL_CLEARING"),),
    last_resort: Sequence[Action] = (("hangup", "NORMAL_TEMPORARY_FAILURE"),),
) -> Dialplan:
    """Return a dialplan that behaves like callctl's own.

    A call to `callctl` goes to callctl at `sockets` (`host:port|host:port`). While nobody is there it hears
    `music` for `music_seconds` and tries again, at most `rounds` times, and ends in `last_resort`. A caller
    whom callctl gave back, with `callctl_reason` set, goes on with `hand_back`. Variables that the trunk has
    set already are kept. A transfer to `enter-QUEUE` begins another visit, one to `answer` leads elsewhere.
    """
    return Dialplan(
        [
            Extension(
                "callctl",
                [
                    ("set", "callctl_entered_uepoch=${strmicroepoch()}"),
                    *_CALL_VARIABLES,
                    ("set", "socket_resume=true"),
                    ("transfer", "callctl-wait"),
                ],
            ),
            # As callctl-enter: a new visit, in the queue that the extension names.
            Extension(
                "enter-(.+)",
                [
                    *[("unset", name) for name in _OF_A_VISIT],
                    ("set", "callctl_entered_uepoch=${strmicroepoch()}"),
                    ("set", "queue=$1"),
                    ("set", "socket_resume=true"),
                    ("transfer", "callctl-wait"),
                ],
            ),
            Extension("callctl-wait", hand_back, [("callctl_reason", ".")]),
            Extension("callctl-wait", last_resort, [("callctl_rounds", f"^1{{{rounds}}}$")]),
            Extension(
                "callctl-wait",
                [
                    ("set", "callctl_rounds=1${callctl_rounds}"),
                    ("socket", f"{sockets} async full"),
                    ("transfer", "callctl-pause"),
                ],
            ),
            Extension("callctl-pause", [("transfer", "callctl-wait")], [("callctl_reason", ".")]),
            Extension(
                "callctl-pause",
                [
                    ("answer", ""),
                    ("set", f"playback_timeout_sec={music_seconds}"),
                    ("playback", music),
                    ("unset", "playback_timeout_sec"),
                    ("transfer", "callctl-wait"),
                ],
            ),
            Extension("answer", [("answer", ""), ("playback", MUSIC)]),
        ]
    )
