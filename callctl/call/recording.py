"""Into which file a talk is recorded; the switch records from the bridge to the end of the talk."""

from __future__ import annotations

from callctl.model import Arrival, Offer
from callctl.records.record_template import recording_path


def path_of_talk(template: str, arrival: Arrival, offer: Offer, now: float) -> str:
    """Return the file that a queue's record-template names for the talk of `offer`, begun at `now`."""
    values = {
        "account": arrival.account,
        "agent": offer.agent,
        "call": arrival.call,
        "caller_name": arrival.caller_name,
        "caller_number": arrival.caller_number,
        "dialled_number": arrival.dialled_number,
        "lead_number": arrival.lead_number,
        "queue": arrival.queue,
        "uuid": arrival.uuid,
    }
    return recording_path(template, values, now)
