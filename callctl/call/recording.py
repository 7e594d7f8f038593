"""Records a talk, where the queue asks for it, and says in the history where it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import structlog

from callctl.call.desk import Desk
from callctl.call.switch import Switch
from callctl.errors import EslError
from callctl.model import Arrival, CallEvent, Offer

log = structlog.get_logger(__name__)


async def record_talk(template: str, arrival: Arrival, offer: Offer, *, switch: Switch, desk: Desk) -> None:
    """Have the switch record a talk that has begun; one that cannot be recorded goes on."""
    path = recording_path(template, arrival, offer, desk.clock.now())
    try:
        await switch.record(arrival.uuid, path)
    except EslError as error:
        log.warning("talk not recorded", call=arrival.call, uuid=arrival.uuid, why=str(error))
    else:
        desk.record(CallEvent(call=arrival.call, at=desk.clock.now(), event="recording", detail=path))


def recording_path(template: str, arrival: Arrival, offer: Offer, now: float) -> str:
    """Return the file that `template` names for this talk, in UTC.

    `{call}`, `{uuid}`, `{queue}`, `{agent}`, `{caller_number}` and `{lead_number}` are replaced, then what
    strftime knows (`%Y-%m-%d`). What a caller chose can name no other folder.
    """
    values = {
        "call": arrival.call,
        "uuid": arrival.uuid,
        "queue": arrival.queue,
        "agent": offer.agent,
        "caller_number": arrival.caller_number,
        "lead_number": arrival.lead_number,
    }
    path = datetime.fromtimestamp(now, UTC).strftime(template)
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", re.sub(r"[^\w+-]", "_", value))
    return path
