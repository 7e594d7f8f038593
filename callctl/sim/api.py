"""The `api` commands of the switch, as far as a call queue uses them, with their texts as recorded.

They run at once, except `originate`, which is a job of its own. Each gets the text behind its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from callctl.esl.wire import encode_event_plain
from callctl.sim.bridge import order_bridge
from callctl.sim.channel import Channel, PrivateMessage
from callctl.sim.directory import DOMAIN, presence_id
from callctl.sim.events import VERSION, channel_fields, profile_field
from callctl.sim.originate import Originate, parse_originate
from callctl.sim.separate import separate

if TYPE_CHECKING:
    from callctl.sim.switch import Switch

_EVERY_PHRASE = ("callctl_position", "callctl_wait", "callctl_position_and_wait")
"""What `Switch.phrases` stands for where it is None."""

NO_SUCH_CHANNEL = "-ERR No such channel!\n"
OK = "+OK\n"


def run_api(switch: Switch, text: str) -> str:
    """Run an `api` command and return what it says."""
    name, _, argument = text.partition(" ")
    function = _API.get(name.lower())
    if function is None:
        return f"-ERR {name} Command not found!\n"
    return function(switch, argument.strip())


def start_job(switch: Switch, job_uuid: str, text: str, owner_uuid: str) -> None:
    """Run an `api` command in the background; its result comes as a BACKGROUND_JOB."""
    name, _, argument = text.partition(" ")
    about = {"Job-UUID": job_uuid}
    if owner_uuid:
        about["Job-Owner-UUID"] = owner_uuid
    about["Job-Command"] = name
    if argument:
        about["Job-Command-Arg"] = argument
    attempt = None
    if name.lower() == "originate":
        attempt = Originate(switch, parse_originate(argument))
        attempt.begin()

    async def run() -> None:
        if attempt is None:
            await switch.tick()
            result = run_api(switch, text)
        else:
            leg, cause = await attempt.result()
            result = f"+OK {leg.uuid}\n" if leg is not None else f"-ERR {cause}\n"
        switch.events.fire("BACKGROUND_JOB", None, about, body=result)
        if attempt is not None and leg is not None:
            attempt.start_application(leg)

    switch.start_job(run)


def _words(argument: str, count: int) -> list[str]:
    """Return exactly `count` words of the argument, the last one being the rest, missing ones empty."""
    words = argument.split(None, count - 1)
    return words + [""] * (count - len(words))


def _uuid_exists(switch: Switch, argument: str) -> str:
    return "true" if switch.locate(argument) else "false"


def _uuid_kill(switch: Switch, argument: str) -> str:
    uuid, cause = _words(argument, 2)
    if not uuid:
        return "-USAGE: <uuid> [cause]\n"
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    channel.hang_up(cause or "NORMAL_CLEARING")
    return OK


def _uuid_answer(switch: Switch, argument: str) -> str:
    channel = switch.locate(argument)
    if channel is None:
        return "-ERROR\n"
    channel.answer()
    return OK


def _uuid_bridge(switch: Switch, argument: str) -> str:
    one, two = _words(argument, 2)
    if not two:
        return "-USAGE: <uuid> <other_uuid>\n"
    originator, originatee = switch.locate(one), switch.locate(two)
    if originator is None or originatee is None or originator is originatee:
        return "-ERR Invalid uuid\n"
    if not originator.has_media:
        if not originatee.has_media:
            return "-ERR Invalid uuid\n"
        # "reversing order of channels so this will work!" (switch_ivr_uuid_bridge)
        originator, originatee = originatee, originator
    order_bridge(originator, originatee)
    return f"+OK {two}\n"


def _uuid_transfer(switch: Switch, argument: str) -> str:
    words = argument.split()
    if len(words) < 2:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    channel = switch.locate(words.pop(0))
    if channel is None:
        return NO_SUCH_CHANNEL
    side = words.pop(0) if words[0].startswith("-") else ""
    destination, context = words[0], words[2] if len(words) > 2 else ""
    targets = {"-bleg": [channel.partner], "-both": [channel, channel.partner]}.get(side, [channel])
    for target in targets:
        if target is not None:
            target.transfer(destination, context)
    return OK


def _uuid_setvar(switch: Switch, argument: str) -> str:
    uuid, name, value = _words(argument, 3)
    if not name:
        return "-USAGE: <uuid> <var> [value]\n"
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    channel.set_variable(name, value)
    return OK


def _uuid_setvar_multi(switch: Switch, argument: str) -> str:
    uuid, pairs = _words(argument, 2)
    if not pairs:
        return "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n"
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    for pair in pairs.split(";"):
        name, _, value = pair.partition("=")
        channel.set_variable(name, value)
    return OK


def _uuid_getvar(switch: Switch, argument: str) -> str:
    uuid, name = _words(argument, 2)
    if not name:
        return "-USAGE: <uuid> <var>\n"
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    return channel.variable(name) or profile_field(channel, name) or "_undef_"


def _uuid_broadcast(switch: Switch, argument: str) -> str:
    uuid, path, leg = _words(argument, 3)
    channel = switch.locate(uuid)
    if not path:
        return "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
    if channel is None:
        return "-ERR invalid uuid\n"
    targets = {"bleg": [channel.partner], "both": [channel, channel.partner]}.get(leg, [channel])
    for target in targets:
        if target is not None:
            target.post(PrivateMessage("execute", *_application(path)))
    return "+OK Message sent\n"


def _application(path: str) -> tuple[str, str]:
    """Return what a broadcast runs: `app::argument`, or a sound to play."""
    name, separator, argument = path.partition("::")
    return (name, argument) if separator else ("playback", path)


def _uuid_break(switch: Switch, argument: str) -> str:
    uuid, everything = _words(argument, 2)
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    channel.break_off(everything=everything == "all")
    return OK


def _uuid_hold(switch: Switch, argument: str) -> str:
    words = argument.split()
    switches_off = bool(words) and words[0] == "off"
    channel = switch.locate(words[-1]) if words else None
    if channel is None:
        return "-ERR Operation failed\n"
    if switches_off:
        channel.unhold()
    else:
        channel.hold()
    return "+OK Success\n"


def _uuid_send_dtmf(switch: Switch, argument: str) -> str:
    uuid, digits = _words(argument, 2)
    channel = switch.locate(uuid)
    if channel is None:
        return "-ERR Cannot locate session!\n"
    if channel.far is not None:
        channel.far.heard_dtmf(digits.partition("@")[0])
    return f"+OK {uuid} sent DTMF {digits}.\n"


def _uuid_record(switch: Switch, argument: str) -> str:
    """Record into a file, whatever the channel does, until that is stopped or the channel hangs up."""
    uuid, action, path, *_ = [*separate(argument, " "), "", "", ""]
    if not path or action not in ("start", "stop", "pause", "resume"):
        return "-USAGE: <uuid> [start|stop|pause|resume|mask|unmask] <path> [<limit>]\n"
    channel = switch.locate(uuid)
    if channel is None:
        return "-ERR Cannot locate session!\n"
    if action != "start" and path not in channel.recordings:
        return f"-ERR Cannot {action} {'recording' if action != 'stop' else 'record'} session!\n"
    if action in ("pause", "resume"):
        switch.observe(f"{action}s {path}", channel)
        return "+OK Success\n"
    if action == "stop":
        channel.recordings.remove(path)
        switch.observe(f"recorded {path}", channel)
        return "+OK Success\n"
    channel.pre_answer()
    channel.recordings.add(path)
    switch.observe(f"records {path}", channel)
    return "+OK Success\n"


def _success(switch: Switch, argument: str) -> str:
    """Mixing sound: nobody hears it here."""
    return "+OK Success\n" if switch.locate(argument.split()[0] if argument else "") else NO_SUCH_CHANNEL


def _uuid_dump(switch: Switch, argument: str) -> str:
    uuid, form = _words(argument, 2)
    channel = switch.locate(uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    fields = switch.events.stamp("CHANNEL_DATA") | channel_fields(channel)
    if form == "json":
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return encode_event_plain(fields).partition(b"\n\n")[2].decode("utf-8", "surrogateescape")


def _hupall(switch: Switch, argument: str) -> str:
    cause = argument.split()[0] if argument else "MANAGER_REQUEST"
    for channel in switch.channels():
        channel.hang_up(cause)
    return f"+OK hangup all channels with cause {cause}\n"


def _show(switch: Switch, argument: str) -> str:
    words = argument.split()
    what = words[0] if words else ""
    if what == "registrations":
        return _table([_registration(dialstring) for dialstring in switch.directory.registrations()], words)
    if what not in ("channels", "calls"):
        return "-USAGE: codec|endpoint|application|api|calls [count]|channels [count|like <match string>]\n"
    return _table(_channel_rows(switch) if what == "channels" else _call_rows(switch), words)


def _table(rows: list[dict[str, str]], words: list[str]) -> str:
    """Print a table as it was asked for: how many, as JSON, or with a delimiter, which is a comma else."""
    if words[1:2] == ["count"]:
        return f"\n{len(rows)} total.\n\n"
    if words[1:3] != ["as", "json"]:
        delimiter = "".join(words[3:4]) or ","
        lines = [delimiter.join(line) for line in [rows[0], *(row.values() for row in rows)]] if rows else []
        return "\n".join([*lines, "", f"{len(rows)} total.", ""])
    if not rows:
        return '{"row_count": 0}\n'
    return json.dumps({"row_count": len(rows), "rows": rows}, ensure_ascii=False, separators=(",", ":"))


def _registration(dialstring: str) -> dict[str, str]:
    user, _, domain = presence_id(dialstring).partition("@")
    return {
        "reg_user": user,
        "realm": domain,
        "url": f"sofia/internal/sip:{user}@{domain}",
        "hostname": domain,
    }


def _channel_rows(switch: Switch) -> list[dict[str, str]]:
    return [
        _row(channel) | {"application": channel.application, "application_data": channel.application_data}
        for channel in switch.listed_channels()
    ]


def _call_rows(switch: Switch) -> list[dict[str, str]]:
    """Two channels that talk are one call, told by the originator."""
    rows = []
    for channel in switch.listed_channels():
        if channel.partner is None or channel.variable("last_bridge_role") == "originator":
            partner = channel.partner.uuid if channel.partner is not None else ""
            rows.append(_row(channel) | {"b_uuid": partner})
    return rows


def _row(channel: Channel) -> dict[str, str]:
    """Return what both tables tell of a channel."""
    created = datetime.fromtimestamp(channel.times.created, tz=UTC)
    profile = channel.profile
    return {
        "uuid": channel.uuid,
        "direction": channel.variable("direction"),
        "created": created.strftime("%Y-%m-%d %H:%M:%S"),
        "created_epoch": str(int(channel.times.created)),
        "name": channel.name,
        "state": f"CS_{channel.running.name}",
        "cid_name": profile.caller_id_name,
        "cid_num": profile.caller_id_number,
        "ip_addr": profile.network_address,
        "dest": profile.destination,
        "dialplan": "" if channel.is_outbound else "XML",
        "context": profile.context,
        "hostname": channel.switch.name,
        "presence_id": channel.variable("presence_id"),
        "presence_data": "",
        "accountcode": channel.variable("accountcode"),
        "callstate": channel.call_state,
        "callee_name": "",
        "callee_num": "",
        "callee_direction": "",
        "call_uuid": channel.variable("call_uuid"),
    }


def _status(switch: Switch, _argument: str) -> str:
    numbers = switch.statistics()
    return (
        f"UP {uptime(switch)}\n"
        "FreeSWITCH (Version 1.10.12-release git a88d069 2024-08-02 21:02:27Z 64bit) is ready\n"
        f"{numbers.sessions_since_startup} session(s) since startup\n"
        f"{numbers.channels} session(s) - peak {numbers.peak_channels}, last 5min {numbers.peak_channels} \n"
        "0 session(s) per Sec out of max 2000, peak 0, last 5min 0 \n"
        "20000 session(s) max\nmin idle cpu 0.00/100.00\nCurrent Stack Size/Max 240K/240K\n"
    )


def uptime(switch: Switch) -> str:
    """Return how long the switch runs, in FreeSWITCH's words."""
    microseconds = round((switch.now() - switch.started_at) * 1_000_000)
    parts = []
    for unit, size in (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000)):
        parts.append(f"{microseconds // size} {unit}s")
        microseconds %= size
    seconds, rest = divmod(microseconds, 1_000_000)
    milliseconds, rest = divmod(rest, 1000)
    return ", ".join(
        ["0 years", *parts, f"{seconds} seconds", f"{milliseconds} milliseconds", f"{rest} microseconds"]
    )


