"""The catalogue of events: what other systems are told, and which data each type carries.

The names follow Twilio's and Amazon Connect's. A record here is the JSON schema of its type: the OpenAPI
document and the examples are made from it. A field is only ever added. Times are UTC text, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from callctl.model import (
    AgentState,
    AgentStatus,
    HungUpBy,
    Outcome,
    Reason,
    Strategy,
)

SCHEMA = 1
"""The version of the envelope and of all data. Added fields do not change it."""


class EventData(msgspec.Struct, kw_only=True):
    """The base of what the types carry."""


class CallData(EventData):
    """What every event about a call says: which visit to a queue it is about, and who calls.

    `call` is callctl's own key of the visit, `uuid` the caller's channel. `variables` are those that the
    dialplan exports with cc_export_vars, and no others.
    """

    call: str
    uuid: str
    queue: str
    caller_number: str
    caller_name: str
    lead_number: str
    account_id: str
    widget_id: str
    variables: Mapping[str, str]


class CallQueued(CallData):
    """A caller has a place in a queue; `position` 1 is the next one to be offered."""

    position: int
    base_score: float
    resumed: bool


class CallRequeued(CallData):
    """A caller is back at the place that was kept; `position` is that of the first time in this queue."""

    position: int
    base_score: float
    resumed: bool


class CallPriorityChanged(CallData):
    """A waiting caller has another base score: it was `from`, and is `to`; `by` names who did it."""

    from_: float = msgspec.field(name="from")
    to: float
    by: str


class CallMoved(CallData):
    """A caller goes on from the queue `from` to the queue `to`; `by` is the agent who sent on, or ""."""

    from_: str = msgspec.field(name="from")
    to: str
    by: str


class OfferCreated(CallData):
    """An agent is rung; `leg_uuid` is the agent's channel. `strategy` chose, null where that is not known."""

    offer: str
    agent: str
    leg_uuid: str
    strategy: Strategy | None


class OfferEnded(CallData):
    """The base of the ends of an offer; `misses` are the agent's in a row. `cause` is FreeSWITCH's."""

    offer: str
    agent: str
    ring_seconds: float
    cause: str
    misses: int


class OfferAccepted(OfferEnded):
    """The agent has answered."""


class OfferRejected(OfferEnded):
    """The agent has declined, or is busy (USER_BUSY)."""


class OfferTimeout(OfferEnded):
    """The agent has not answered in time."""


class OfferCancelled(OfferEnded):
    """The offer was taken back: the caller has gone, or another agent was faster."""


class OfferFailed(OfferEnded):
    """No phone could be reached, or no bridge came about."""


class CallConnected(CallData):
    """Caller and agent hear each other. `within_target` says whether within `service-level-seconds`."""

    agent: str
    waited_seconds: float
    within_target: bool


class CallAbandoned(CallData):
    """The caller has hung up before an agent was there; `position` is the place on entering."""

    waited_seconds: float
    position: int


class CallEnded(CallData):
    """The visit is over, and how; `agent` is the one who talked, or "". Every visit has exactly one."""

    agent: str
    outcome: Outcome
    reason: Reason
    hung_up_by: HungUpBy | None
    wait_seconds: float
    talk_seconds: float
    hold_seconds: float
    recording: str


class AgentStatusChanged(EventData):
    """An agent chose another status, and since when it had the one before; null where that is not known."""

    agent: str
    from_: AgentStatus = msgspec.field(name="from")
    to: AgentStatus
    reason: str
    previous_seconds: float | None


class AgentStateChanged(EventData):
    """The machine has an agent do something else; `call` is what it is about, or ""."""

    agent: str
    from_: AgentState = msgspec.field(name="from")
    to: AgentState
    reason: str
    previous_seconds: float | None
    call: str


class AgentWrapupStarted(EventData):
    """An agent has time to finish a call, `until` then, if nobody ends or lengthens it."""

    agent: str
    until: str
    call: str


class AgentWrapupEnded(EventData):
    """An agent's wrap-up was over at `until`."""

    agent: str
    until: str
    call: str


class SwitchConnected(EventData):
    """A switch takes orders; `calls` is how many live calls it has."""

    switch: str
    calls: int


class SwitchLost(EventData):
    """A switch takes orders no longer; `calls` is how many live calls it had."""

    switch: str
    calls: int


CATALOGUE: Mapping[str, type[EventData]] = {
    "call.queued": CallQueued,
    "call.requeued": CallRequeued,
    "call.priority_changed": CallPriorityChanged,
    "call.moved": CallMoved,
    "offer.created": OfferCreated,
    "offer.accepted": OfferAccepted,
    "offer.rejected": OfferRejected,
    "offer.timeout": OfferTimeout,
    "offer.cancelled": OfferCancelled,
    "offer.failed": OfferFailed,
    "call.connected": CallConnected,
    "call.abandoned": CallAbandoned,
    "call.ended": CallEnded,
    "agent.status_changed": AgentStatusChanged,
    "agent.state_changed": AgentStateChanged,
    "agent.wrapup_started": AgentWrapupStarted,
    "agent.wrapup_ended": AgentWrapupEnded,
    "switch.connected": SwitchConnected,
    "switch.lost": SwitchLost,
}
"""The data of each type; these are all types that are sent."""

TYPE_OF: Mapping[type[EventData], str] = {kind: name for name, kind in CATALOGUE.items()}


class Envelope(msgspec.Struct, kw_only=True):
    """What every event is sent in. `id` is the same however often it is sent; `sequence` only grows."""

    id: str
    type: str
    timestamp: str
    account: str
    sequence: int
    schema: int = SCHEMA
    data: Raw


def schema_of(event_type: str) -> dict[str, Any]:
    """Return the JSON schema of an event of this type: the envelope with its data. Raises KeyError."""
    [data], components = msgspec.json.schema_components(
        [CATALOGUE[event_type]], ref_template="#/$defs/{name}"
    )
    text = {"type": "string"}
    properties = {
        "id": {"type": "string", "format": "uuid"},
        "type": {"const": event_type},
        "timestamp": {"type": "string", "format": "date-time"},
        "account": text,
        "sequence": {"type": "integer", "minimum": 1},
        "schema": {"const": SCHEMA},
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": components,
    }
