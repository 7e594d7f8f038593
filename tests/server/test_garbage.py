"""What has ended is gone at once: nothing is left for a collection of garbage, in which nobody is offered."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from callctl.api.client import ControlClient
from callctl.cli.garbage import (
    SPARE_OBJECTS,
    SPARE_OBJECTS_PER_CALL,
    collect_seldom,
    is_due,
    start_afresh,
)
from callctl.config.paths import control_socket
from callctl.model import OverflowRule, QueueSettings
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, HANGS_UP

OTHER = QueueSettings(name="other")

LIVES: dict[str, tuple[QueueSettings, Endpoint, Caller]] = {
    "the agent ends the talk": (QueueSettings(name="caller"), HANGS_UP, Caller()),
    "the caller ends the talk": (QueueSettings(name="caller"), ANSWERS, Caller(talk_seconds=0.1)),
    "abandoned while it rings": (QueueSettings(name="caller"), Endpoint.silent(), Caller(patience=0.3)),
    "abandoned after refusals": (QueueSettings(name="caller"), Endpoint.busy(), Caller(patience=0.3)),
    "the wait is over": (QueueSettings(name="caller", max_wait_time=0.3), Endpoint.silent(), Caller()),
    "an exit key": (
        QueueSettings(name="caller", exit_keys="1"),
        Endpoint.silent(),
        Caller(presses=((0.3, "1"),)),
    ),
    "on to another queue": (
        QueueSettings(name="caller", overflow=(OverflowRule(waited=0.3, to="queue:other"),)),
        Endpoint.silent(),
        Caller(patience=0.6),
    ),
    "called back": (
        QueueSettings(name="caller", callback_key="1", callback_dialstring="user/1001"),
        HANGS_UP,
        Caller(presses=((0.01, "1"),)),
    ),
}  # fmt: skip


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """Count, by type, what of ours the block leaves that holds itself alive; filled when the block ends."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
        ours = [name for name in names if name.startswith(("callctl.", "hypercorn."))]
        found.update(name for name in ours if not name.startswith("callctl.sim."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("life", LIVES)
async def test_a_call_that_is_over_leaves_no_garbage(theatre, life: str) -> None:
    queue, phone, caller = LIVES[life]
    async with theatre(queue, OTHER) as scene:
        scene.hire("1001", phone)
        await scene.call(caller)
        with garbage() as found:
            await scene.call(caller)
        assert not found
    assert len(scene.rows("calls")) >= 2


async def test_a_request_that_is_answered_leaves_no_garbage(theatre) -> None:
    async with theatre() as scene:
        client = ControlClient(control_socket(scene.database))
        await trio.to_thread.run_sync(client.get, "/readyz")
        with garbage() as found:
            await trio.to_thread.run_sync(client.get, "/readyz")
            await wait_all_tasks_blocked()
        assert not found


@pytest.mark.parametrize(
    ("calls", "seconds"), [(0, 30), (100, 30), (2_000, 600), (12_000, 3_600)], ids=lambda value: str(value)
)
def test_the_more_calls_there_are_the_rarer_is_a_collection(calls: int, seconds: float) -> None:
    assert not is_due(seconds - 1, calls, 0)
    assert is_due(seconds, calls, 0)


@pytest.mark.parametrize(("calls", "objects"), [(0, 250_000), (2_000, 650_000), (12_000, 2_650_000)])
def test_garbage_that_grows_fast_is_not_waited_for(calls: int, objects: int) -> None:
    assert not is_due(0, calls, objects - 1)
    assert is_due(0, calls, objects)


@pytest.fixture
def collections() -> Iterator[list[float]]:
    """When Python collects, by Trio's clock."""
    begun: list[float] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            begun.append(trio.current_time())

    gc.disable()
    gc.callbacks.append(note)
    try:
        yield begun
    finally:
        gc.callbacks.remove(note)
        gc.enable()


@pytest.mark.parametrize(("calls", "times"), [(0, 10), (200, 5), (2_000, 0)])
async def test_garbage_is_collected_when_it_is_due(
    autojump_clock: MockClock, collections: list[float], calls: int, times: int
) -> None:
    with trio.move_on_after(310):
        await collect_seldom(lambda: calls)
    assert len(collections) == times


async def test_garbage_is_counted_anew_after_each_collection(
    autojump_clock: MockClock, collections: list[float]
) -> None:
    gc.collect()
    collections.clear()
    begun = trio.current_time()
    left_behind: list[list[int]] = [[] for _ in range(SPARE_OBJECTS)]
    with trio.move_on_after(70):
        await collect_seldom(lambda: 1000)
    assert left_behind
    assert [at - begun for at in collections] == []
    left_behind += [[] for _ in range(1000 * SPARE_OBJECTS_PER_CALL)]
    begun = trio.current_time()
    with trio.move_on_after(70):
        await collect_seldom(lambda: 1000)
    assert [at - begun for at in collections] == [pytest.approx(30)]


def test_python_collects_no_more_by_itself() -> None:
    try:
        start_afresh()
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()
