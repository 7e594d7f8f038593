"""What a client says on Event Socket, and what the switch answers: the commands of mod_event_socket.

A reply is the text as FreeSWITCH writes it. An empty one becomes `-ERR command not found`, which is also why
`getvar` of an unset variable answers so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from callctl.esl.wire import CommandMessage, encode_connect_reply, encode_message
from callctl.sim.api import run_api, start_job
from callctl.sim.channel import Channel, PrivateMessage
from callctl.sim.events import channel_fields, profile_fields

if TYPE_CHECKING:
    from callctl.sim.listener import Listener

MAX_REPLY_BYTES = 511
"""The reply's buffer: a longer variable is cut."""

DEFAULT_LINGER = float("inf")

MYEVENTS = frozenset(
    {
        "CHANNEL_ANSWER",
        "CHANNEL_APPLICATION",
        "CHANNEL_BRIDGE",
        "CHANNEL_CREATE",
        "CHANNEL_DATA",
        "CHANNEL_DESTROY",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_ORIGINATE",
        "CHANNEL_OUTGOING",
        "CHANNEL_PARK",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_STATE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_UNPARK",
        "CHANNEL_UUID",
        "DETECTED_SPEECH",
        "DTMF",
        "NOTALK",
        "TALK",
    }
)
"""What `myevents` subscribes to."""

EVENT_NAMES = MYEVENTS | {
    "ALL",
    "API",
    "BACKGROUND_JOB",
    "CALL_UPDATE",
    "CHANNEL_CALLSTATE",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CODEC",
    "CUSTOM",
    "HEARTBEAT",
    "MESSAGE",
    "PLAYBACK_START",
    "PLAYBACK_STOP",
    "RECORD_START",
    "RECORD_STOP",
    "SHUTDOWN",
    "STARTUP",
}
"""The names that are known; another one in a subscription is passed over in silence."""


@frozen
class Answer:
    """What goes back to the client, and whether the connection ends after it."""

    data: bytes = b""
    ends_connection: bool = False
    is_never_swallowed: bool = False


def reply(text: str, headers: Mapping[str, str] | None = None, *, ends_connection: bool = False) -> Answer:
    """Return a command/reply. Its text is written raw, newlines and all, as FreeSWITCH does."""
    cut = (text or "-ERR command not found").encode("utf-8", "surrogateescape")[:MAX_REPLY_BYTES]
    extra = "".join(f"{name}: {value}\n" for name, value in (headers or {}).items()).encode()
    return Answer(b"Content-Type: command/reply\nReply-Text: " + cut + b"\n" + extra + b"\n", ends_connection)


async def answer_command(listener: Listener, command: CommandMessage) -> Answer:
    """Carry out one command of a client, and return what it is to hear."""
    line = command.line.strip()
    lowered = line.lower()
    if "mod_event_socket" in lowered and ("unload" in lowered or "reload" in lowered):
        listener.switch.reload_event_socket()
        return Answer()
    if lowered.startswith(("exit", "...")):
        return reply("+OK bye", ends_connection=True)
    if not listener.is_authenticated:
        return _authenticate(listener, line)
    name, _, argument = line.partition(" ")
    if name.lower() in ("filter", "api", "bgapi") and not argument:
        return reply("")
    handler = _COMMANDS.get(name.lower())
    if handler is None:
        return reply("")
    return await handler(listener, argument.strip(), command)


def _authenticate(listener: Listener, line: str) -> Answer:
    if not line.lower().startswith("auth "):
        return reply("")
    if line[5:] == listener.switch.password and not listener.switch.faults.refuse_login:
        listener.is_authenticated = True
        return reply("+OK accepted")
    return reply("-ERR invalid", ends_connection=True)


async def _connect(listener: Listener, _argument: str, _command: CommandMessage) -> Answer:
    channel = listener.channel
    if channel is None:
        return reply("")
    listener.is_connected = True
    channel.wake()
    fields = listener.switch.events.stamp("CHANNEL_DATA")
    fields.update(profile_fields("Channel", channel))
    fields.update(channel_fields(channel))
    fields["Content-Type"] = "command/reply"
    fields["Reply-Text"] = "+OK\n"
    fields["Socket-Mode"] = "async" if listener.is_async else "static"
    fields["Control"] = "full" if listener.is_full else "single-channel"
    return Answer(encode_connect_reply(fields), is_never_swallowed=True)