def _create_uuid(switch: Switch, _argument: str) -> str:
    return switch.ids.uuid()


def _hostname(switch: Switch, _argument: str) -> str:
    return switch.name


def _uptime(switch: Switch, _argument: str) -> str:
    return str(int(switch.now() - switch.started_at))


def _global_getvar(switch: Switch, argument: str) -> str:
    """The global variables that callctl asks for: the name of this run of the core, and the domain."""
    return {"core_uuid": switch.core_uuid, "domain": DOMAIN}.get(argument, "-ERR no reply\n")


def _sofia_contact(switch: Switch, argument: str) -> str:
    """Where a user is registered, on whichever profile (`*/NAME@DOMAIN`)."""
    return switch.directory.where_registered(argument.rpartition("/")[2]) or "error/user_not_registered"


def _reloadxml(_switch: Switch, _argument: str) -> str:
    return "+OK [Success]\n"


def _strmicroepoch(switch: Switch, _argument: str) -> str:
    return str(int(switch.now() * 1_000_000))


def _version(_switch: Switch, _argument: str) -> str:
    return f"FreeSWITCH Version {VERSION} (git a88d069 2024-08-02 21:02:27Z 64bit)\n"


def _shutdown(switch: Switch, _argument: str) -> str:
    switch.shut_down()
    return OK


