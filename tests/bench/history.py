"""What the history costs: rows written beside the event loop, and how late the loop gets by it."""

from __future__ import annotations

import heapq
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import trio
from attrs import evolve

from callctl.clock import SteadyClock
from callctl.model import (
    OUTCOME_OF_REASON,
    AgentRecord,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    PassedOver,
    Reason,
    Strategy,
)
from callctl.store.journal import Journal
from callctl.store.writer import Kept, Writer
from tests.bench.figures import Figure, latencies
from tests.bench.subject import Size, command

ROWS_A_SECOND = 2000
AGENTS = 600
RING_SECONDS, BRIDGE_SECONDS, TALK_SECONDS, WRAP_UP_SECONDS = 0.5, 0.05, 3.0, 1.0
STARTING_SECONDS = RING_SECONDS + BRIDGE_SECONDS + TALK_SECONDS + WRAP_UP_SECONDS
"""After so long as many calls end as begin."""

TICK_SECONDS = 0.001


class MeasuredWriter(Writer):
    """The real writer, which counts its rows and the time of its thread."""

    rows = 0
    cpu_seconds = 0.0

    def keep(self, facts: Sequence[Fact], *, try_database: bool, now: float) -> Kept:
        """Write, and take the time."""
        begun = time.thread_time()
        kept = super().keep(facts, try_database=try_database, now=now)
        self.cpu_seconds += time.thread_time() - begun
        self.rows += len(facts)
        return kept


async def measure(size: Size) -> list[Figure]:
    """2,000 rows a second, of whole calls on a real file, and the event loop's delay meanwhile."""
    seconds = size.pick(0.5, 5, 20)
    alone = await _delays(seconds / 4)
    with tempfile.TemporaryDirectory(prefix="callctl-bench-") as folder:
        async with trio.open_nursery() as nursery:
            clock = SteadyClock()
            writer = MeasuredWriter(Path(folder) / "callctl.db")
            journal = Journal(Path(folder) / "callctl.db", clock=clock, writer=writer)
            await nursery.start(journal.run)
            centre = Centre(journal, clock)
            nursery.start_soon(centre.run)
            await trio.sleep(STARTING_SECONDS)
            rows, calls, written, recorded = writer.rows, centre.calls, writer.cpu_seconds, centre.cpu_seconds
            begun = trio.current_time()
            delays = await _delays(seconds)
            took = trio.current_time() - begun
            rows, calls = writer.rows - rows, centre.calls - calls
            written, recorded = writer.cpu_seconds - written, centre.cpu_seconds - recorded
            statistics = journal.statistics()
            nursery.cancel_scope.cancel()
    if statistics.error or statistics.rejected_rows or statistics.lost_rows:
        raise RuntimeError(f"the history was not written: {statistics}")
    return [
        *latencies("delay of the event loop, nothing written", alone),
        *latencies("delay of the event loop", delays, p99_goal_ms=10),
        Figure(what="rows written", measured=rows / took, unit="/s", goal=ROWS_A_SECOND, more_is_better=True),
        Figure(what="rows of one call", measured=rows / calls, unit=""),
        Figure(what="CPU of one call, recording", measured=recorded / calls * 1e3, unit="ms"),
        Figure(what="CPU of one call, the writer's thread", measured=written / calls * 1e3, unit="ms"),
        Figure(
            what="CPU of one call's history", measured=(recorded + written) / calls * 1e3, unit="ms", goal=0.5
        ),
    ]


async def _delays(seconds: float) -> list[float]:
    """Sleep for a millisecond again and again; return by how much each sleep was too long."""
    delays = []
    end = trio.current_time() + seconds
    while (now := trio.current_time()) < end:
        await trio.sleep(TICK_SECONDS)
        delays.append(trio.current_time() - now - TICK_SECONDS)
    return delays


class Centre:
    """Calls that come evenly, each with all that is recorded of a call in its life."""

    def __init__(self, journal: Journal, clock: SteadyClock) -> None:
        self._journal = journal
        self._clock = clock
        self._due: list[tuple[float, int, Iterator[tuple[float, list[Fact]]]]] = []
        self.calls = 0
        self.cpu_seconds = 0.0

    async def run(self) -> None:
        """Record until cancelled."""
        numbers = count()
        interval = ROWS_OF_A_CALL / (ROWS_A_SECOND * 1.02)
        next_call_at = self._clock.now()
        while True:
            now = self._clock.now()
            while next_call_at <= now:
                self.calls += 1
                self._proceed(next(numbers), next_call_at, facts_of(self.calls, next_call_at))
                next_call_at += interval
            while self._due and self._due[0][0] <= now:
                at, _, life = heapq.heappop(self._due)
                self._proceed(next(numbers), at, life)
            await trio.sleep(TICK_SECONDS)

    def _proceed(self, number: int, at: float, life: Iterator[tuple[float, list[Fact]]]) -> None:
        pause_seconds, facts = next(life)
        begun = time.thread_time()
        for fact in facts:
            self._journal.record(fact)
        self.cpu_seconds += time.thread_time() - begun
        if pause_seconds:
            heapq.heappush(self._due, (at + pause_seconds, number, life))


