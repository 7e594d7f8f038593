"""The stages of a call's life, and how long the switch may take between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from callctl.model import CallState, Reason

BRIDGE_PROOF_SECONDS = 3.0
"""How long CHANNEL_BRIDGE may take before the switch is asked; 20 to 60 ms are usual."""

RETURN_SECONDS = 30.0
"""How long a caller may take to come back from the dialplan; ours comes back every few seconds."""

APART_SECONDS = 0.3
"""How long after the end of a bridge the switch is asked whether the talk is over: the hangups that say so
come after 20 to 40 ms, and after a consultation the two are bridged again within 100 ms."""

QUESTION_SECONDS = 5.0
"""How often it is asked again while the two are apart, or the agent is still on the phone after the talk: an
event that tells more comes by itself, unless a connection was lost."""

FAREWELL_SECONDS = 1.0
"""How long the other hangup may come after the first; 20 to 40 ms are usual. Then the switch is asked."""

LAST_WORDS_SECONDS = 8.0
"""How long after both legs are known to be gone their hangups may tell who ended the talk. The events of a
switch that is overloaded were seen 2 s late; the caller's socket lingers for 10 s."""

LATE_SECONDS = 0.1
"""How late the proof of a bridge must have come for the history to be put right by what a hangup says."""

TIMER_EXPIRY = "callback-expiry"
TIMER_BRIDGE = "bridge"
TIMER_RETURN = "return"
TIMER_APART = "apart"
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
