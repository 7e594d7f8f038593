"""The sockets that FreeSWITCH has opened for each channel: several, where a caller was transferred to us.

A transfer takes a channel out of the `socket` application, but its connection lives on, and when it ends
FreeSWITCH does to the channel what it does at the end of any socket, whatever the channel does by then: it
ends the park of the next visit (it clears CF_CONTROLLED, by which switch_ivr_park lives), and with
`socket_resume` it resets the channel (listener_run in mod_event_socket.c). The channel is then silent for
ever, or the next visit is broken off. So before a socket leads a channel, the older ones of that channel
have ended, in an order that FreeSWITCH cannot take amiss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
import trio

from callctl.errors import ReplyTimeout, WaitEnded
from callctl.esl import commands
from callctl.esl.call_socket import CallSocket

log = structlog.get_logger(__name__)

SLEEP_MILLISECONDS = 1000
"""How long the channel may be kept busy while an older socket ends: that takes 1 ms, and is broken off."""

SETTLE_SECONDS = 2.0
"""How long a switch may take to say that it has an order, before the visit begins all the same."""

TICK_SECONDS = 0.02
"""FreeSWITCH tells that it closes a socket just before it clears CF_CONTROLLED, in the same thread."""


class ChannelSockets:
    """The sockets that live, by their channel."""

    def __init__(self) -> None:
        self._of_channel: dict[str, list[CallSocket]] = {}

    @contextmanager
    def holding(self, socket: CallSocket) -> Iterator[Sequence[CallSocket]]:
        """Know of a socket as long as it is led; gives those of the same channel that came before it."""
        known = self._of_channel.setdefault(socket.uuid, [])
        older = [each for each in known if not each.is_over]
        known.append(socket)
        try:
            yield older
        finally:
            known.remove(socket)
            if not known:
                self._of_channel.pop(socket.uuid, None)


async def end_older(older: Sequence[CallSocket], newest: CallSocket) -> None:
    """Have the `older` sockets of a channel end without harm to the `newest` one, which leads it now.

    The dialplan has set `socket_resume` before it ran the newest socket, and runs nothing while that leads
    the channel: this is the moment in which the older ones can set it false and end. Their end would also
    end the newest one's park, but not what runs inside it, and a channel that is not controlled any more can
    be parked again. So the channel sleeps meanwhile, which needs no media and costs no billing, and then
    parks. `socket_resume` is false afterwards, until the visit sets it.

    A switch that does not answer in time carries it all out later, in an order that nobody knows: the newest
    socket `may_be_broken_off` then. After a cancellation the older ones are closed.
    """
    log.debug("older sockets end", uuid=newest.uuid, sockets=len(older))
    try:
        # The reply says that the order waits for the channel, before any of the others can end.
        sleep = commands.execute("sleep", str(SLEEP_MILLISECONDS), event_lock=True)
        await newest.request(sleep, SETTLE_SECONDS)
    except ReplyTimeout as slow:
        log.info("a switch takes its time over older sockets", uuid=newest.uuid, why=str(slow))
        newest.may_be_broken_off = True
    except WaitEnded as ended:
        log.info("a socket ended before older ones had", uuid=newest.uuid, why=str(ended))
    try:
        async with trio.open_nursery() as nursery:
            for each in older:
                nursery.start_soon(each.bow_out)
        if not all(each.has_bowed_out for each in older):
            newest.may_be_broken_off = True
        await trio.sleep(TICK_SECONDS)
        wake = commands.uuid_break(newest.uuid, everything=False)
        newest.post(commands.execute("park", event_lock=False), commands.api(wake))
    except WaitEnded as ended:
        log.info("a socket ended before older ones had", uuid=newest.uuid, why=str(ended))
    finally:
        for each in older:
            each.close()
