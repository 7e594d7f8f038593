"""Simulated hours in which everything goes wrong: callctl keeps what it promises, and each seed repeats."""

from __future__ import annotations

import pytest

from callctl.sim.torture.hour import HourResult, HourSettings, run_hour

SECONDS = 600.0
"""How long an hour is here: enough for ten crashes."""


def live_through(seed: str, seconds: float = SECONDS) -> HourResult:
    return run_hour(HourSettings(seed=seed, seconds=seconds, crash_every=60.0))


@pytest.mark.parametrize("seed", [f"ci/{number}" for number in range(8)])
def test_nothing_is_lost_whatever_happens(seed: str) -> None:
    result = live_through(seed)
    assert result.violations == (), "\n".join(result.story)
    assert result.counts["crash"] > 0


def test_the_same_seed_lets_the_same_happen_again() -> None:
    one, again, other = live_through("one", 200.0), live_through("one", 200.0), live_through("two", 200.0)
    assert one.digest == again.digest
    assert one.counts == again.counts
    assert one.digest != other.digest
