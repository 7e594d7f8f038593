"""The applications that a dialplan or a client may run on a channel, by name.

Each takes the channel and its argument, and ends when the application ends. What a caller hears is only
its length: tones and silence say theirs, other sounds have the length that the switch was given for them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from math import inf

from callctl.sim.bridge import consult, talk
from callctl.sim.channel import Channel
from callctl.sim.execution import Pause, park, pause
from callctl.sim.originate import Originate, parse_originate
from callctl.sim.outbound import run_socket

Application = Callable[[Channel, str], Awaitable[None]]

_TONE = re.compile(r"%\((\d+),(\d+),")
_LOOPS = re.compile(r";loops=(-?\d+)")


async def answer(channel: Channel, _argument: str) -> None:
    channel.answer()


async def pre_answer(channel: Channel, _argument: str) -> None:
    channel.pre_answer()


async def ring_ready(channel: Channel, _argument: str) -> None:
    channel.ring()


async def hangup(channel: Channel, argument: str) -> None:
    channel.hang_up(argument or "NORMAL_CLEARING")


async def park_application(channel: Channel, _argument: str) -> None:
    await park(channel)


async def sleep(channel: Channel, argument: str) -> None:
    await pause(channel, int(argument or 0) / 1000, is_breakable=True)


async def log(_channel: Channel, _argument: str) -> None:
    """Say something in the switch's log, which the stand-in does not keep."""


async def set_variable(channel: Channel, argument: str) -> None:
    name, _, value = argument.partition("=")
    channel.set_variable(name, value)


async def unset_variable(channel: Channel, argument: str) -> None:
    channel.set_variable(argument, "")


async def set_variables(channel: Channel, argument: str) -> None:
    for part in argument.split():
        await set_variable(channel, part)


async def transfer(channel: Channel, argument: str) -> None:
    destination, *rest = argument.split()
    channel.transfer(destination, rest[1] if len(rest) > 1 else "")


async def playback(channel: Channel, argument: str) -> None:
    """Play a sound to its end, to a terminating digit, or until it is broken off."""
    seconds = sound_seconds(channel, argument)
    if seconds is None:
        channel.variables["current_application_response"] = "FILE NOT FOUND"
        return
    limit = channel.variable("playback_timeout_sec")
    end = await play(channel, argument, min(seconds, float(limit)) if limit else seconds)
    channel.variables["current_application_response"] = (
        "PLAYBACK ERROR" if end is Pause.GONE else "FILE PLAYED"
    )


async def play(channel: Channel, path: str, seconds: float, terminators: str = "") -> Pause:
    """Play `seconds` of sound and say so; a digit among the `terminators` ends it too.

    Without any, those of the channel count (on_dtmf in mod_dptools.c), and the one that was pressed is told.
    """
    channel.pre_answer()
    stops = terminators
    if not terminators:
        channel.set_variable("playback_terminator_used", "")
        own = channel.variable("playback_terminators", "*")
        stops = {"any": "1234567890*#", "none": ""}.get(own.lower(), own)
    about = {
        "Playback-File-Path": path,
        "Playback-File-Type": path.partition("://")[0] if "://" in path else "raw",
    }
    channel.fire("PLAYBACK_START", about)
    began = channel.switch.now()
    end = await pause(
        channel, seconds, is_breakable=True, until=lambda: any(digit in stops for digit in channel.digits)
    )
    if not terminators:
        if used := next((digit for digit in channel.digits if digit in stops), ""):
            channel.set_variable("playback_terminator_used", used)
        channel.digits.clear()
    played = channel.switch.now() - began
    channel.variables["playback_seconds"] = str(int(played))
    channel.variables["playback_ms"] = str(int(played * 1000))
    about["Playback-Status"] = "break" if end is Pause.BROKEN_OFF else "done"
    channel.fire("PLAYBACK_STOP", about)
    return end


