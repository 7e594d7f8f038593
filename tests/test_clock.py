"""The house's clock stands above the wall clock: whatever is done to that, no time jumps."""

from __future__ import annotations

import time

import pytest
from trio.testing import MockClock

from callctl.clock import SteadyClock

NOW = 1_800_000_000.0


@pytest.mark.parametrize("jump_seconds", [86_400.0, -86_400.0])
async def test_a_jump_of_the_wall_clock_is_not_seen(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, jump_seconds: float
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    clock = SteadyClock()
    assert clock.now() == pytest.approx(NOW)
    monkeypatch.setattr(time, "time", lambda: NOW + jump_seconds)
    autojump_clock.jump(5.0)
    assert clock.now() == pytest.approx(NOW + 5.0)


async def test_a_clock_that_was_set_back_before_the_start_goes_on_from_what_is_written() -> None:
    clock = SteadyClock(NOW)
    clock.begin_not_before(NOW + 3600)
    assert clock.now() == pytest.approx(NOW + 3600, abs=1)
    clock.begin_not_before(NOW)
    assert clock.now() == pytest.approx(NOW + 3600, abs=1)
