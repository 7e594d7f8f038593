"""Two channels talk: how `uuid_bridge` and the `bridge` application bring them together, and how it ends.

It follows switch_ivr_bridge.c. The originator (the caller, whom `uuid_bridge` names first) runs the bridge;
the other side only waits in EXCHANGE_MEDIA.
"""

from __future__ import annotations

from math import inf

import trio

from callctl.sim.channel import Channel, State
from callctl.sim.execution import pause

GIVE_UP_SECONDS = 20.0
"""How long the originator waits for the other side to become ready: 1000 times 20 ms."""


def order_bridge(originator: Channel, originatee: Channel) -> None:
    """Take both away from what they do, to talk to each other (switch_ivr_uuid_bridge)."""
    for channel, other in ((originator, originatee), (originatee, originator)):
        channel.other = other
        channel.variables["bridge_channel"] = other.name
        channel.variables["bridge_uuid"] = other.uuid
        channel.variables["signal_bond"] = other.uuid
        channel.note_transfer(f"uuid_br:{other.uuid}")
        channel.is_moving = True
        channel.bridge_to = None
    originatee.profile.caller_id_name = originator.profile.caller_id_name
    originatee.profile.caller_id_number = originator.profile.caller_id_number
    originator.bridge_to = originatee
    originator.set_state(State.HIBERNATE)
    originatee.set_state(State.HIBERNATE)
    originator.switch.observe("bridge-ordered", originator)


async def soft_execute(channel: Channel) -> None:
    """Wait until the other side is ready, and talk; the channel may be gone, or the other one."""
    other = channel.bridge_to
    channel.bridge_to = None
    if other is None:
        return
    switch = channel.switch
    if not other.is_up:
        # Measured: a caller whose agent left in the instant of the bridge is hung up.
        if channel.is_true("park_after_bridge"):
            channel.set_state(State.PARK)
        elif not transfer_after_bridge(channel):
            channel.hang_up("DESTINATION_OUT_OF_ORDER")
        return
    await _until_ready(channel, other)
    if not channel.is_up:
        # The other one is left where it is, in silence; nobody hangs it up.
        return
    if not other.is_up:
        if channel.is_true("uuid_bridge_continue_on_cancel"):
            channel.set_state(State.EXECUTE)
        elif channel.is_true("uuid_bridge_park_on_cancel"):
            channel.set_state(State.PARK)
        else:
            channel.hang_up("ORIGINATOR_CANCEL")
        return
    if not channel.is_ready or not other.is_ready:
        (channel if channel.is_ready else other).hang_up("DESTINATION_OUT_OF_ORDER")
        return
    if switch.random.random() < switch.faults.failed_bridges:
        leg, caller = (other, channel) if other.is_outbound else (channel, other)
        leg.hang_up("DESTINATION_OUT_OF_ORDER")
        caller.set_state(State.EXECUTE)
        return
    channel.fire("CHANNEL_EXECUTE", {"Application": "uuid_bridge", "Application-Data": other.uuid})
    other.fire("CHANNEL_EXECUTE", {"Application": "uuid_bridge", "Application-Data": channel.uuid})
    channel.application, channel.application_data = "uuid_bridge", other.uuid
    await talk(channel, other)
    if channel.is_up and not channel.is_moving and channel.state is not State.PARK:
        channel.set_state(State.EXECUTE)


async def _until_ready(channel: Channel, other: Channel) -> None:
    """Wait for the other side to arrive in SOFT_EXECUTE, and help it there."""
    with trio.move_on_after(GIVE_UP_SECONDS) as patience:
        await trio.sleep(channel.switch.tick_seconds / 4)
        while channel.is_up and other.is_up:
            if other.state is other.running is State.RESET:
                other.set_state(State.SOFT_EXECUTE)
            elif other.state is other.running is State.SOFT_EXECUTE:
                return
            await trio.sleep(channel.switch.tick_seconds)
    if patience.cancelled_caught:
        channel.hang_up("DESTINATION_OUT_OF_ORDER")
        other.hang_up("DESTINATION_OUT_OF_ORDER")


