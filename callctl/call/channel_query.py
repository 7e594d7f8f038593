"""Asks a switch about many channels: no other order waits long, and a damaged answer costs one channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from callctl.errors import UnreadableAnswer
from callctl.esl import commands
from callctl.esl.inbound import SwitchLink
from callctl.esl.wire import Event, channel_of

log = structlog.get_logger(__name__)

ASKED_AT_ONCE = 50
"""About how many channels a switch is asked in one go: for some 10 ms it obeys no other order of ours."""


async def describe(link: SwitchLink, uuids: Iterable[str], take: Callable[[str, Event], None]) -> None:
    """Ask for these channels, and `take(uuid, channel)` each that lives, at the moment of its answer.

    A channel whose answer is damaged lives, and nothing but its UUID is known of it; that is logged. Raises
    WaitEnded when the connection is lost.
    """
    wanted = list(dict.fromkeys(uuids))
    for first in range(0, len(wanted), ASKED_AT_ONCE):
        lot = wanted[first : first + ASKED_AT_ONCE]
        for uuid, answer in zip(lot, link.post_api(*map(commands.uuid_dump, lot)), strict=True):
            reply = await answer.wait()
            if not reply.ok:
                continue  # it has ended
            try:
                channel = channel_of(reply.text)
            except UnreadableAnswer as damage:
                log.warning("a channel cannot be read", switch=link.name, uuid=uuid, why=str(damage))
                channel = Event("CHANNEL_DATA", {"Unique-ID": uuid})
            take(uuid, channel)


async def uptime_seconds(link: SwitchLink) -> float:
    """Ask since when FreeSWITCH runs, in whole seconds. Raises WaitEnded when it does not say."""
    answer = await link.api("uptime")
    try:
        return float(answer)
    except ValueError as error:
        raise UnreadableAnswer(f"this is no uptime: {answer[:60]!r}") from error
