"""Callers between two sockets: who of them is on the way to us, and who has nothing to come back for."""

from __future__ import annotations

from enum import Enum, auto

import structlog
import trio

from callctl.call.switch import Switch
from callctl.call.variables import HOME, OWN_EXTENSIONS, way_back
from callctl.errors import EslError, LocalProtocolError
from callctl.esl import commands
from callctl.esl.call_socket import CallSocket
from callctl.esl.wire import Event, channel_of

log = structlog.get_logger(__name__)

ON_THE_WAY_BACK = frozenset(
    {
        "",
        "answer",
        "park",
        "playback",
        "pre_answer",
        "ring_ready",
        "set",
        "sleep",
        "socket",
        "transfer",
        "unset",
    }
)
"""What a caller runs who waits for us: an application of ours, or of the dialplan between two tries. Whoever
runs anything else, such as a bridge or a voicemail, was sent there by somebody, and is left alone."""

BEHIND_US = frozenset({"callctl-done", "callctl-alone"})
"""The dialplan's own extensions from which no way leads back."""

IN_A_BRIDGE = frozenset({"CS_HIBERNATE", "CS_SOFT_EXECUTE", "CS_EXCHANGE_MEDIA"})
"""The states of a channel that talks, or is about to, by an order that leaves its extension as it was."""

STRANDED = "CS_RESET"
"""The state of a channel that the end of a socket has taken out of its dialplan. On the way into a bridge
every channel passes through it within milliseconds."""

STRANDED_SECONDS = 0.5
"""How long a channel must stand in that state to be taken for one that nobody leads."""

OWED = "callctl_owed"
"""The variable of a caller whose wait ended away from us: with which reason the dialplan is to go on."""


class Whereabouts(Enum):
    """Where a caller is whom no socket leads."""

    ON_THE_WAY = auto()
    """In the extensions that lead to us: it will come back."""
    ELSEWHERE = auto()
    """Somebody has sent it to something else."""
    UNSURE = auto()
    """In an extension that we do not know: of a loop that somebody wrote, or elsewhere."""


def whereabouts(data: Event) -> Whereabouts:
    """Return where the caller is of whose channel `data` tells, an event or the answer to `uuid_dump`.

    What a channel carries of its wait goes with it wherever it is sent, so its extension is looked at.
    """
    is_ours = _is_in_our_extensions(data)
    if data.get("Channel-State") in IN_A_BRIDGE:
        return Whereabouts.UNSURE if is_ours else Whereabouts.ELSEWHERE
    if data.variable("current_application") not in ON_THE_WAY_BACK:
        return Whereabouts.ELSEWHERE
    if is_ours:
        return Whereabouts.ON_THE_WAY
    # The dialplan that comes with callctl never leaves its own extensions; one of somebody else's may.
    home = data.variable(HOME)
    return Whereabouts.ELSEWHERE if home.startswith(OWN_EXTENSIONS) else Whereabouts.UNSURE


def _is_in_our_extensions(data: Event) -> bool:
    destination = data.get("Caller-Destination-Number")
    if destination.startswith(OWN_EXTENSIONS):
        return destination not in BEHIND_US
    # A caller of before this variable was set is believed to be where it was.
    home = data.variable(HOME)
    return not home or home == way_back(data)


async def channel_data(uuid: str, switch: Switch) -> Event:
    """Ask how a channel stands.

    Raises CommandRefused for one that is gone, WaitEnded, and UnreadableAnswer.
    """
    return channel_of(await switch.link.api(commands.uuid_dump(uuid)))


async def send_to_own_extension(channel: Event, switch: Switch) -> bool:
    """Send a channel through the extension again in which it is; say whether that can be done.

    Raises CommandRefused for one that is gone, and WaitEnded.
    """
    try:
        order = commands.uuid_transfer(
            channel.uuid,
            channel.get("Caller-Destination-Number"),
            channel.get("Caller-Dialplan"),
            channel.get("Caller-Context"),
        )
    except LocalProtocolError as unusable:
        log.error("a caller cannot be fetched", uuid=channel.uuid, why=str(unusable))
        return False
    await switch.link.api(order)
    return True


async def free_if_stranded(channel: Event, switch: Switch) -> bool:
    """Bring a channel on that the end of a socket has left in CS_RESET, silent for ever; say whether it was.

    `channel` is how it stands now. Raises CommandRefused for one that is gone, and WaitEnded.
    """
    if channel.get("Channel-State") != STRANDED:
        return False
    await trio.sleep(STRANDED_SECONDS)
    channel = await channel_data(channel.uuid, switch)
    if channel.get("Channel-State") != STRANDED:
        return False
    log.warning("a channel was stranded by the end of a socket, and goes on", uuid=channel.uuid)
    return await send_to_own_extension(channel, switch)


async def go_on(socket: CallSocket, switch: Switch) -> bool:
    """Let the dialplan go on with a caller whose wait has ended already; say whether this is one."""
    owed = socket.data.variable(OWED)
    if not owed or owed != socket.data.variable("callctl_reason"):
        return False
    log.info("the wait had ended", uuid=socket.uuid, switch=switch.name, reason=owed)
    try:
        await switch.set_variables(socket.uuid, {"socket_resume": "true", OWED: ""})
        await socket.request(commands.exit_())
    except EslError as error:
        log.info("the caller goes on by the end of the socket", uuid=socket.uuid, why=str(error))
    return True
