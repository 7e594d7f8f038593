"""The thread of a channel: it takes the channel through its states, and runs one application after another.

It follows FreeSWITCH's core state machine (switch_core_state_machine.c): another state may be ordered from
outside at any time, breaks off what runs, and begins when that has ended.
"""

from __future__ import annotations

from math import inf

from callctl.sim.bridge import soft_execute
from callctl.sim.channel import Channel, State
from callctl.sim.events import report_variables
from callctl.sim.execution import execute, park, pause


async def live(channel: Channel) -> None:
    """Run a channel from its first state to its last event; cancellation tells nobody, like a crash."""
    _be_created(channel)
    while channel.is_up:
        if channel.state != channel.running:
            channel.running = channel.state
            channel.is_moving = False
            await _run_state(channel)
        else:
            await pause(channel, inf, is_idle=True)
    await _be_reported(channel)


def _be_created(channel: Channel) -> None:
    if channel.is_outbound:
        channel.fire("CHANNEL_OUTGOING", bare=True)
    else:
        _enter(channel, State.NEW)
    _enter(channel, State.INIT)
    channel.fire("CHANNEL_CREATE")
    if channel.is_outbound:
        channel.fire("CHANNEL_ORIGINATE")
        _enter(channel, State.ROUTING)
        _enter(channel, State.CONSUME_MEDIA)
        if channel.far is not None:
            channel.far.invited()
    else:
        channel.call_state = "RINGING"
        if channel.state < State.ROUTING:
            channel.state = State.ROUTING


def _enter(channel: Channel, state: State) -> None:
    """Begin a state, and say so."""
    channel.running = state
    if channel.state < state:
        channel.state = state
    channel.fire("CHANNEL_STATE", bare=True)


async def _run_state(channel: Channel) -> None:
    state = channel.running
    if state is State.ROUTING:
        channel.call_state = "RINGING"
    elif state is State.EXECUTE and channel.is_answered:
        channel.call_state = "ACTIVE"
    channel.fire("CHANNEL_STATE", bare=True)
    if state is State.ROUTING:
        _route(channel)
    elif state is State.EXECUTE:
        await _execute_extension(channel)
    elif state is State.HIBERNATE:
        channel.set_state(State.RESET)
    elif state is State.RESET and channel.bridge_to is not None:
        channel.set_state(State.SOFT_EXECUTE)
    elif state is State.SOFT_EXECUTE and channel.bridge_to is not None:
        await soft_execute(channel)
    elif state is State.PARK:
        await park(channel)


def _route(channel: Channel) -> None:
    actions = channel.switch.dialplan.actions(channel)
    if actions is None:
        channel.hang_up("NO_ROUTE_DESTINATION")
        return
    channel.extension = actions
    channel.next_action = 0
    channel.set_state(State.EXECUTE)


async def _execute_extension(channel: Channel) -> None:
    while channel.is_ready and channel.next_action < len(channel.extension):
        name, argument = channel.extension[channel.next_action]
        channel.next_action += 1
        await execute(channel, name, channel.switch.dialplan.expand(channel, argument))
    if channel.is_ready:
        channel.hang_up("NORMAL_CLEARING")


async def _be_reported(channel: Channel) -> None:
    switch = channel.switch
    if channel.far is not None and not channel.was_hung_up_by_far_end:
        channel.far.hung_up(channel.hangup_cause)
    channel.running = State.HANGUP
    channel.variables.pop("bridge_to", None)
    channel.fire("CHANNEL_STATE", bare=True)
    channel.times.hangup = switch.now()
    channel.call_state = "HANGUP"
    channel.state = channel.running = State.REPORTING
    channel.fire("CHANNEL_STATE", bare=True)
    channel.variables.update(report_variables(channel))
    channel.fire("CHANNEL_HANGUP_COMPLETE")
    for listener in list(channel.listeners):
        # A listener holds the session's lock, so the channel is there until its socket is gone.
        await listener.finished.wait()
        await switch.tick()
    channel.fire("CHANNEL_DESTROY")
    channel.state = channel.running = State.DESTROY
    channel.fire("CHANNEL_STATE", bare=True)
    switch.forget(channel)
