"""The watch over the invariants: each violation is counted once and logged with its call's timeline."""

from __future__ import annotations

from functools import partial
from itertools import count as count_from
from types import SimpleNamespace

import pytest
import trio
from attrs import evolve
from structlog.testing import capture_logs

from callctl.acd.distributor import Distributor
from callctl.acd.invariants import Check, Violation
from callctl.api.watch import watch_invariants
from callctl.model import CallEvent
from tests.api.house import Visited

IDLE = Violation("idle-agent", "the call c1 waits in caller while 1001 is free", "c1")
ORDER = Violation("order", "the queue caller is not in the order of the scores")


def count(visited: Visited, invariant: str) -> float | None:
    return visited.metrics.registry.get_sample_value(
        "callctl_invariant_violations_total", {"invariant": invariant}
    )


async def test_a_sound_floor_violates_nothing(visited: Visited) -> None:
    visited.hire("1001")
    visited.join("c1")
    with trio.move_on_after(0.02):
        await watch_invariants(visited.house, visited.metrics)
    assert "callctl_invariant_violations_total{" not in (await visited.public.get("/metrics")).text


async def test_a_violation_counts_once_while_it_lasts_and_is_logged_with_the_timeline(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited.house.record(visited.join("c1"))
    visited.house.record(CallEvent(call="c1", at=visited.house.now(), event="joined", detail="position 1"))
    rounds: list[list[Violation]] = [[IDLE, ORDER], [IDLE], [IDLE], [], [IDLE]]
    checked = trio.Event()

    def checks(distributor: Distributor) -> list[Check]:
        if not rounds:
            checked.set()
        found = rounds.pop(0) if rounds else [IDLE]
        return [partial(_violation, each) for each in found]

    monkeypatch.setattr(Distributor, "invariant_checks", checks)
    monkeypatch.setattr("callctl.api.watch.CHECK_SECONDS", 0.001)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_invariants, visited.house, visited.metrics)
            with trio.fail_after(5):
                await checked.wait()
            nursery.cancel_scope.cancel()

    assert (count(visited, "idle-agent"), count(visited, "order")) == (2, 1)
    idle, order = (
        next(line for line in logs if line.get("invariant") == invariant)
        for invariant in ("idle-agent", "order")
    )
    assert (idle["log_level"], idle["call"], idle["what"]) == ("error", "c1", IDLE.words)
    assert idle["timeline"][-1].endswith("joined position 1")
    assert (order["call"], order["timeline"]) == ("", [])


def _violation(violation: Violation, now: float) -> list[Violation]:
    return [violation]


async def test_a_large_floor_is_checked_less_often(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = count_from(0.0, 0.01)  # so a check takes 10 ms
    asked: list[float] = []

    def check(now: float) -> list[Violation]:
        asked.append(now)
        return []

    monkeypatch.setattr(Distributor, "invariant_checks", lambda distributor: [check] * 50)
    monkeypatch.setattr("callctl.api.watch.time", SimpleNamespace(perf_counter=lambda: next(moments)))
    monkeypatch.setattr("callctl.api.watch.CHECK_SECONDS", 0.001)
    monkeypatch.setattr("callctl.api.watch.REST", 1)
    with trio.move_on_after(0.3):
        await watch_invariants(visited.house, visited.metrics)
    assert len(asked) == 50


async def test_others_have_their_turn_between_the_checks(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def check(now: float) -> list[Violation]:
        told.append("check")
        return []

    async def take_turns() -> None:
        while len(told) < 10:
            told.append("other")
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Distributor, "invariant_checks", lambda distributor: [check] * 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_invariants, visited.house, visited.metrics)
        await take_turns()
        nursery.cancel_scope.cancel()
    assert "check check check" not in " ".join(told), "two are in a row where a turn ends with one"
    assert told.count("check") == 5


async def test_a_healed_lease_counts_as_a_violation(visited: Visited) -> None:
    healed = 2
    house = evolve(visited.house, healed_leases=lambda: healed)
    with trio.move_on_after(0.02):
        await watch_invariants(house, visited.metrics)
    assert count(visited, "lease") == 2
