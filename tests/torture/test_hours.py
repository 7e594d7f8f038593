"""A few simulated hours with crashes: the same ones every time, and the same each time."""

from __future__ import annotations

import pytest

from callctl.sim.torture.hour import HourSettings, run_hour

HOURS = ("11/9", "12/4", "12/12", "12/32", "12/35")
"""Small call centres, so that this takes seconds; `python -m callctl.sim.torture` runs all kinds."""


@pytest.mark.parametrize("seed", HOURS)
def test_an_hour_of_crashes_costs_no_call(seed: str) -> None:
    result = run_hour(HourSettings(seed=seed))
    assert result.counts["kills"] > 0
    assert not result.violations, "\n".join(result.story)


def test_the_same_seed_is_the_same_hour() -> None:
    first, second = (run_hour(HourSettings(seed="12/4")) for _ in range(2))
    assert first.digest == second.digest