def _module_exists(switch: Switch, argument: str) -> str:
    return "true" if argument.startswith("mod_") and argument not in switch.absent_modules else "false"


def _file_exists(switch: Switch, argument: str) -> str:
    return "false" if switch.sound_seconds(argument) is None else "true"


def _local_stream(switch: Switch, argument: str) -> str:
    """List the streams, which `local_stream show` does."""
    if "mod_local_stream" in switch.absent_modules:
        return "-ERR local_stream Command not found!\n"
    if argument != "show":
        return "-USAGE: <show|start|reload|stop|hup|vol> <local_stream_name>\n"
    streams = switch.streams if switch.streams is not None else {"default": "/music", "moh": "/music"}
    return "".join(f"{name},{folder}\n" for name, folder in streams.items()) or "-ERR no reply\n"


def _xml_locate(switch: Switch, argument: str) -> str:
    """Return a section of the configuration: of these the stand-in keeps the phrases of English alone."""
    if argument != "languages language name en":
        return "can't find anything\n"
    if switch.phrases is not None:
        return switch.phrases
    macros = "".join(f'<macro name="{name}"/>' for name in _EVERY_PHRASE)
    return f'<language name="en" say-module="en"><phrases><macros>{macros}</macros></phrases></language>'


def _originate(_switch: Switch, _argument: str) -> str:
    """An originate blocks its connection as `api`; callctl never does that, so the stand-in refuses."""
    return "-ERR originate is for bgapi\n"


