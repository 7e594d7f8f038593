"""The formulas, with numbers that were worked out by hand."""

from __future__ import annotations

import pytest

from callctl.store.metrics import Formula, percentile, ratio, service_level


@pytest.mark.parametrize(
    ("formula", "percent"),
    [
        (Formula.IGNORE_ABANDONS, 77.8),
        (Formula.ABANDONS_AGAINST, 70.0),
        (Formula.ABANDONS_FOR, 80.0),
        # 70 of the 90 that were answered.
        (Formula.ANSWERED_ONLY, 77.8),
    ],
)
def test_of_100_calls_70_answered_in_time_10_abandoned_in_time_20_answered_later(
    formula: Formula, percent: float
) -> None:
    level = service_level(formula, offered=100, answered=90, answered_in_t=70, abandoned_in_t=10)
    assert level is not None
    assert round(100 * level, 1) == percent


def test_answered_only_is_of_those_who_were_answered() -> None:
    level = service_level(Formula.ANSWERED_ONLY, offered=100, answered=80, answered_in_t=60, abandoned_in_t=5)
    assert level == 0.75


def test_a_ratio_of_nothing_is_not_a_number_but_unknown() -> None:
    assert ratio(0, 0) is None
    assert (
        service_level(Formula.IGNORE_ABANDONS, offered=5, answered=0, answered_in_t=0, abandoned_in_t=5)
        is None
    )


def test_every_formula_says_how_it_is_computed() -> None:
    assert all("answered in T" in formula.words for formula in Formula)


@pytest.mark.parametrize(
    ("percent", "wait"),
    # Of ten waits, the fifth is not exceeded by half of them, and the tenth by 91 percent and more.
    [(1, 1), (50, 5), (51, 6), (80, 8), (90, 9), (91, 10), (99, 10), (100, 10)],
)
def test_a_percentile_is_the_nearest_rank(percent: int, wait: int) -> None:
    assert percentile(range(1, 11), percent) == wait


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([], 50) is None
