"""Timers: each at its time, in order, and none that was cancelled."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from callctl.call import timers as module
from callctl.call.timers import Timer, Timers


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 20), st.one_of(st.none(), st.integers(0, 20))),
        max_size=30,
    )
)
def test_every_timer_that_was_not_cancelled_fires_once_at_its_time(
    plans: list[tuple[int, int, int | None]],
) -> None:
    """A plan is when a timer is started, for how long, and how long after that it is cancelled."""
    fired: list[tuple[int, float]] = []

    async def live(timers: Timers, number: int, plan: tuple[int, int, int | None]) -> None:
        start, seconds, cancel_after = plan
        await trio.sleep(start)
        timer = timers.after(seconds, lambda: fired.append((number, trio.current_time())))
        if cancel_after is not None:
            await trio.sleep(cancel_after + 0.5)
            timer.cancel()

    async def main() -> None:
        timers = Timers()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timers.run)
            async with trio.open_nursery() as people:
                for number, plan in enumerate(plans):
                    people.start_soon(live, timers, number, plan)
            await trio.sleep(50)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    due = {
        number: float(start + seconds)
        for number, (start, seconds, cancel_after) in enumerate(plans)
        if cancel_after is None or cancel_after + 0.5 > seconds
    }
    assert dict(fired) == due
    assert [at for _, at in fired] == sorted(due.values())


async def test_a_timer_may_start_another_and_cancel_one_that_is_due_too(
    autojump_clock: MockClock,
) -> None:
    timers, said = Timers(), []
    second: list[Timer] = []

    def first() -> None:
        said.append("first")
        second[0].cancel()
        timers.after(1, partial(said.append, "third"))

    timers.after(1, first)
    second.append(timers.after(1, partial(said.append, "second")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert said == ["first", "third"]


async def test_cancelled_timers_are_swept_away(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCELLED_AT_LEAST", 10)
    timers, fired = Timers(), []
    timers.after(5, lambda: fired.append(trio.current_time()))
    for _ in range(100):
        timers.after(3600, lambda: None).cancel()
    assert len(timers._heap) <= 12
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert fired == [5]
