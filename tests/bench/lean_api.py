"""The `api` commands of the lean switch: those that callctl sends, each with what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tests.bench import recorded
from tests.bench.lean_people import as_members

if TYPE_CHECKING:
    from tests.bench.lean_switch import LeanSwitch

OK = b"+OK\n"
NO_CHANNEL = b"-ERR No such channel!\n"


def answer_api(switch: LeanSwitch, text: str) -> bytes:
    """Run a command and return what it says; one that is not known is a KeyError."""
    name, _, argument = text.partition(" ")
    return _API[name](switch, argument)


def _global_getvar(switch: LeanSwitch, argument: str) -> bytes:
    return recorded.CORE_UUID.encode() if argument == "core_uuid" else b""


def _uptime(switch: LeanSwitch, argument: str) -> bytes:
    return b"%d" % (time.time() - switch.started_at)


def _show(switch: LeanSwitch, argument: str) -> bytes:
    table, _, delimiter = argument.partition(" as delim ")
    if table == "registrations":
        return recorded.shown_channels([], [], delimiter)
    switch.looks += 1
    return recorded.shown_channels(switch.calls, switch.legs, delimiter)


def _uuid_setvar_multi(switch: LeanSwitch, argument: str) -> bytes:
    uuid, _, settings = argument.partition(" ")
    call = switch.calls.get(uuid)
    if call is None:
        return NO_CHANNEL
    for setting in settings.split(";"):
        name, _, value = setting.partition("=")
        call.variables[name] = value
    return OK


def _uuid_getvar(switch: LeanSwitch, argument: str) -> bytes:
    uuid, _, name = argument.partition(" ")
    call = switch.calls.get(uuid)
    return NO_CHANNEL if call is None else call.variables.get(name, "_undef_").encode()


def _uuid_answer(switch: LeanSwitch, argument: str) -> bytes:
    return OK if argument in switch.calls else NO_CHANNEL


def _uuid_bridge(switch: LeanSwitch, argument: str) -> bytes:
    caller_uuid, leg_uuid = argument.split()
    call, leg = switch.calls.get(caller_uuid), switch.legs.get(leg_uuid)
    if call is None or leg is None:
        return b"-ERR Invalid uuid\n"
    switch.order_bridge(call, leg)
    return b"+OK %b\n" % leg_uuid.encode()


def _uuid_kill(switch: LeanSwitch, argument: str) -> bytes:
    uuid, _, cause = argument.partition(" ")
    if (leg := switch.legs.get(uuid)) is not None:
        switch.kill_leg(leg, cause or "NORMAL_CLEARING")
    elif (call := switch.calls.get(uuid)) is not None:
        switch.kill_caller(call)
    else:
        return NO_CHANNEL
    return OK


def _uuid_exists(switch: LeanSwitch, argument: str) -> bytes:
    return b"true" if argument in switch.calls or argument in switch.legs else b"false"


def _uuid_dump(switch: LeanSwitch, argument: str) -> bytes:
    uuid = argument.split()[0]
    if (call := switch.calls.get(uuid)) is not None:
        values = call.values | _times(call.bridged_at) | {"variables": as_members(call.variables)}
        return recorded.dump("caller", call.leg is not None).fill(values)
    if (leg := switch.legs.get(uuid)) is not None:
        partner = leg.call if leg.call is not None and leg.call.leg is leg else None
        bridged_at = 0.0 if partner is None else partner.bridged_at
        values = leg.values | _times(bridged_at) | {"variables": as_members(leg.variables)}
        return recorded.dump("leg", partner is not None).fill(values)
    return NO_CHANNEL


def _module_exists(switch: LeanSwitch, argument: str) -> bytes:
    return b"true"


def _file_exists(switch: LeanSwitch, argument: str) -> bytes:
    return b"true"


def _local_stream(switch: LeanSwitch, argument: str) -> bytes:
    """Show the streams: there is the one that callers hear where nobody asks for another."""
    return b"moh,default\n"


def _times(bridged_at: float) -> dict[str, bytes]:
    """Return since when a talk lasts, by a moment of `time.perf_counter`, and the time now; in µs."""
    now = time.time()
    return {
        "bridged": b"%d" % ((now - (time.perf_counter() - bridged_at)) * 1e6),
        "now": b"%d" % (now * 1e6),
    }


_API: Mapping[str, Callable[[LeanSwitch, str], bytes]] = {
    "file_exists": _file_exists,
    "global_getvar": _global_getvar,
    "local_stream": _local_stream,
    "module_exists": _module_exists,
    "uptime": _uptime,
    "show": _show,
    "uuid_answer": _uuid_answer,
    "uuid_getvar": _uuid_getvar,
    "uuid_bridge": _uuid_bridge,
    "uuid_dump": _uuid_dump,
    "uuid_exists": _uuid_exists,
    "uuid_kill": _uuid_kill,
    "uuid_setvar_multi": _uuid_setvar_multi,
}