ROWS_OF_A_CALL = 24
"""What `facts_of` yields, without what a later fact in the same instant replaces."""


def facts_of(number: int, at: float) -> Iterator[tuple[float, list[Fact]]]:
    """Yield what is recorded at once in the life of a call, with the time until the next; 0: it is over."""
    call, name = f"{number:032x}", f"agent-{number % AGENTS}"
    agent = _Agent(name, at - 60)
    arrival = Arrival(
        call=call,
        uuid=call,
        switch="fs1",
        queue="caller",
        arrived_at=at,
        joined_at=at,
        caller_number=f"+4930{number:07}",
        caller_name="Ada Lovelace",
        source="sip_trunk",
        account_id="17",
        variables={"campaign": "spring"},
    )
    record = CallRecord(arrival=arrival, state=CallState.WAITING, position_at_entry=1)
    offer = OfferRecord(id=f"o{call}", call=call, agent=name, leg_uuid=f"l{call}", offered_at=at)

    def event(what: str, detail: str) -> CallEvent:
        return CallEvent(call=call, at=at, event=what, detail=detail)

    decision = Decision(
        id=f"d{call}",
        at=at,
        call=call,
        queue="caller",
        strategy=Strategy.LONGEST_IDLE_AGENT,
        chosen=(name,),
        order=(name, "agent-x", "agent-y"),
        passed_over=(PassedOver(agent="agent-z", why="in a queue call"),),
    )
    ringing = evolve(record, state=CallState.RINGING, offers=1)
    yield (
        RING_SECONDS,
        [
            *agent.turn(at, AgentState.RESERVED, call),
            decision,
            record,
            event("joined", "caller, position 1"),
            ringing,
            offer,
            event("offered", name),
            *agent.turn(at, AgentState.RECEIVING, call),
        ],
    )
    at += RING_SECONDS
    answered = evolve(
        ringing, state=CallState.BRIDGING, agent=name, agent_uuid=offer.leg_uuid, answered_at=at
    )
    yield (
        BRIDGE_SECONDS,
        [
            evolve(offer, answered_at=at, ended_at=at, result=OfferResult.ANSWERED),
            answered,
            event("agent-answered", name),
        ],
    )
    at += BRIDGE_SECONDS
    talking = evolve(answered, state=CallState.TALKING, bridged_at=at)
    yield (
        TALK_SECONDS,
        [*agent.turn(at, AgentState.IN_A_QUEUE_CALL, call), talking, event("bridged", name)],
    )
    at += TALK_SECONDS
    ended = evolve(
        talking,
        state=CallState.ENDED,
        reason=Reason.BRIDGED,
        outcome=OUTCOME_OF_REASON[Reason.BRIDGED],
        hung_up_by=HungUpBy.AGENT,
        hangup_cause="NORMAL_CLEARING",
        ended_at=at,
    )
    yield (
        WRAP_UP_SECONDS,
        [*agent.turn(at, AgentState.WRAP_UP, call), ended, event("ended", Reason.BRIDGED)],
    )
    yield 0.0, list(agent.turn(at + WRAP_UP_SECONDS, AgentState.WAITING, ""))


class _Agent:
    """An agent whose states become spans."""

    def __init__(self, name: str, since: float) -> None:
        self._settings = AgentSettings(name=name, contact=f"user/{name}", wrap_up_time=WRAP_UP_SECONDS)
        self._state, self._since, self._call = AgentState.WAITING, since, ""

    def turn(self, at: float, state: AgentState, call: str) -> Iterator[Fact]:
        """Yield what is recorded when the state changes."""
        if at > self._since:
            yield self._span(at)
        self._state, self._since, self._call = state, at, call
        yield self._span(None)
        yield AgentRecord(
            settings=self._settings, status=AgentStatus.AVAILABLE, state=state, last_offered_at=at
        )

    def _span(self, ended_at: float | None) -> AgentSpan:
        return AgentSpan(
            agent=self._settings.name,
            started_at=self._since,
            ended_at=ended_at,
            status=AgentStatus.AVAILABLE,
            state=self._state,
            call=self._call,
        )


if __name__ == "__main__":
    command(measure)
