"""What was refused or dropped because a bound or a rule said so: counted for `/metrics`, and seldom logged.

A flood of connections must not become a flood of log lines: of each kind there is one line a minute, which
says how many there were since the last one. All are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import trio

LINE_SECONDS = 60.0
"""How long nothing more is logged of a kind that was logged."""


class Refusal(StrEnum):
    """What was refused or dropped; the value is the label of the metric."""

    MAX_CALLS = "max-calls"
    """A call beyond `max-calls`; its dialplan tries again."""
    ADDRESS = "address-not-allowed"
    """A connection to the listener for calls from outside of `[server] allow`."""
    NOT_A_CALL = "not-a-call"
    """A connection to the listener for calls that turned out to be something else."""
    UNKNOWN_SWITCH = "unknown-switch"
    """A call from a FreeSWITCH that is not configured, or that says so."""
    FALSE_CLAIM = "false-claims"
    """A connection that claims a channel which its switch does not have, or which another one controls."""
    SILENT = "silent-connections"
    """A connection to the listener for calls that said nothing, while as many others did as may."""
    OPEN_FILES = "open-files"
    """No connection can be taken: the system allows no more open files, or has no memory."""
    ORDERS = "switch-orders"
    """An order that was not sent, because FreeSWITCH reads or answers too slowly."""
    CALL_EVENTS = "call-events"
    """A call's socket whose events nobody took."""
    HTTP_CONNECTIONS = "http-connections"
    """An HTTP connection that was closed or not taken, because as many were open as may be."""
    HTTP_UNAUTHORIZED = "http-unauthorized"
    """A request to the HTTP API without a token that is good."""
    HTTP_PROXY = "http-past-proxy"
    """A request to the HTTP API that did not come through its proxy, as all must."""
    HTTP_SLOW_STREAMS = "http-slow-streams"
    """A stream that was closed, as its client read too slowly."""
    HTTP_RATE = "http-rate"
    """A request to the HTTP API of an address, or with a token, that had asked too often."""
    HTTP_LOGINS = "http-logins"
    """An attempt to log in with a password after too many others."""
    HTTP_BODY = "http-body"
    """A body that was too long, or did not come in time."""
    HTTP_STREAMS = "http-streams"
    """A stream that was not begun, because as many were open as may be."""
    ROWS_FORBIDDEN = "history-rows-forbidden"
    """A row that the schema forbids; it is kept in a file beside the database."""
    ROWS_LOST = "history-rows-lost"
    """A row that neither the database nor the file beside it took, until memory for them was full."""


class Refusals:
    """How often each kind happened."""

    def __init__(self) -> None:
        self._counts: Counter[Refusal] = Counter()
        self._logged: dict[Refusal, tuple[float, int]] = {}
        """When a kind was last logged, and how many there had been then."""

    @classmethod
    def of_this_run(cls) -> Refusals:
        """Return those of this `trio.run`."""
        try:
            return _OF_THIS_RUN.get()
        except LookupError:
            refusals = cls()
            _OF_THIS_RUN.set(refusals)
            return refusals

    def note(
        self, kind: Refusal, say: Callable[..., object], line: str, *, amount: int = 1, **details: Any
    ) -> None:
        """Count `amount` of a kind, and `say` the `line` with its details unless one was said just before."""
        self._counts[kind] += amount
        now, count = trio.current_time(), self._counts[kind]
        said_at, said_count = self._logged.get(kind, (-math.inf, 0))
        if now < said_at + LINE_SECONDS:
            return
        self._logged[kind] = (now, count)
        say(line, **details, times=count - said_count)

    def counts(self) -> Mapping[Refusal, int]:
        """Return how many there were of each kind, 0 included."""
        return {kind: self._counts[kind] for kind in Refusal}


_OF_THIS_RUN: trio.lowlevel.RunVar[Refusals] = trio.lowlevel.RunVar("callctl.refusals")
