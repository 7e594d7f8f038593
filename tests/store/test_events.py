"""What other systems are told: the events that follow from facts, and the table that they stand in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
from attrs import evolve

from callctl.clock import SteadyClock
from callctl.model import (
    OUTCOME_OF_REASON,
    AgentState,
    AgentStatus,
    CallRecord,
    CallState,
    Decision,
    EventRecord,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    PriorityChange,
    QueueTargets,
    Reason,
    Strategy,
    SwitchChange,
)
from callctl.store.event_builder import EventBuilder
from callctl.store.event_log import StoredEvent, events_after, last_sequence, pruned_through
from callctl.store.event_types import CATALOGUE, TYPE_OF, schema_of
from callctl.store.journal import BATCH_ROWS, Journal
from callctl.store.loading import open_reader
from callctl.store.upkeep import DAY_SECONDS, prune
from tests.store.samples import NOON, agent, span, waiting


def told(*facts: Fact, builder: EventBuilder | None = None) -> list[EventRecord]:
    builder = builder or EventBuilder()
    return [event for fact in facts for event in builder.observe(fact, NOON)]


def types(events: list[EventRecord]) -> list[str]:
    return [event.type for event in events]


def placed(call: str = "call-1", position: int = 1) -> CallRecord:
    return evolve(waiting(call), position_at_entry=position)


def over(record: CallRecord, reason: Reason, at: float) -> CallRecord:
    return evolve(
        record,
        state=CallState.ENDED,
        reason=reason,
        outcome=OUTCOME_OF_REASON[reason],
        hung_up_by=HungUpBy.CALLER,
        ended_at=at,
    )


def ring(result: OfferResult = OfferResult.RINGING, cause: str = "", after: float = 4) -> OfferRecord:
    is_open = result is OfferResult.RINGING
    return OfferRecord(
        id="offer-1",
        call="call-1",
        agent="anna",
        leg_uuid="leg-1",
        offered_at=NOON,
        ended_at=None if is_open else NOON + after,
        result=result,
        cause=cause,
    )


def test_a_call_that_is_served_is_told_from_queue_to_end() -> None:
    targets = QueueTargets(queue="caller", service_level_seconds=10, short_abandon_seconds=5)
    decision = Decision(
        id="d",
        at=NOON,
        call="call-1",
        queue="caller",
        strategy=Strategy.RING_ALL,
        chosen=("anna",),
        order=("anna",),
        passed_over=(),
    )
    talking = evolve(
        placed(), state=CallState.TALKING, agent="anna", answered_at=NOON + 4, bridged_at=NOON + 5
    )
    events = told(
        targets,
        placed(),
        decision,
        ring(),
        ring(OfferResult.ANSWERED),
        talking,
        evolve(over(talking, Reason.BRIDGED, NOON + 65), hold_seconds=10.0, recording="/a.wav"),
    )
    assert types(events) == ["call.queued", "offer.created", "offer.accepted", "call.connected", "call.ended"]
    assert [event.agent for event in events] == ["", "anna", "anna", "anna", "anna"]
    data = [msgspec.to_builtins(event.data) for event in events]
    assert data[0]["position"] == 1
    assert data[1]["strategy"] == "ring-all"
    assert data[2]["ring_seconds"] == 4
    assert (data[3]["waited_seconds"], data[3]["within_target"]) == (5, True)
    assert (data[4]["wait_seconds"], data[4]["talk_seconds"], data[4]["hold_seconds"]) == (5, 50, 10)
    assert (data[4]["outcome"], data[4]["recording"], data[4]["hung_up_by"]) == (
        "handled",
        "/a.wav",
        "caller",
    )


def test_an_abandoned_call_says_so_before_its_end_and_a_refused_one_was_never_queued() -> None:
    events = told(placed(position=3), over(placed(position=3), Reason.CALLER_HANGUP, NOON + 12))
    assert types(events) == ["call.queued", "call.abandoned", "call.ended"]
    assert msgspec.to_builtins(events[1].data)["waited_seconds"] == 12
    assert types(told(over(waiting(), Reason.FULL, NOON))) == ["call.ended"]


@pytest.mark.parametrize(
    ("result", "event_type"),
    [
        (OfferResult.BUSY, "offer.rejected"),
        (OfferResult.REJECTED, "offer.rejected"),
        (OfferResult.NO_ANSWER, "offer.timeout"),
        (OfferResult.UNREACHABLE, "offer.failed"),
        (OfferResult.CANCELLED, "offer.cancelled"),
        (OfferResult.FAILED, "offer.failed"),
        (OfferResult.UNKNOWN, "offer.failed"),
    ],
)
def test_each_end_of_an_offer_has_its_event_with_the_misses(result: OfferResult, event_type: str) -> None:
    builder = EventBuilder()
    told(placed(), ring(), evolve(agent("anna"), misses=2), builder=builder)
    [event] = told(ring(result, "SOME_CAUSE"), builder=builder)
    data = msgspec.to_builtins(event.data)
    assert (event.type, data["cause"], data["misses"]) == (event_type, "SOME_CAUSE", 2)


def test_a_caller_who_comes_back_is_requeued_and_one_who_goes_on_has_moved() -> None:
    builder = EventBuilder()
    first = placed()
    resumed = evolve(first, arrival=evolve(first.arrival, resumes=1))
    assert types(told(first, resumed, resumed, builder=builder)) == ["call.queued", "call.requeued"]
    told(over(resumed, Reason.OVERFLOW, NOON + 9), builder=builder)
    other = placed("call-2")
    further = evolve(other, arrival=evolve(other.arrival, queue="help"), previous_visit="call-1")
    events = told(further, builder=builder)
    assert types(events) == ["call.moved", "call.queued"]
    moved = msgspec.to_builtins(events[0].data)
    assert (moved["from"], moved["to"], moved["by"]) == ("caller", "help", "")


def test_another_base_score_is_told_with_who_gave_it() -> None:
    builder = EventBuilder()
    told(placed(), builder=builder)
    change = PriorityChange(call="call-1", at=NOON, before=0, after=60, by="anna")
    [event] = told(change, builder=builder)
    data = msgspec.to_builtins(event.data)
    assert (event.type, data["from"], data["to"], data["by"]) == ("call.priority_changed", 0, 60, "anna")


def test_agents_are_told_of_by_status_state_and_wrap_up() -> None:
    builder = EventBuilder()
    assert told(span("anna", NOON, None), agent("anna"), builder=builder) == []
    talks = evolve(span("anna", NOON + 10, None), state=AgentState.IN_A_QUEUE_CALL, call="call-1")
    wraps = evolve(
        span("anna", NOON + 20, None), state=AgentState.WRAP_UP, call="call-1", wrap_up_until=NOON + 30
    )
    paused = evolve(
        span("anna", NOON + 25, None), status=AgentStatus.ON_BREAK, state=AgentState.IDLE, reason="lunch"
    )
    events = told(evolve(span("anna", NOON, None), ended_at=NOON + 10), talks, wraps, paused, builder=builder)
    assert types(events) == [
        "agent.state_changed",
        "agent.state_changed",
        "agent.wrapup_started",
        "agent.status_changed",
        "agent.state_changed",
        "agent.wrapup_ended",
    ]
    data = [msgspec.to_builtins(event.data) for event in events]
    assert (data[0]["to"], data[0]["previous_seconds"], data[0]["call"]) == ("In a queue call", 10, "call-1")
    assert data[2]["until"] == "2026-11-22T12:00:30.000Z"
    assert (data[3]["from"], data[3]["to"], data[3]["reason"]) == ("Available", "On Break", "lunch")
    assert (data[5]["until"], data[5]["call"]) == ("2026-11-22T12:00:25.000Z", "call-1")


def test_a_switch_is_told_of_when_it_changes() -> None:
    def change(is_ready: bool) -> SwitchChange:
        return SwitchChange(switch="fs1", at=NOON, is_ready=is_ready, calls=3)

    events = told(change(False), change(True), change(True), change(False))
    assert [(event.type, event.account) for event in events] == [
        ("switch.connected", "*"),
        ("switch.lost", "*"),
    ]


def test_what_is_recorded_again_after_a_crash_is_the_same_event() -> None:
    once, again = told(placed()), told(placed())
    assert [event.id for event in once] == [event.id for event in again]
    assert once[0].id != told(placed("call-2"))[0].id


def test_every_type_has_a_schema_and_a_name() -> None:
    assert len(TYPE_OF) == len(CATALOGUE)
    for event_type in CATALOGUE:
        assert schema_of(event_type)["properties"]["type"] == {"const": event_type}


def stored(path: Path) -> list[StoredEvent]:
    with closing(open_reader(path)) as reader:
        found: list[StoredEvent] = []
        while page := events_after(reader, found[-1].sequence if found else 0):
            found += page
        return found


async def write(path: Path, *facts: Fact) -> list[StoredEvent]:
    """Record with a journal of its own, and return what it has told its listeners."""
    heard: list[StoredEvent] = []
    async with trio.open_nursery() as nursery:
        journal = Journal(path, clock=SteadyClock(NOON), busy_seconds=0)
        await nursery.start(journal.run)
        journal.listen(heard.extend)
        journal.record(*facts)
        nursery.cancel_scope.cancel()
    return heard


async def test_events_are_written_with_their_facts_and_told_in_order(path: Path) -> None:
    heard = await write(path, placed(), ring(), ring(OfferResult.NO_ANSWER))
    assert [event.type for event in heard] == ["call.queued", "offer.created", "offer.timeout"]
    assert heard == stored(path)
    assert [event.sequence for event in heard] == [1, 2, 3]
    envelope = msgspec.json.decode(heard[0].envelope)
    assert envelope["schema"] == 1
    assert envelope["data"]["uuid"] == "uuid-of-call-1"


async def test_a_restart_goes_on_from_what_was_told(path: Path) -> None:
    await write(path, placed(), ring())
    heard = await write(path, placed(), ring(), over(placed(), Reason.UNSEEN, NOON + 5))
    assert [event.type for event in heard] == ["call.ended"]
    assert [event.type for event in stored(path)] == ["call.queued", "offer.created", "call.ended"]


async def test_text_that_is_none_is_told_all_the_same(path: Path) -> None:
    call = placed()
    odd = evolve(call, arrival=evolve(call.arrival, caller_name="Bj\udcf6rn\0"))
    [event] = await write(path, odd)
    assert msgspec.json.decode(event.envelope)["data"]["caller_name"] == "Bj?rn\0"


async def test_a_batch_never_parts_a_fact_from_its_events(path: Path) -> None:
    """Whatever is recorded at once: each batch holds the events of all its facts, in order."""
    calls = [placed(f"call-{number}") for number in range(BATCH_ROWS)]
    ends = [over(call, Reason.CALLER_HANGUP, NOON + 1) for call in calls]
    heard = await write(path, *calls, *ends)
    assert len(heard) == 3 * BATCH_ROWS
    assert [event.type for event in heard[:BATCH_ROWS]] == ["call.queued"] * BATCH_ROWS
    assert heard == stored(path)


async def test_a_kill_loses_no_event_of_a_fact_that_is_written(path: Path) -> None:
    """A process is killed while it records; then each call that the history knows has been told of."""
    program = (
        "import sys, trio; from pathlib import Path\n"
        "from callctl.clock import SteadyClock; from callctl.store.journal import Journal\n"
        "from tests.store.test_events import placed, over, NOON, Reason\n"
        "async def main():\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        journal = Journal(Path(sys.argv[1]), clock=SteadyClock(NOON))\n"
        "        await nursery.start(journal.run)\n"
        "        print('ready', flush=True)\n"
        "        for number in range(10**6):\n"
        "            journal.record(placed(f'call-{number}'))\n"
        "            journal.record(over(placed(f'call-{number}'), Reason.CALLER_HANGUP, NOON + 1))\n"
        "            if number % 7 == 0: await trio.sleep(0.0002)\n"
        "trio.run(main)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220 - it is started at once
    assert process.stdout is not None
    try:
        assert await trio.to_thread.run_sync(process.stdout.readline) == b"ready\n"
        await trio.sleep(0.8)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    await write(path)
    with closing(open_reader(path)) as reader:
        calls = {row[0] for row in reader.execute("SELECT id FROM calls WHERE ended_at IS NOT NULL")}
    events = stored(path)
    assert len(calls) > 100
    assert {event.call for event in events if event.type == "call.ended"} == calls
    assert {event.call for event in events if event.type == "call.queued"} >= calls
    assert len({event.id for event in events}) == len(events)


async def test_old_events_are_pruned_and_sequences_are_never_used_twice(path: Path) -> None:
    await write(path, placed(), ring())
    pruned = prune(path, 1, NOON + 2 * DAY_SECONDS, pause=lambda _: None)
    assert pruned.events == 2
    with closing(open_reader(path)) as reader:
        assert (last_sequence(reader), pruned_through(reader)) == (2, 2)
    event, _end = await write(path, over(placed(), Reason.CALLER_HANGUP, NOON))
    assert event.sequence == 3
