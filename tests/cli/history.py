"""A small history to look at: three calls of one morning, with what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve

from callctl.model import (
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Outcome,
    PassedOver,
    Reason,
    Strategy,
)
from callctl.store.roster import editing
from callctl.store.rows import entries_of

NINE = datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()
ADA = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
CYD = "cccccccc-0000-4000-8000-000000000003"


def arrival(uuid: str, at: float, number: str, name: str = "", queue: str = "caller") -> Arrival:
    return Arrival(
        call=f"visit-{uuid[:4]}",
        uuid=uuid,
        switch="fs1",
        queue=queue,
        arrived_at=at,
        joined_at=at,
        caller_number=number,
        caller_name=name,
        source="sip_trunk",
        skills={"english": 2},
    )


HOSTILE = "\x1b]0;owned\x07\x9b2J\r\nforged\x85line\u202e\x1b]52;c;cm0=\x1b\\"
"""A name that sets a terminal's title, clears it, forges a line, turns text around, fills the clipboard."""


def is_harmless(text: str) -> bool:
    """Say whether every line of `text` can be printed on a terminal without steering it."""
    return all(line.isprintable() for line in text.split("\n"))


def morning() -> list[Fact]:
    """Ada is answered by 1001 after 1002 was busy, Bob gives up after 30 s, Cyd still waits."""
    ada, bob, cyd = (
        arrival(ADA, NINE, "4930111", "Ada"),
        evolve(arrival(BOB, NINE + 60, "4930222"), dialled_number="4930555"),
        arrival(CYD, NINE + 120, "4930333", queue="sales"),
    )
    return [
        CallRecord(
            arrival=ada,
            state=CallState.ENDED,
            outcome=Outcome.HANDLED,
            reason=Reason.BRIDGED,
            hung_up_by=HungUpBy.AGENT,
            hangup_cause="NORMAL_CLEARING",
            agent="1001",
            bridged_at=NINE + 10,
            ended_at=NINE + 70,
            hold_seconds=20,
            offers=2,
        ),
        CallEvent(call=ada.call, at=NINE + 1, event="offered", detail="1002"),
        OfferRecord(
            id="o1",
            call=ada.call,
            agent="1002",
            leg_uuid="l1",
            offered_at=NINE + 1,
            ended_at=NINE + 2,
            result=OfferResult.BUSY,
            cause="USER_BUSY",
        ),
        Decision(
            id="d1",
            at=NINE + 3,
            call=ada.call,
            queue="caller",
            strategy=Strategy.TOP_DOWN,
            chosen=("1001",),
            order=("1001",),
            passed_over=(PassedOver(agent="1002", why="was busy"),),
        ),
        CallEvent(call=ada.call, at=NINE + 4, event="offered", detail="1001"),
        OfferRecord(
            id="o2",
            call=ada.call,
            agent="1001",
            leg_uuid="l2",
            offered_at=NINE + 4,
            answered_at=NINE + 9,
            ended_at=NINE + 9,
            result=OfferResult.ANSWERED,
        ),
        CallRecord(
            arrival=bob,
            state=CallState.ENDED,
            outcome=Outcome.ABANDONED,
            reason=Reason.CALLER_HANGUP,
            hung_up_by=HungUpBy.CALLER,
            ended_at=NINE + 90,
        ),
        CallRecord(arrival=cyd, state=CallState.WAITING),
    ]


def write(database: Path, facts: Sequence[Fact]) -> None:
    """Write the facts to the database."""
    with editing(database) as connection:
        for fact in facts:
            for entry in entries_of(fact):
                connection.execute(entry.sql(), entry.values())
