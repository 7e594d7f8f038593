"""What it means that an agent's leg ended: whether a phone was reached decides what follows."""

from __future__ import annotations

import pytest

from callctl.call.ringing import unreached
from callctl.esl.wire import Event
from callctl.model import OfferResult


@pytest.mark.parametrize(
    ("sign", "reached"),
    [
        ("Caller-Channel-Progress-Time", True),
        ("Caller-Channel-Progress-Media-Time", True),
        # A phone that hangs up as it answers: its originate comes to nothing, and it never rang.
        ("Caller-Channel-Answered-Time", True),
        ("Caller-Channel-Created-Time", False),
    ],
)
def test_a_phone_that_rang_or_answered_was_reached(sign: str, reached: bool) -> None:
    hangup = Event("CHANNEL_HANGUP_COMPLETE", {"Hangup-Cause": "NORMAL_CLEARING", sign: "1795304991000000"})
    ended = unreached("NORMAL_CLEARING", hangup)
    assert (ended.result, ended.reached) == (OfferResult.FAILED, reached)
