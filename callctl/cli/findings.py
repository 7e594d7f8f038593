"""What `callctl check` finds: one line for each thing that was looked at."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Verdict(StrEnum):
    """How something stands; only `wrong` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@frozen
class Finding:
    """One line of the check: what was looked at, how it stands, and what to do if it does not."""

    what: str
    verdict: Verdict
    words: str
