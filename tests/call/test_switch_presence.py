"""When a switch counts as gone, by what keeps us from it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from callctl.call.switch_presence import SwitchPresence
from callctl.esl.inbound import Attempt


@pytest.mark.parametrize(
    ("attempt", "seconds", "is_gone"),
    [
        (Attempt.REFUSED, 9.0, False),
        (Attempt.REFUSED, 11.0, True),
        (Attempt.UNANSWERED, 119.0, False),
        (Attempt.UNANSWERED, 121.0, True),
        (Attempt.TURNED_AWAY, 10_000.0, False),
    ],
)
async def test_a_switch_is_gone_when_the_last_attempt_says_so_for_long_enough(
    autojump_clock: MockClock, attempt: Attempt, seconds: float, is_gone: bool
) -> None:
    presence = SwitchPresence()
    presence.be_ready()
    presence.go_down(trio.current_time())
    await trio.sleep(seconds)
    presence.miss("fs1", attempt)
    assert presence.is_gone is is_gone
    assert presence.silent_seconds == pytest.approx(seconds)
    with trio.move_on_after(1) as patience:
        await presence.wait_settled()
    assert patience.cancelled_caught is not is_gone


async def test_a_switch_that_is_back_is_not_gone(autojump_clock: MockClock) -> None:
    presence = SwitchPresence()
    presence.begin()
    await trio.sleep(20)
    presence.miss("fs1", Attempt.REFUSED)
    assert presence.is_gone
    presence.be_ready()
    await presence.wait_settled()
    assert not presence.is_gone


async def test_a_switch_that_was_silent_for_long_before_the_loss_is_gone_the_sooner(
    autojump_clock: MockClock,
) -> None:
    presence = SwitchPresence()
    presence.be_ready()
    await trio.sleep(60)
    presence.go_down(trio.current_time() - 55)
    await trio.sleep(70)
    presence.miss("fs1", Attempt.UNANSWERED)
    assert presence.is_gone
