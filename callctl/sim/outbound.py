"""The `socket` application: the switch dials out to a controller, and gives it the channel.

It follows socket_function in mod_event_socket.c, with its traps: a connection that ends before `connect`
leaves the call parked, and only `socket_resume` brings it on.
"""

from __future__ import annotations

from callctl.sim.channel import Channel, State
from callctl.sim.execution import next_message, park, perform
from callctl.sim.listener import Listener

DEFAULT_PORT = 8084
MAX_HOSTS = 50


async def run_socket(channel: Channel, argument: str) -> None:
    """Connect to the first host that takes the call; where none does, the next action runs."""
    words = argument.split()
    if not words:
        return
    stream = None
    for host in words[0].split("|")[:MAX_HOSTS]:
        address, _, port = host.partition(":")
        channel.variables["socket_host"] = address
        try:
            stream = await channel.switch.dial(address, int(port or DEFAULT_PORT))
        except OSError:
            continue
        break
    if stream is None:
        return
    flags = {word.lower() for word in words[1:]}
    listener = Listener(channel.switch, stream, channel, is_async="async" in flags, is_full="full" in flags)
    channel.listeners.append(listener)
    channel.switch.serve(listener)
    channel.switch.observe("socket-connected", channel)
    if listener.is_async:
        await _obey_asynchronously(channel, listener)
    else:
        await _obey_synchronously(channel, listener)


async def _obey_asynchronously(channel: Channel, listener: Listener) -> None:
    while channel.is_ready and not listener.finished.is_set() and not listener.is_connected:
        await channel.woken()
    await channel.switch.tick()
    await park(channel)
    while channel.is_up and (message := next_message(channel)) is not None:
        await perform(channel, message)
    if channel.state is not State.HIBERNATE and not channel.is_moving and listener.resumes(channel):
        channel.set_state(State.EXECUTE)


async def _obey_synchronously(channel: Channel, listener: Listener) -> None:
    """Do one thing after the other; what ends in CS_RESET here stays there for ever, as in 1.10.12."""
    while channel.is_ready and not listener.finished.is_set():
        message = next_message(channel)
        if message is not None:
            await perform(channel, message)
        else:
            await channel.woken()
    if not channel.is_up:
        await listener.finished.wait()
