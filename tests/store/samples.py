"""Facts to test with: short ways to say that a call came, waited, was answered and ended."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import evolve

from callctl.model import (
    OUTCOME_OF_REASON,
    AgentRecord,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Arrival,
    CallRecord,
    CallState,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Reason,
)
from callctl.store.connections import connect, transaction
from callctl.store.rows import entries_of
from callctl.store.schema import migrate

NOON = 1_795_348_800.0
"""2026-11-22T12:00:00Z."""


def arrival(
    call: str = "call-1", joined_at: float = NOON, queue: str = "caller", number: str = ""
) -> Arrival:
    """Return a caller's arrival."""
    return Arrival(
        call=call,
        uuid=f"uuid-of-{call}",
        switch="fs1",
        queue=queue,
        arrived_at=joined_at,
        joined_at=joined_at,
        caller_number=number,
    )


def waiting(call: str = "call-1", joined_at: float = NOON, queue: str = "caller") -> CallRecord:
    """Return a call that waits."""
    return CallRecord(arrival=arrival(call, joined_at, queue), state=CallState.WAITING)


def ended(
    call: str,
    *,
    wait: float,
    joined_at: float = NOON,
    queue: str = "caller",
    number: str = "",
    reason: Reason = Reason.CALLER_HANGUP,
) -> CallRecord:
    """Return a call whose wait ended without an agent, after `wait` seconds."""
    return CallRecord(
        arrival=arrival(call, joined_at, queue, number),
        state=CallState.ENDED,
        reason=reason,
        outcome=OUTCOME_OF_REASON[reason],
        hung_up_by=HungUpBy.CALLER if reason is Reason.CALLER_HANGUP else None,
        ended_at=joined_at + wait,
    )


def handled(
    call: str,
    *,
    wait: float,
    talk: float,
    hold: float = 0.0,
    joined_at: float = NOON,
    queue: str = "caller",
    number: str = "",
    agent: str = "1001",
) -> CallRecord:
    """Return a call that was answered after `wait` seconds, talked and held, and ended."""
    return evolve(
        ended(call, wait=wait + talk + hold, joined_at=joined_at, queue=queue, number=number),
        reason=Reason.BRIDGED,
        outcome=OUTCOME_OF_REASON[Reason.BRIDGED],
        hung_up_by=HungUpBy.AGENT,
        agent=agent,
        agent_uuid=f"leg-of-{call}",
        answered_at=joined_at + wait,
        bridged_at=joined_at + wait,
        hold_seconds=hold,
        offers=1,
    )


def agent(name: str = "1001", status: AgentStatus = AgentStatus.AVAILABLE) -> AgentRecord:
    """Return an agent."""
    return AgentRecord(
        settings=AgentSettings(name=name, contact=f"user/{name}"), status=status, state=AgentState.WAITING
    )


def span(
    name: str,
    started_at: float,
    ended_at: float | None,
    state: AgentState = AgentState.WAITING,
    status: AgentStatus = AgentStatus.AVAILABLE,
    call: str = "",
) -> AgentSpan:
    """Return a stretch of an agent's time."""
    return AgentSpan(
        agent=name, started_at=started_at, ended_at=ended_at, status=status, state=state, call=call
    )


def offer(
    id: str, call: str, name: str, result: OfferResult, *, at: float = NOON, ring: float = 5.0
) -> OfferRecord:
    """Return a ring of an agent that is over."""
    return OfferRecord(
        id=id,
        call=call,
        agent=name,
        leg_uuid=f"leg-of-{id}",
        offered_at=at,
        ended_at=at + ring,
        result=result,
    )


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """Let every write of this process fail that would make a file larger, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def damage(path: Path) -> None:
    """Overwrite the last pages of a database, which hold rows, as a failing disk would."""
    with path.open("r+b") as file:
        file.seek(-2 * 4096, os.SEEK_END)
        file.write(b"\xff" * 2 * 4096)


def database_with(path: Path, *facts: Fact) -> Path:
    """Write `facts` to the database at `path`, creating it, without a journal; returns `path`."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # No test cuts the power.
        migrate(path, connection)
        with transaction(connection):
            for fact in facts:
                for entry in entries_of(fact):
                    connection.execute(entry.sql(), entry.values())
    return path
