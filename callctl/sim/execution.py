"""Applications run on a channel: one by one, inside one another, and waiting for what is asked meanwhile.

It follows switch_ivr.c. Whatever is asked from outside is noticed where FreeSWITCH looks for it: every 20 ms
inside an application.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from math import inf

import trio

from callctl.sim.channel import Channel, PrivateMessage, State


class Pause(Enum):
    """How a wait inside an application ended."""

    ELAPSED = auto()
    BROKEN_OFF = auto()
    GONE = auto()


async def execute(channel: Channel, name: str, argument: str, event_uuid: str = "") -> None:
    """Run one application to its end; one that does not exist hangs the call up."""
    switch = channel.switch
    application = switch.applications.get(name)
    if application is None:
        channel.hang_up("DESTINATION_OUT_OF_ORDER")
        return
    channel.application, channel.application_data = name, argument
    channel.set_variable("current_application_data", argument)
    channel.variables["current_application"] = name
    channel.variables["last_app"] = name
    channel.set_variable("last_arg", argument)
    about = {"Application": name}
    if argument:
        about["Application-Data"] = argument
    about["Application-UUID"] = event_uuid or switch.ids.uuid()
    channel.fire("CHANNEL_EXECUTE", about)
    channel.is_broken_off = False  # CF_BREAK: what was broken off before this began is forgotten.
    switch.observe(f"runs {name} {argument}".rstrip(), channel)
    channel.set_variable("current_application_response", "")
    await application(channel, argument)
    if switch.random.random() < switch.faults.missing_completions:
        return
    about["Application-Response"] = channel.variable("current_application_response", "_none_")
    channel.fire("CHANNEL_EXECUTE_COMPLETE", about)


async def perform(channel: Channel, message: PrivateMessage) -> None:
    """Carry out what a client asked of this channel (switch_ivr_parse_event)."""
    channel.event_lock += message.event_lock
    try:
        if message.command == "hangup":
            channel.hang_up(message.cause)
        elif message.command == "execute":
            await _execute_loops(channel, message)
    finally:
        channel.event_lock -= message.event_lock
        message.done.set()


async def _execute_loops(channel: Channel, message: PrivateMessage) -> None:
    loop = 0
    channel.loops_are_over = False
    while loop < message.loops or message.loops < 0:
        loop += 1
        began = channel.switch.now()
        channel.variables["current_loop"] = str(loop)
        channel.variables["total_loops"] = str(message.loops)
        await execute(channel, message.application, message.argument, message.event_uuid)
        # What ends within half a second is not repeated (switch_ivr_parse_event), so errors do not spin.
        is_spinning = channel.switch.now() - began < 0.5
        if not channel.is_ready or channel.loops_are_over or is_spinning:
            break
    channel.variables.pop("current_loop", None)
    channel.variables.pop("total_loops", None)


def next_message(channel: Channel) -> PrivateMessage | None:
    """Take the next message that may run now: a running one with event-lock holds back all others.

    Measured: behind locked music neither a broadcast nor a hangup is carried out, and `uuid_break UUID all`
    throws them away.
    """
    if channel.messages and not channel.event_lock:
        return channel.messages.popleft()
    return None


async def pause(
    channel: Channel,
    seconds: float,
    *,
    until: Callable[[], bool] | None = None,
    is_breakable: bool = False,
    is_idle: bool = False,
) -> Pause:
    """Wait inside an application, or until something is so, and do meanwhile what is asked of the channel.

    What is asked runs inside the waiting application, and its time does not count. Only a breakable wait
    heeds `uuid_break`. An idle session is woken at once; an application looks after each tick.
    """
    switch = channel.switch
    deadline = trio.current_time() + seconds
    while True:
        if not channel.is_ready:
            return Pause.GONE
        if channel.is_broken_off and is_breakable:
            channel.is_broken_off = False
            channel.loops_are_over = True
            return Pause.BROKEN_OFF
        message = next_message(channel)
        if message is not None:
            began = trio.current_time()
            await perform(channel, message)
            deadline += trio.current_time() - began
            if channel.loops_are_over and until is not None and until():
                return Pause.ELAPSED  # What was broken off ends the turn of those that wait behind it.
            continue
        if trio.current_time() >= deadline or (until is not None and until()):
            return Pause.ELAPSED
        with trio.move_on_at(deadline):
            await channel.woken()
            # What the far end signals comes through the session itself; for the rest it has to look.
            if not is_idle and not channel.was_hung_up_by_far_end:
                await switch.tick()


async def park(channel: Channel) -> None:
    """Hold a channel silently, at the orders of whoever controls it (switch_ivr_park).

    One that is held already cannot be held again inside; once the end of a socket has let it go, it can.
    """
    if channel.state is State.RESET or channel.is_controlled:
        return
    channel.is_controlled = True
    channel.fire("CHANNEL_PARK")
    await pause(channel, inf, until=lambda: not channel.is_controlled)
    channel.is_controlled = False
    channel.fire("CHANNEL_UNPARK")
