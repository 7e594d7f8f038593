"""Has the switch record a talk, leave out what a caller does apart from the agent, and stop at the end."""

from __future__ import annotations

import structlog

from callctl.call.switch import Switch
from callctl.errors import EslError

log = structlog.get_logger(__name__)


async def begin_recording(uuid: str, path: str, switch: Switch) -> bool:
    """Have the switch record a talk that has begun; say whether it does. The talk goes on if not."""
    try:
        await switch.record(uuid, path)
    except EslError as error:
        log.warning("talk not recorded", uuid=uuid, path=path, why=str(error))
        return False
    return True


async def pause_recording(uuid: str, path: str, switch: Switch, is_paused: bool) -> None:
    """Leave out what a caller does apart from the agent, for as long as that `is_paused`."""
    try:
        await switch.pause_recording(uuid, path, is_paused=is_paused)
    except EslError as error:
        log.debug("recording not paused", uuid=uuid, why=str(error))


async def end_recording(uuid: str, path: str, switch: Switch) -> None:
    """End the recording of a talk whose caller lives on: whatever follows is nobody's to record."""
    try:
        await switch.stop_recording(uuid, path)
    except EslError as error:
        # Mostly because the caller has hung up just now, which ends it as well.
        log.debug("recording not ended", uuid=uuid, why=str(error))
