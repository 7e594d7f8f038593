"""What it means that an agent's leg ended: whether a phone was reached decides what follows."""

from __future__ import annotations

import pytest

from callctl.call.ringing import unreached
from callctl.esl.wire import Event
from callctl.model import OfferResult


@pytest.mark.parametrize(
    ("name", "value", "reached"),
    [
        ("Caller-Channel-Progress-Time", "1795304991000000", True),
        ("Caller-Channel-Progress-Media-Time", "1795304991000000", True),
        # A phone that hangs up as it answers: its originate comes to nothing, and it never rang.
        ("Caller-Channel-Answered-Time", "1795304991000000", True),
        ("variable_sip_hangup_disposition", "recv_bye", True),
        ("variable_sip_hangup_disposition", "recv_refuse", False),
        ("Caller-Channel-Created-Time", "1795304991000000", False),
    ],
)
def test_a_phone_that_rang_or_answered_was_reached(name: str, value: str, reached: bool) -> None:
    hangup = Event("CHANNEL_HANGUP_COMPLETE", {"Hangup-Cause": "NORMAL_CLEARING", name: value})
    ended = unreached("NORMAL_CLEARING", hangup)
    assert (ended.result, ended.reached) == (OfferResult.FAILED, reached)