async def talk(channel: Channel, other: Channel) -> None:
    """Let two channels talk until one of them leaves (switch_ivr_multi_threaded_bridge)."""
    switch = channel.switch
    bond = {"Bridge-A-Unique-ID": channel.uuid, "Bridge-B-Unique-ID": other.uuid}
    now = switch.now()
    for one, two in ((channel, other), (other, channel)):
        one.times.bridged = now
        one.other = one.partner = two
        one.call_state = "ACTIVE"
    channel.fire("CHANNEL_BRIDGE", bond)
    for one, two in ((channel, other), (other, channel)):
        one.variables["bridge_channel"] = two.name
        for name in ("bridge_to", "bridge_uuid", "last_bridge_to", "signal_bond"):
            one.variables[name] = two.uuid
        one.variables["last_bridge_role"] = "originator" if one is channel else "originatee"
    other.set_state(State.EXCHANGE_MEDIA)
    switch.observe("bridged", channel, other.uuid)
    for one in (channel, other):
        if one.far is not None:
            one.far.bridged()
    await pause(channel, inf, until=lambda: other.state is not State.EXCHANGE_MEDIA)
    await _part(channel, other, bond)


async def _part(channel: Channel, other: Channel, bond: dict[str, str]) -> None:
    for one in (channel, other):
        one.partner = None
        one.variables.pop("bridge_to", None)
    cause = other.hangup_cause or channel.hangup_cause or "NORMAL_CLEARING"
    for one in (channel, other):
        if one.held_since is not None:
            one.unhold()
    await channel.switch.tick()
    while other.is_consulting:
        # Seen: the caller's thread ends only when the agent's is back, so the last events come late.
        await channel.switch.tick()
    if other.state is State.EXCHANGE_MEDIA:
        other.variables["bridge_hangup_cause"] = cause
        other.variables["last_bridge_hangup_cause"] = cause
        if not _goes_on(other):
            other.hang_up("NORMAL_CLEARING")
    channel.variables["bridge_hangup_cause"] = cause
    channel.variables["last_bridge_hangup_cause"] = cause
    channel.fire("CHANNEL_UNBRIDGE", bond)
    channel.switch.observe("unbridged", channel, other.uuid)
    # It counts only where the other side left: a caller who is broken off goes on in the dialplan.
    if channel.is_ready and not _goes_on(channel) and channel.is_true("hangup_after_bridge"):
        channel.hang_up(cause)


def _goes_on(channel: Channel) -> bool:
    """Let a channel whose bridge has ended go where its variables say; return whether they do."""
    if channel.is_true("park_after_bridge"):
        channel.set_state(State.PARK)
        return True
    return transfer_after_bridge(channel)


def transfer_after_bridge(channel: Channel) -> bool:
    """Send a channel where `transfer_after_bridge` says, once; return whether it says so."""
    destination, _, rest = channel.variable("transfer_after_bridge").partition(":")
    if not destination:
        return False
    channel.set_variable("transfer_after_bridge", "")
    channel.transfer(destination, rest.partition(":")[2])
    return True


async def consult(channel: Channel, peer: Channel, held: Channel) -> None:
    """Let an agent's leg talk with a colleague while the caller is `held`, and what follows that (att_xfer).

    It is a bridge within the one with the caller, which goes on. Then the agent is bridged with the caller
    again, or, where the agent has left, the colleague.
    """
    bond = {"Bridge-A-Unique-ID": channel.uuid, "Bridge-B-Unique-ID": peer.uuid}
    for one, two in ((channel, peer), (peer, channel)):
        one.times.bridged = channel.switch.now()
        one.other = two
        for name in ("bridge_to", "bridge_uuid", "last_bridge_to", "signal_bond"):
            one.variables[name] = two.uuid
    channel.fire("CHANNEL_BRIDGE", bond)
    peer.set_state(State.EXCHANGE_MEDIA)
    peer.wake()
    if peer.far is not None:
        peer.far.bridged()
    channel.is_consulting = True
    while channel.is_up and peer.is_up and channel.state is State.EXCHANGE_MEDIA:
        await channel.switch.tick()
    channel.is_consulting = False
    channel.variables.pop("bridge_to", None)
    peer.variables.pop("bridge_to", None)
    channel.fire("CHANNEL_UNBRIDGE", bond)
    if not held.is_up:
        peer.hang_up("NORMAL_CLEARING")
    elif channel.is_up and channel.state is State.EXCHANGE_MEDIA:
        order_bridge(channel, held)
    elif peer.is_up:
        order_bridge(peer, held)