_API: Mapping[str, Callable[[Switch, str], str]] = {
    "create_uuid": _create_uuid,
    "file_exists": _file_exists,
    "global_getvar": _global_getvar,
    "uptime": _uptime,
    "hostname": _hostname,
    "hupall": _hupall,
    "local_stream": _local_stream,
    "module_exists": _module_exists,
    "originate": _originate,
    "reloadxml": _reloadxml,
    "show": _show,
    "sofia_contact": _sofia_contact,
    "shutdown": _shutdown,
    "status": _status,
    "strmicroepoch": _strmicroepoch,
    "uuid_answer": _uuid_answer,
    "uuid_break": _uuid_break,
    "uuid_bridge": _uuid_bridge,
    "uuid_broadcast": _uuid_broadcast,
    "uuid_displace": _success,
    "uuid_dump": _uuid_dump,
    "uuid_exists": _uuid_exists,
    "uuid_getvar": _uuid_getvar,
    "uuid_hold": _uuid_hold,
    "uuid_kill": _uuid_kill,
    "uuid_record": _uuid_record,
    "uuid_send_dtmf": _uuid_send_dtmf,
    "uuid_setvar": _uuid_setvar,
    "uuid_setvar_multi": _uuid_setvar_multi,
    "uuid_transfer": _uuid_transfer,
    "version": _version,
    "xml_locate": _xml_locate,
}
