"""What was measured, beside its goal: as text, as JSON, and as a row of the README's table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen


@frozen(kw_only=True)
class Figure:
    """One measured value. `goal` is the most that it should be, or the least; None: nobody set one."""

    what: str
    measured: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False

    @property
    def is_met(self) -> bool | None:
        """Say whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.more_is_better else self.measured <= self.goal

    @property
    def value_in_words(self) -> str:
        """The measured value with its unit."""
        return _in_words(self.measured, self.unit)

    @property
    def goal_in_words(self) -> str:
        """The goal with its unit, or nothing."""
        if self.goal is None:
            return ""
        return f"{'≥' if self.more_is_better else '≤'} {_in_words(self.goal, self.unit)}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all are at most, by nearest rank; NaN where there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def latencies(what: str, seconds: Sequence[float], *, p99_goal_ms: float | None = None) -> list[Figure]:
    """Return median, 99th percentile and maximum of `seconds`, in milliseconds."""
    milliseconds = [value * 1000 for value in seconds]
    return [
        Figure(what=f"{what}, p50", measured=percentile(milliseconds, 0.5), unit="ms"),
        Figure(what=f"{what}, p99", measured=percentile(milliseconds, 0.99), unit="ms", goal=p99_goal_ms),
        Figure(what=f"{what}, max", measured=percentile(milliseconds, 1.0), unit="ms"),
    ]


def as_text(figures: Sequence[Figure]) -> str:
    """Return the figures as lines: what, measured, goal, and whether it is met."""
    width = max((len(figure.what) for figure in figures), default=0)
    verdicts = {None: "", True: "met", False: "MISSED"}
    return "\n".join(
        f"  {figure.what:{width}}  {figure.value_in_words:>14}  {figure.goal_in_words:>16}  "
        f"{verdicts[figure.is_met]}".rstrip()
        for figure in figures
    )


def as_markdown(figures: Sequence[Figure], command: str) -> str:
    """Return those figures that have a goal as rows of a table: what, goal, measured, command."""
    return "\n".join(
        f"| {figure.what} | {figure.goal_in_words} | {figure.value_in_words} | `{command}` |"
        for figure in figures
        if figure.goal is not None
    )


def _in_words(value: float, unit: str) -> str:
    """Write a value with three digits that matter."""
    if math.isnan(value):
        return "none"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{min(digits, 3)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}".rstrip()
