"""Asks how an agent's leg stands until the switch says: a call may depend on it, however long that takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
import trio

from callctl.call.channel_query import describe
from callctl.call.standing import GONE, Standing, standing_of
from callctl.call.switch import LegState, Switch
from callctl.errors import WaitEnded

log = structlog.get_logger(__name__)

T = TypeVar("T")
About = TypeVar("About")

BRIDGE_SECONDS = 1.0
"""How long FreeSWITCH takes at most from the order of a bridge to the bridge; 20 to 60 ms are usual."""


async def state_of(switch: Switch, leg_uuid: str) -> LegState:
    """Return how the leg stands. A cancellation leaves nothing behind."""
    return await _answer(switch, switch.leg_state, leg_uuid)


async def standings_of(switch: Switch, uuids: Sequence[str]) -> list[Standing]:
    """Return how these channels stand, in their order. A cancellation leaves nothing behind."""

    async def ask(about: Sequence[str]) -> list[Standing]:
        found = dict.fromkeys(about, GONE)  # What the switch does not know has ended.
        await describe(switch.link, about, lambda uuid, channel: found.update({uuid: standing_of(channel)}))
        return [found[uuid] for uuid in about]

    return await _answer(switch, ask, uuids)


async def settle_bridge(switch: Switch, leg_uuid: str) -> tuple[LegState, float]:
    """Return how a leg stands for which a bridge was ordered, and for how many seconds it is bridged.

    The answer comes after that to the order itself, which a slow switch may have obeyed only just now; so
    no is believed when it is said again a moment later.
    """
    state = await state_of(switch, leg_uuid)
    if state is not LegState.BRIDGED:
        await trio.sleep(BRIDGE_SECONDS)
        state = await state_of(switch, leg_uuid)
    if state is not LegState.BRIDGED:
        return state, 0.0
    return state, await _answer(switch, switch.bridged_seconds, leg_uuid)


async def _answer(switch: Switch, question: Callable[[About], Awaitable[T]], about: About) -> T:
    while True:
        await switch.wait_ready()
        try:
            return await question(about)
        except WaitEnded as ended:
            log.info("asking again about a leg", switch=switch.name, leg=about, why=str(ended))


async def hang_up_unless_bridged(switch: Switch, leg_uuid: str) -> bool:
    """Hang up an answered leg, unless the bridge that may be on its way has come; say whether it was."""
    await trio.sleep(BRIDGE_SECONDS)
    if await state_of(switch, leg_uuid) is LegState.BRIDGED:
        return False
    await switch.hang_up(leg_uuid, "ORIGINATOR_CANCEL")
    return True
