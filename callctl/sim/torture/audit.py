"""The audit at the end of an hour: what stands in the database is what really happened, once.

Everybody is gone by then, so nothing may be open any more, and what adds up in the rows must add up.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from callctl.model import OUTCOME_OF_REASON, Reason
from callctl.sim.torture.timeline import Violation
from callctl.sim.torture.truth import Story, Truth
from callctl.store.loading import epoch, open_reader

TALK_SECONDS = 2.0
"""How far a row's talk may be from the real one where callctl was there when it ended: events may be late."""

AT_ONCE_SECONDS = 0.05
"""By how much two visits may overlap: both sockets of a caller who is sent on at once may come together."""

_CALLS = "SELECT * FROM calls ORDER BY joined_at, json_array_length(came_through), ended_at, id"
"""In the order in which they came about: who is sent on at once joins two queues in one instant."""

CouldKnow = Callable[[str, float, float], bool]
"""Whether callctl could know what happened on a switch from one moment to another."""

COMING_SECONDS = 1.0
"""How long a caller who was sent into a queue may take to be there."""

AFTERWARDS_SECONDS = 30.0
"""How much of what came after is told of a call that is wrong in the history."""

TRIED = frozenset((Reason.BRIDGED, Reason.CALLER_HANGUP))
"""Reasons with which a callback can end only when an agent was there for it."""

ENDS_CALLBACK = TRIED | {Reason.TIMEOUT, Reason.WITHDRAWN}

LEADS_ON = frozenset(Reason) - {Reason.CALLER_HANGUP, Reason.UNSEEN}
"""Reasons after which the same caller may be back on a visit of its own."""


def audit(
    database: Path,
    truth: Truth,
    promised: set[str],
    promised_callbacks: set[str],
    could_know: CouldKnow,
    now: float,
) -> Iterator[Violation]:
    """Yield what is wrong with the history, as of when it came about.

    `promised` calls must have rows, and `promised_callbacks` calls of their own.
    """
    connection = open_reader(database)
    try:
        rows = connection.execute(_CALLS).fetchall()
        yield from _of_rows(rows, now)
        yield from _of_callers(rows, truth, could_know, now)
        yield from _of_callbacks(rows, promised_callbacks, now)
        for call in sorted(promised - {row["id"] for row in rows}):
            yield Violation(now, f"the call {call} has no row", (call,))
        yield from _of_offers(connection)
        yield from _of_spans(connection)
    finally:
        connection.close()


def count_outcomes(database: Path) -> dict[str, int]:
    """Return how many calls ended how."""
    connection = open_reader(database)
    try:
        return dict(
            connection.execute(
                "SELECT coalesce(outcome, ''), count(*) FROM calls GROUP BY outcome"
            ).fetchall()
        )
    finally:
        connection.close()


def _of_rows(rows: list[sqlite3.Row], now: float) -> Iterator[Violation]:
    for row in rows:
        what, at = "", now
        if row["ended_at"] is None or row["reason"] is None or row["state"] != "ended":
            what = f"was never ended: {row['state']}, {row['reason']}"
            at = epoch(row["joined_at"]) + AFTERWARDS_SECONDS
        elif row["outcome"] != OUTCOME_OF_REASON[Reason(row["reason"])].value:
            what = f"is {row['outcome']} with {row['reason']}"
        elif row["reason"] == Reason.ERROR.value:
            what, at = "ended in an error", epoch(row["ended_at"])
        if what:
            yield Violation(at, f"the call {row['id']} of {row['uuid']} {what}", (row["id"], row["uuid"]))


def _of_callers(
    rows: list[sqlite3.Row], truth: Truth, could_know: CouldKnow, now: float
) -> Iterator[Violation]:
    joined = {row["id"]: row["joined_at"] for row in rows}
    visits: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        if row["uuid"]:  # else of one who was to be called back, and not reached
            visits[row["uuid"]].append(row)
    for uuid, own in visits.items():
        about = (uuid, *(row["id"] for row in own))
        story = truth.stories.get(uuid)
        if story is None:
            yield Violation(now, f"a row is about {uuid}, who never called", about)
            continue
        at = (story.ended_at or now) + AFTERWARDS_SECONDS
        for row in own[:-1]:
            if row["reason"] not in LEADS_ON:
                what = f"{uuid} has {len(own)} rows, one of which ended with {row['reason']}"
                yield Violation(at, what, about)
        for before, row in pairwise(own):
            if before["ended_at"] and epoch(row["joined_at"]) < epoch(before["ended_at"]) - AT_ONCE_SECONDS:
                what = f"{uuid} was in {before['queue']} and in {row['queue']} at once"
                yield Violation(epoch(row["joined_at"]) + AFTERWARDS_SECONDS, what, about)
        yield from _of_sent(story, own, joined, could_know, at)
        talks = [row for row in own if row["reason"] == Reason.BRIDGED.value]
        known = [
            talk for talk in story.talks if could_know(story.switch.name, talk.began_at, talk.ended_at or now)
        ]
        if not len(known) <= len(talks) <= len(story.talks):
            what = f"{uuid} talked {len(story.talks)} times, and {len(talks)} rows say so"
            yield Violation(at, what, about)
        elif len(story.talks) == len(talks):
            yield from _of_talks(story, talks, at)
        last, hung_up_at = own[-1], story.ended_at or now
        if (
            not story.talks
            and story.ended_by == "caller"
            and last["reason"] in (Reason.SWITCH_LOST.value, Reason.UNSEEN.value)
            # Nobody can tell what happened on a switch before callctl was back.
            and could_know(story.switch.name, hung_up_at, epoch(last["ended_at"]))
        ):
            yield Violation(at, f"{uuid} hung up, and the row says {last['reason']}", about)
        if last["reason"] == Reason.OVERFLOW.value and could_know(
            story.switch.name, epoch(last["ended_at"]), hung_up_at
        ):
            yield Violation(at, f"{uuid} was sent on from {last['queue']}, and came nowhere", about)