async def _getvar(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    return reply(listener.channel.variable(argument) if listener.channel is not None else "")


async def _myevents(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    words = argument.split()
    if listener.only_uuid is not None:
        return reply("-ERR aready enabled.")
    if listener.channel is not None:
        listener.only_uuid = listener.channel.uuid
    elif not words:
        return reply("")
    else:
        # An unknown UUID delivers every channel's events: a trap, kept as it is.
        listener.only_uuid = words[0] if listener.switch.locate(words[0]) else None
    listener.event_names |= MYEVENTS
    listener.enlist()
    if "json" in argument.lower():
        listener.format = "json"
    return reply("+OK Events Enabled")


async def _event(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    words = argument.split()
    if words and words[0].lower() in ("plain", "json"):
        listener.format = words.pop(0).lower()
    known = _known_names(listener, words)
    if not known:
        return reply("-ERR no keywords supplied")
    listener.event_names |= known
    return reply(f"+OK event listener enabled {listener.format}")


def _known_names(listener: Listener, words: list[str]) -> set[str]:
    """Return the event names among the words; whatever stands behind CUSTOM is a subclass."""
    known: set[str] = set()
    for index, word in enumerate(words):
        if word.upper() in EVENT_NAMES:
            known.add(word.upper())
        if word.upper() == "CUSTOM":
            listener.subclasses |= set(words[index + 1 :])
            break
    return known


async def _nixevent(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    names = {word.upper() for word in argument.split()} & EVENT_NAMES
    if not names:
        return reply("-ERR no keywords supplied")
    listener.event_names -= names
    return reply("+OK events nixed")


async def _noevents(listener: Listener, _argument: str, _command: CommandMessage) -> Answer:
    if not listener.event_names:
        return reply("-ERR not listening for events")
    listener.event_names.clear()
    listener.only_uuid = None
    listener.enlist()
    return reply("+OK no longer listening for events")


async def _filter(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    name, _, value = argument.partition(" ")
    if name.lower() == "delete" and value:
        name, _, value = value.partition(" ")
        listener.filters = [
            kept
            for kept in listener.filters
            if not (name.lower() == "all" or (kept[0].lower() == name.lower() and value in ("", kept[1])))
        ]
        listener.enlist()
        return reply(f"+OK filter deleted. [{name}][{value}]")
    if name.lower() == "add" and value:
        name, _, value = value.partition(" ")
    if not value:
        return reply("-ERR invalid syntax")
    listener.filters.append((name, value))
    listener.enlist()
    return reply(f"+OK filter added. [{name}]=[{value}]")


async def _linger(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    if listener.channel is None:
        return reply("-ERR not controlling a session")
    if not argument:
        listener.linger_seconds = DEFAULT_LINGER
        return reply("+OK will linger")
    seconds = int(argument) if argument.isdigit() else 0
    listener.linger_seconds = float(seconds)
    return reply(f"+OK will linger {seconds} seconds")


async def _nolinger(listener: Listener, _argument: str, _command: CommandMessage) -> Answer:
    if listener.channel is None:
        return reply("-ERR not controlling a session")
    listener.linger_seconds = None
    return reply("+OK will not linger")


async def _resume(listener: Listener, _argument: str, _command: CommandMessage) -> Answer:
    if listener.channel is None:
        return reply("")
    listener.channel.variables["socket_resume"] = "true"
    listener.has_resume_flag = True
    return reply("+OK")


async def _sendmsg(listener: Listener, argument: str, command: CommandMessage) -> Answer:
    uuid = argument or command.headers.get("session-id", "")
    channel: Channel | None = listener.channel
    if uuid and (channel is None or uuid != channel.uuid):
        channel = listener.switch.locate(uuid)
    if channel is None:
        return reply(f"-ERR invalid session id [{uuid}]")
    message = private_message(command)
    if not channel.post(message):
        # The 257th: the connection that sent it is closed, without a reply.
        return Answer(ends_connection=True)
    if channel is listener.channel and not listener.is_async:
        await message.done.wait()
    return reply("+OK")


def private_message(command: CommandMessage) -> PrivateMessage:
    """Read what `sendmsg` asks for; the argument of an application may stand in the body."""
    headers = command.headers
    argument = headers.get("execute-app-arg", "")
    if not argument and headers.get("content-type", "").lower() == "text/plain":
        argument = command.body.decode("utf-8", "surrogateescape")
    loops = headers.get("loops", "1")
    return PrivateMessage(
        headers.get("call-command", "").lower(),
        headers.get("execute-app-name", ""),
        argument,
        headers.get("event-uuid", ""),
        headers.get("event-lock", "").lower() == "true",
        int(loops) if loops.lstrip("-").isdigit() else 1,
        headers.get("hangup-cause", "NORMAL_CLEARING"),
    )


async def _sendevent(listener: Listener, argument: str, command: CommandMessage) -> Answer:
    uuid = listener.switch.ids.uuid()
    titled = {
        "-".join(part.capitalize() for part in name.split("-")): value
        for name, value in command.headers.items()
    }
    body = command.body.decode("utf-8", "surrogateescape")
    titled.pop("Content-Length", None)
    listener.switch.events.fire(
        argument.upper() or "CUSTOM", None, {"Command": command.line, **titled}, body=body
    )
    return reply(f"+OK {uuid}")


async def _api(listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    switch = listener.switch
    if switch.faults.api_seconds:
        await trio.sleep(switch.faults.api_seconds)
    body = run_api(switch, argument) or "-ERR no reply\n"
    return Answer(encode_message({"Content-Type": "api/response"}, body.encode("utf-8", "surrogateescape")))


async def _bgapi(listener: Listener, argument: str, command: CommandMessage) -> Answer:
    job = command.headers.get("job-uuid", "") or listener.switch.ids.uuid()
    owner = listener.channel.uuid if listener.channel is not None else ""
    start_job(listener.switch, job, argument, owner)
    return reply(f"+OK Job-UUID: {job}", {"Job-UUID": job})


async def _log(_listener: Listener, argument: str, _command: CommandMessage) -> Answer:
    return reply(f"+OK log level {argument} [7]")


_Handler = Callable[["Listener", str, CommandMessage], Awaitable[Answer]]

_COMMANDS: Mapping[str, _Handler] = {
    "api": _api,
    "bgapi": _bgapi,
    "connect": _connect,
    "event": _event,
    "filter": _filter,
    "getvar": _getvar,
    "linger": _linger,
    "log": _log,
    "myevents": _myevents,
    "nixevent": _nixevent,
    "noevents": _noevents,
    "nolinger": _nolinger,
    "resume": _resume,
    "sendevent": _sendevent,
    "sendmsg": _sendmsg,
}
