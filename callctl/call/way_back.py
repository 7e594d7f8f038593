"""Callers between two sockets: who of them is on the way to us, and who has nothing to come back for."""

from __future__ import annotations

import structlog

from callctl.call.switch import Switch
from callctl.errors import EslError
from callctl.esl import commands
from callctl.esl.call_socket import CallSocket
from callctl.esl.wire import Event

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

OWED = "callctl_owed"
"""The variable of a caller whose wait ended away from us: with which reason the dialplan is to go on."""


def is_on_the_way_back(data: Event) -> bool:
    """Say whether this channel's caller waits for us, or was sent to something else."""
    return data.variable("current_application") in ON_THE_WAY_BACK


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
