"""Looks for broken invariants while the server runs: each is counted, and logged with its call's timeline."""

from __future__ import annotations

import time
from collections.abc import Set
from functools import partial

import structlog
import trio

from callctl.acd.distributor import Distributor
from callctl.acd.invariants import Check, Violation
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.clock import iso_utc
from callctl.errors import StoreError, UnknownCall
from callctl.model import CallEvent, Decision
from callctl.store.timeline import call_timeline

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
"""How often the floor is checked: some milliseconds of work with a thousand agents, in parts."""

REST = 1000
"""So many times as long as the checks take there are none after them: with ten thousand callers 20 ms."""

TIMELINE_STEPS = 50
"""How many of a call's last steps a log line holds."""


async def watch_invariants(house: House, metrics: Metrics) -> None:
    """Check the floor again and again, until cancelled. What goes on being violated counts once."""
    known: Set[Violation] = frozenset()
    healed_before = 0
    while True:
        found: set[Violation] = set()
        took_seconds = 0.0
        for check in house.act(lambda distributor, _: distributor.invariant_checks()):
            began = time.perf_counter()
            found.update(house.act(partial(_violations, check)))
            took_seconds += time.perf_counter() - began
            await trio.lowlevel.checkpoint()
        for violation in found - known:
            metrics.violated(violation.invariant)
            await _tell(house, violation)
        known = found
        healed = house.healed_leases()
        if healed > healed_before:
            # The dispatcher has logged each of them with its call.
            metrics.violated("lease", healed - healed_before)
            healed_before = healed
        await trio.sleep(max(CHECK_SECONDS, REST * took_seconds))


def _violations(check: Check, distributor: Distributor, now: float) -> list[Violation]:
    distributor.advance(now)
    return list(check(now))


async def _tell(house: House, violation: Violation) -> None:
    log.error(
        "invariant violated",
        invariant=violation.invariant,
        what=violation.words,
        call=violation.call,
        timeline=await _timeline(house, violation.call) if violation.call else [],
    )


async def _timeline(house: House, call: str) -> list[str]:
    """Return the last steps of a call, oldest first, as far as the history can be read."""
    await house.written()
    try:
        visits = await house.look_up(lambda connection: call_timeline(connection, call))
    except (StoreError, UnknownCall) as error:
        return [str(error)]
    return [_words(step) for visit in visits for step in visit.steps][-TIMELINE_STEPS:]


def _words(step: CallEvent | Decision) -> str:
    if isinstance(step, CallEvent):
        return f"{iso_utc(step.at)} {step.event} {step.detail}".rstrip()
    return f"{iso_utc(step.at)} decision for {', '.join(step.chosen) or 'nobody'}"