def sound_seconds(channel: Channel, path: str) -> float | None:
    """Return how long a sound is, or None where there is none."""
    kind, separator, rest = path.partition("://")
    if not separator:
        return channel.switch.sound_seconds(path)
    if kind in ("tone_stream", "silence_stream") and "mod_tone_stream" in channel.switch.absent_modules:
        return None
    if kind == "tone_stream":
        once = sum(int(on) + int(off) for on, off in _TONE.findall(rest)) / 1000
        loops = _LOOPS.search(rest)
        times = int(loops[1]) if loops else 1
        return inf if times < 0 else once * times
    if kind == "silence_stream":
        milliseconds = int(rest.partition(",")[0] or 0)
        return inf if milliseconds < 0 else milliseconds / 1000
    if kind == "local_stream":
        return inf if channel.switch.has_stream(rest) else None
    if kind == "file_string":
        lengths = [sound_seconds(channel, part) for part in rest.split("!")]
        return sum(length for length in lengths if length is not None)
    return channel.switch.sound_seconds(path)


async def phrase(channel: Channel, argument: str) -> None:
    """Say a phrase: `macro,data`; it takes as long as any sound."""
    if not channel.switch.has_phrase(argument.partition(",")[0]):
        channel.variables["current_application_response"] = "UNKNOWN ERROR"
        return
    await play(channel, argument, channel.switch.sound_seconds(argument) or 0.0)
    channel.variables["current_application_response"] = "PHRASE PLAYED"


async def play_and_get_digits(channel: Channel, argument: str) -> None:
    """Ask for digits: `min max tries timeout terminators file invalid_file variable regexp digit_timeout`."""
    minimum, maximum, tries, timeout, terminators, sound, invalid, variable, pattern, *rest = argument.split()
    between_seconds = int(rest[0] if rest else timeout) / 1000
    for _ in range(int(tries)):
        await play(channel, sound, sound_seconds(channel, sound) or 0, "0123456789*#ABCD")
        digits = await _collect(channel, int(maximum), terminators, int(timeout) / 1000, between_seconds)
        if not channel.is_ready:
            return
        if len(digits) >= int(minimum) and re.fullmatch(pattern, digits):
            channel.set_variable(variable, digits)
            return
        await play(channel, invalid, sound_seconds(channel, invalid) or 0, "0123456789*#ABCD")


async def _collect(
    channel: Channel, maximum: int, terminators: str, first_seconds: float, between_seconds: float
) -> str:
    digits = ""
    wait_seconds = first_seconds
    while len(digits) < maximum:
        await pause(channel, wait_seconds, until=lambda: bool(channel.digits))
        if not channel.is_ready or not channel.digits:
            break
        digit = channel.digits.popleft()
        if digit in terminators:
            break
        digits += digit
        wait_seconds = between_seconds
    return digits


async def bridge(channel: Channel, argument: str) -> None:
    """Originate another leg and talk to it (the `bridge` application)."""
    channel.variables.pop("originate_disposition", None)
    attempt = Originate(channel.switch, parse_originate(argument), parent=channel)
    attempt.begin()
    leg, cause = await attempt.result()
    channel.variables["originate_disposition"] = "SUCCESS" if leg else cause
    if leg is not None:
        await talk(channel, leg)
    elif channel.is_ready and not channel.is_true("continue_on_fail"):
        channel.hang_up(cause)


async def att_xfer(channel: Channel, argument: str) -> None:
    """Call a colleague with the caller waiting, and go back to the caller, or leave the two alone."""
    held = channel.partner
    attempt = Originate(channel.switch, parse_originate(argument), parent=channel)
    attempt.begin()
    leg, _ = await attempt.result()
    if leg is not None and held is not None:
        await consult(channel, leg, held)


APPLICATIONS: Mapping[str, Application] = {
    "answer": answer,
    "att_xfer": att_xfer,
    "bridge": bridge,
    "export": set_variable,
    "hangup": hangup,
    "info": log,
    "log": log,
    "multiset": set_variables,
    "park": park_application,
    "phrase": phrase,
    "playback": playback,
    "play_and_get_digits": play_and_get_digits,
    "pre_answer": pre_answer,
    "record_session": log,
    "ring_ready": ring_ready,
    "set": set_variable,
    "sleep": sleep,
    "socket": run_socket,
    "stop_record_session": log,
    "transfer": transfer,
    "unset": unset_variable,
}
