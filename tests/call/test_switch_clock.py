"""What a time of a switch is on our clock: the difference is the least that was seen of late."""

from __future__ import annotations

import pytest

from callctl.call.switch_clock import SwitchClock

pytestmark = pytest.mark.fault(19.6)


def test_without_anything_heard_nothing_is_known() -> None:
    assert SwitchClock().ours(100.0) is None


def test_what_was_heard_late_does_not_move_the_times_of_others() -> None:
    clock = SwitchClock()
    clock.heard(1000.0, 1000.5)
    assert clock.ours(990.0) == pytest.approx(990.5)
    clock.heard(1001.0, 1001.02)
    clock.heard(1002.0, 1004.0)
    assert clock.ours(990.0) == pytest.approx(990.02)


def test_a_clock_that_is_ahead_or_behind_is_no_matter() -> None:
    for ahead in (-3600.0, 3600.0):
        clock = SwitchClock()
        clock.heard(1000.0 + ahead, 1000.01)
        assert clock.ours(990.0 + ahead) == pytest.approx(990.01)


def test_a_clock_that_was_set_back_is_followed_within_two_periods() -> None:
    clock = SwitchClock()
    for second in range(100):
        clock.heard(1000.0 + second, 1000.0 + second)
    for second in range(100, 240):
        clock.heard(990.0 + second, 1000.0 + second)
    assert clock.ours(1200.0) == pytest.approx(1210.0)


def test_after_a_long_silence_nothing_older_counts() -> None:
    clock = SwitchClock()
    clock.heard(1000.0, 1000.0)
    clock.heard(4990.0, 5000.0)
    assert clock.ours(4980.0) == pytest.approx(4990.0)
