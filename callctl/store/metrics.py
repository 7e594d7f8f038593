"""The field's figures, each with one formula that has a name: counts go in, ratios come out. Pure.

There is no one standard for the service level, so its formula is a parameter, and every figure carries
the name of its formula and its threshold. A ratio is between 0 and 1, or None where nothing was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from attrs import frozen


class Formula(StrEnum):
    """How the service level is computed; T is the threshold."""

    IGNORE_ABANDONS = "ignore-abandons"
    ABANDONS_AGAINST = "abandons-against"
    ABANDONS_FOR = "abandons-for"
    ANSWERED_ONLY = "answered-only"

    @property
    def words(self) -> str:
        """The formula as a person reads it."""
        return _WORDS[self]


_WORDS: Mapping[Formula, str] = {
    Formula.IGNORE_ABANDONS: "answered in T / (offered - abandoned in T)",
    Formula.ABANDONS_AGAINST: "answered in T / offered",
    Formula.ABANDONS_FOR: "(answered in T + abandoned in T) / offered",
    Formula.ANSWERED_ONLY: "answered in T / answered",
}

NOT_COUNTED_WORDS = (
    "short abandons and calls outside opening hours (CLOSED) count in no rate, and a caller who still waits "
    "within T not in the service level; who is called back counts once, and never as answered in T"
)
ASA_WORDS = "mean of (bridged - joined) over answered calls, without callbacks"
AHT_WORDS = "(talk + hold + wrap-up) / answered calls that have ended"
ABANDONMENT_WORDS = "abandoned / offered"
OCCUPANCY_WORDS = "(talk + hold + wrap-up) / (the same + available)"
UTILISATION_WORDS = "(talk + hold + wrap-up) / logged in, breaks included"
PERCENTILE_WORDS = (
    "the wait that so many percent of the answered calls did not exceed; others, and callbacks, do not count"
)


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, or None where the whole is nothing."""
    return part / whole if whole else None


def service_level(
    formula: Formula, *, offered: int, answered: int, answered_in_t: int, abandoned_in_t: int
) -> float | None:
    """Return the service level by `formula`, from 0 to 1."""
    match formula:
        case Formula.IGNORE_ABANDONS:
            return ratio(answered_in_t, offered - abandoned_in_t)
        case Formula.ABANDONS_AGAINST:
            return ratio(answered_in_t, offered)
        case Formula.ABANDONS_FOR:
            return ratio(answered_in_t + abandoned_in_t, offered)
        case Formula.ANSWERED_ONLY:
            return ratio(answered_in_t, answered)


def percentile(waits: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank percentile of `waits`, which are sorted: one of them, or None of none."""
    return waits[max(0, -(-percent * len(waits) // 100) - 1)] if waits else None


@frozen(kw_only=True)
class CallFigures:
    """The calls of one period or queue, named by `group`; durations in seconds.

    offered = handled + abandoned + overflowed + refused + failed + unfinished. `answered` are those whose
    two sides were bridged, `completed` those of them whose talk and wrap-up are over, of which
    `handling_seconds` is. `t_seconds` is the threshold T of the service level, and `short_abandon_seconds`
    what an abandon must last to count; None where the queues in it differ. Abandons that were shorter
    (`short_abandons`) and calls outside opening hours (`closed`) count in no rate, and `waiting_in_t`, who
    still wait and may be answered in time, not in the service level. The percentiles are of answered calls.
    """

    group: str
    offered: int
    answered: int
    handled: int
    abandoned: int
    overflowed: int
    refused: int
    failed: int
    unfinished: int
    formula: Formula
    t_seconds: float | None
    answered_in_t: int
    abandoned_in_t: int
    short_abandon_seconds: float | None
    short_abandons: int
    closed: int
    waiting_in_t: int
    completed: int
    asa_seconds: float | None
    handling_seconds: float
    longest_wait_seconds: float | None
    wait_percentile_seconds: Mapping[int, float | None]

    @property
    def service_level(self) -> float | None:
        """The service level by `formula`."""
        return service_level(
            self.formula,
            offered=self._counted - self.waiting_in_t,
            answered=self.answered,
            answered_in_t=self.answered_in_t,
            abandoned_in_t=self.abandoned_in_t,
        )

    @property
    def aht_seconds(self) -> float | None:
        """The average handling time: talk, hold and wrap-up of an answered call that has ended."""
        return ratio(self.handling_seconds, self.completed)

    @property
    def abandonment_rate(self) -> float | None:
        """The part that gave up waiting."""
        return ratio(self.abandoned - self.short_abandons, self._counted)

    @property
    def _counted(self) -> int:
        return self.offered - self.short_abandons - self.closed


@frozen(kw_only=True)
class AgentFigures:
    """One agent's work in a period; durations in seconds.

    `answered`, `talk_seconds`, `hold_seconds` and `wrap_up_seconds` are of the calls that entered in it,
    `handling_seconds` of those that are `completed`: talk and wrap-up are over. `offered` and `missed` are of
    the offers made in it. The spans are cut at its ends: `busy_seconds` is talk, hold and wrap-up in it,
    `available_seconds` ready for a call or being offered one. Time while no callctl ran counts as neither.
    """

    agent: str
    offered: int
    missed: int
    answered: int
    completed: int
    handling_seconds: float
    talk_seconds: float
    hold_seconds: float
    wrap_up_seconds: float
    logged_in_seconds: float
    available_seconds: float
    busy_seconds: float
    break_seconds: float

    @property
    def aht_seconds(self) -> float | None:
        """The average handling time: talk, hold and wrap-up of an answered call that has ended."""
        return ratio(self.handling_seconds, self.completed)

    @property
    def occupancy(self) -> float | None:
        """Handling, of the time in which calls could be handled."""
        return ratio(self.busy_seconds, self.busy_seconds + self.available_seconds)

    @property
    def utilisation(self) -> float | None:
        """Handling, of the time logged in."""
        return ratio(self.busy_seconds, self.logged_in_seconds)
