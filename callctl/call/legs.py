"""Asks how an agent's leg stands until the switch says: a call may depend on it, however long that takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio

from callctl.call.switch import LegState, Switch
from callctl.errors import WaitEnded

log = structlog.get_logger(__name__)

T = TypeVar("T")

BRIDGE_SECONDS = 1.0
"""How long FreeSWITCH takes at most from the order of a bridge to the bridge; 20 to 60 ms are usual."""


async def state_of(switch: Switch, leg_uuid: str) -> LegState:
    """Return how the leg stands. A cancellation leaves nothing behind."""
    return await _answer(switch, switch.leg_state, leg_uuid)


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


async def _answer(switch: Switch, question: Callable[[str], Awaitable[T]], leg_uuid: str) -> T:
    while True:
        await switch.wait_ready()
        try:
            return await question(leg_uuid)
        except WaitEnded as ended:
            log.info("asking again about a leg", switch=switch.name, leg=leg_uuid, why=str(ended))


async def hang_up_unless_bridged(switch: Switch, leg_uuid: str) -> bool:
    """Hang up an answered leg, unless the bridge that may be on its way has come; say whether it was."""
    await trio.sleep(BRIDGE_SECONDS)
    if await state_of(switch, leg_uuid) is LegState.BRIDGED:
        return False
    await switch.hang_up(leg_uuid, "ORIGINATOR_CANCEL")
    return True