def _of_sent(
    story: Story, rows: list[sqlite3.Row], joined: dict[str, str], could_know: CouldKnow, at: float
) -> Iterator[Violation]:
    """Who is sent into a queue has one visit there, which names one before; nobody else is transferred."""
    about = (story.uuid, *(row["id"] for row in rows))
    sent = len(story.entered) + story.is_moved
    transferred = [row for row in rows if row["reason"] == Reason.TRANSFERRED.value]
    if story.moved_at and len(transferred) > len(story.entered) + story.times_moved:
        what = f"{story.uuid} was sent {sent} times, and {len(transferred)} rows say so"
        yield Violation(at, what, about)
    for entered_at, queue in story.entered:
        until = entered_at + COMING_SECONDS
        if not could_know(story.switch.name, entered_at, until) or story.was_busy(entered_at, until):
            continue
        there = [
            row
            for row in rows
            if abs(epoch(row["joined_at"]) - entered_at) < COMING_SECONDS
            and (row["queue"] == queue or queue in row["came_through"])
        ]
        if not there:
            yield Violation(at, f"{story.uuid} was sent to {queue}, and has no row there", about)
    for row in rows:
        # A visit that began in the instant of a kill may have no row, and be named all the same.
        before = joined.get(row["previous_visit"], "")
        if before > row["joined_at"]:
            yield Violation(at, f"the visit before {row['id']} is a later one", about)


def _of_callbacks(rows: list[sqlite3.Row], promised_callbacks: set[str], now: float) -> Iterator[Violation]:
    """Who was let go with the promise of a callback has one, which ends in a talk or for a reason."""
    callbacks = [row for row in rows if row["callback"]]
    for uuid in sorted(promised_callbacks - {row["original_uuid"] for row in callbacks}):
        yield Violation(now, f"{uuid} was to be called back, and there is no such call", (uuid,))
    for row in callbacks:
        if row["reason"] not in ENDS_CALLBACK or (row["reason"] in TRIED and not row["offers"]):
            what = f"the callback {row['id']} ended with {row['reason']} after {row['offers']} offers"
            yield Violation(
                epoch(row["ended_at"]) + AFTERWARDS_SECONDS, what, (row["id"], row["original_uuid"])
            )


def _of_talks(story: Story, rows: list[sqlite3.Row], at: float) -> Iterator[Violation]:
    for talk, row in zip(story.talks, rows, strict=True):
        about = (story.uuid, row["id"], talk.leg.agent)
        if row["agent"] != talk.leg.agent:
            what = f"{story.uuid} talked to {talk.leg.agent}, and the row says {row['agent']}"
            yield Violation(at, what, about)
        if row["bridged_at"] is None or abs(epoch(row["bridged_at"]) - talk.began_at) > TALK_SECONDS:
            what = f"the talk of {story.uuid} began at another time than {row['bridged_at']}"
            yield Violation(at, what, about)


def _of_offers(connection: sqlite3.Connection) -> Iterator[Violation]:
    for row in connection.execute("SELECT * FROM offers WHERE ended_at IS NULL"):
        what = f"the offer of {row['call_id']} to {row['agent']} was never ended"
        yield Violation(epoch(row["offered_at"]) + AFTERWARDS_SECONDS, what, (row["call_id"], row["agent"]))


def _of_spans(connection: sqlite3.Connection) -> Iterator[Violation]:
    """A span ends when the next one begins, or earlier where callctl was away; no two overlap."""
    before: sqlite3.Row | None = None
    for row in connection.execute("SELECT * FROM agent_spans ORDER BY agent, started_at"):
        is_next = before is not None and before["agent"] == row["agent"]
        if before is not None and is_next and (before["ended_at"] or "9999") > row["started_at"]:
            what = f"the spans of {row['agent']} overlap at {row['started_at']}"
            yield Violation(epoch(row["started_at"]), what, (row["agent"],))
        before = row
