"""The stages of a call's life, and how long the switch may take between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from callctl.model import CallState, Reason

BRIDGE_PROOF_SECONDS = 3.0
"""How long CHANNEL_BRIDGE may take before the switch is asked; 20 to 60 ms are usual."""

RETURN_SECONDS = 30.0
"""How long a caller may take to come back from the dialplan; ours comes back every few seconds."""

FAREWELL_SECONDS = 1.0
"""How long the hangups of the two may come after the end of the talk; 20 to 40 ms are usual.

A caller who lives on after that was transferred. An agent's leg that lives on is hung up."""

LATE_SECONDS = 0.1
"""How late the proof of a bridge must have come for the history to be put right by what a hangup says."""

TIMER_EXPIRY = "callback-expiry"
TIMER_BRIDGE = "bridge"
TIMER_RETURN = "return"
TIMER_FAREWELL = "farewell"

SWITCH_FAULTS: Mapping[str, Reason] = {
    "SYSTEM_SHUTDOWN": Reason.SWITCH_LOST,
    "DESTINATION_OUT_OF_ORDER": Reason.ERROR,
    # An agent waited here to consult somebody, and has transferred a caller to this call.
    "ATTENDED_TRANSFER": Reason.TRANSFERRED,
}
"""Causes with which the switch itself ends a waiting caller, through no wish of the caller."""


class Stage(Enum):
    """Where a call stands in its life; the rows of the table."""

    WAITING = auto()
    RINGING = auto()
    BRIDGING = auto()
    TALKING = auto()
    PARTING = auto()
    ENDED = auto()


STATE_OF_STAGE = {
    Stage.WAITING: CallState.WAITING,
    Stage.RINGING: CallState.RINGING,
    Stage.BRIDGING: CallState.BRIDGING,
    Stage.TALKING: CallState.TALKING,
    Stage.PARTING: CallState.ENDED,
    Stage.ENDED: CallState.ENDED,
}
