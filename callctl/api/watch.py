"""Looks for broken invariants while the server runs: each is counted, and logged with its call's timeline."""

from __future__ import annotations

from pathlib import Path

import structlog
import trio

from callctl.acd.distributor import Distributor
from callctl.acd.invariants import Violation
from callctl.api.house import House
from callctl.api.metrics import Metrics
from callctl.errors import StoreError
from callctl.store.connections import open_reader

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
"""How often the floor is checked: some milliseconds of work with a thousand agents."""

TIMELINE_STEPS = 50
"""How many of a call's last steps a log line holds."""


async def watch_invariants(house: House, metrics: Metrics) -> None:
    """Check the floor again and again, until cancelled. What goes on being violated counts once."""
    known: frozenset[Violation] = frozenset()
    healed_before = 0
    while True:
        found = frozenset(house.act(_violations))
        for violation in found - known:
            metrics.violated(violation.invariant)
            await _tell(house, violation)
        known = found
        healed = house.healed_leases()
        if healed > healed_before:
            # The dispatcher has logged each of them with its call.
            metrics.violated("lease", healed - healed_before)
            healed_before = healed
        await trio.sleep(CHECK_SECONDS)


def _violations(distributor: Distributor, now: float) -> list[Violation]:
    distributor.advance(now)
    return distributor.check_invariants(now)


async def _tell(house: House, violation: Violation) -> None:
    timeline: list[str] = []
    if violation.call:
        await house.written()
        timeline = await trio.to_thread.run_sync(_timeline, house.database, violation.call)
    log.error(
        "invariant violated",
        invariant=violation.invariant,
        what=violation.words,
        call=violation.call,
        timeline=timeline,
    )


def _timeline(database: Path, call: str) -> list[str]:
    """Return the last steps of a call, oldest first, as far as the history can be read."""
    try:
        connection = open_reader(database)
    except StoreError as error:
        return [str(error)]
    try:
        rows = connection.execute(
            "SELECT at, event, detail FROM call_events WHERE call_id = ? ORDER BY id DESC LIMIT ?",
            (call, TIMELINE_STEPS),
        ).fetchall()
    finally:
        connection.close()
    return [f"{at} {event} {detail}".strip() for at, event, detail in reversed(rows)]
