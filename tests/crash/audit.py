"""The audit: what stands in the database is what the switch saw, and nobody was overtaken.

The order, exactly: whoever has waited longer is offered first. While a caller waits (has joined, is on the
line, rings no agent and talks to none), no agent begins to ring for anybody who joined later, be the caller
led by callctl or on the way back to it. In the database this holds to the millisecond, since callctl decides
at one moment; on the switch two orders may change places on their way, so there a caller counts as waiting
after ORDER_SECONDS of it. Excepted is who joined so shortly before a kill that no row of it was written: it
is known again, with its place, when the dialplan brings it back.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import closing
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

from attrs import frozen

from callctl.model import OUTCOME_OF_REASON, Reason
from callctl.sim.torture.truth import Story
from tests.crash.process import UNWRITTEN_SECONDS
from tests.crash.witness import Ring, Witness

Row = dict[str, Any]

ORDER_SECONDS = 1.0
"""How far apart two orders of one moment may be carried out: after a start all agents ring at once, and on a
machine with other work legs have been seen to begin half a second apart."""

TALK_SECONDS = 2.0
"""How far a row's talk may be from the real one."""


def read(database: Path, sql: str) -> list[Row]:
    """Return the rows of a query on the file, whoever writes it."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def epoch(text: str) -> float:
    """Return a time of the database in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@frozen
class Known:
    """What was known at the kills, by the UUID of the caller's channel, and when callctl was back.

    `first_places` are the times of joining as they were first written, `written_talks` those who talked as
    far as the file said at a kill. `back_after` says when callctl was there, counted from a moment.
    """

    first_places: Mapping[str, str]
    written_talks: Set[str]
    back_after: Callable[[float], float]


def wrongs_of(database: Path, witness: Witness, known: Known) -> Iterator[str]:
    """Yield in words what is wrong, now that everybody is gone."""
    yield from witness.wrongs
    yield from (what for what, _ in witness.truth.wrongs)
    rows = read(database, "SELECT * FROM calls ORDER BY joined_at, id")
    offers = read(database, "SELECT * FROM offers ORDER BY offered_at")
    of_caller = defaultdict(list)
    for row in rows:
        of_caller[row["uuid"]].append(row)
    for uuid, story in witness.stories.items():
        yield from _of_caller(story, of_caller.pop(uuid, []), witness, known)
    yield from (f"a row is about {uuid}, who never called" for uuid in of_caller)
    yield from _of_offers(rows, offers)
    joined = joined_in(database)
    yield from _overtaken_in_the_file(rows, offers, joined, witness)
    yield from _overtaken_on_the_switch(rows, joined, witness)
    open_spans = read(database, "SELECT agent FROM agent_spans WHERE ended_at IS NULL")
    if len(open_spans) != len({span["agent"] for span in open_spans}):
        yield "an agent has two open spans"


def joined_in(database: Path) -> dict[str, float]:
    """Return since when callctl knew of each call, as the timeline in the file says."""
    sql = """SELECT call_id, min(at) AS at FROM call_events
             WHERE event IN ('joined', 'resumed', 'place-kept') GROUP BY call_id"""
    return {row["call_id"]: epoch(row["at"]) for row in read(database, sql)}


def _of_caller(
    story: Story,
    own: list[Row],
    witness: Witness,
    known: Known,
) -> Iterator[str]:
    name, back_after, first_places = story.uuid, known.back_after, known.first_places
    hung_up_waiting = story.ended_by == "caller" and not story.talks
    if len(story.talks) != (0 if hung_up_waiting else 1):
        yield f"{name} talked {len(story.talks)} times and was ended by {story.ended_by or 'nobody'}"
    if not own and hung_up_waiting and not _was_known(story, witness, back_after):
        return
    if len(own) != 1:
        yield f"{name} has {len(own)} rows"
        return
    [row] = own
    possible = {Reason.CALLER_HANGUP if hung_up_waiting else Reason.BRIDGED}
    is_written = name in known.written_talks
    ended_at = story.ended_at or inf
    # Who hangs up in the instant of joining may be gone before anything of the channel is listened to.
    led_at = max((at for at, uuid in witness.sockets if uuid == name), default=0.0)
    was_heard = ended_at > led_at + UNWRITTEN_SECONDS
    if (back_after(ended_at) > ended_at or not was_heard) and not is_written:
        # Nobody was there for the hangup, and no switch tells of those who are gone. The row may say so, but
        # must not take a talk for a caller who gave up, nor the reverse.
        possible.add(Reason.UNSEEN)
    if (row["state"], row["reason"]) not in {("ended", reason) for reason in possible}:
        yield f"{name} is {row['state']}, {row['reason']} instead of {possible}"
    elif row["outcome"] != OUTCOME_OF_REASON[Reason(row["reason"])]:
        yield f"{name} is {row['outcome']} with {row['reason']}"
    if row["joined_at"] != first_places.get(name, row["joined_at"]):
        yield f"{name} joined at {first_places[name]}, and then at {row['joined_at']}"
    if not row["position_at_entry"]:
        yield f"{name} has lost its position at entry after {row['resumes']} resumes"
    if row["ended_at"] is not None and story.talks and row["bridged_at"] is not None:
        yield from _of_talk(story, row, back_after)


def _was_known(story: Story, witness: Witness, back_after: Callable[[float], float]) -> bool:
    """Say whether callctl had this caller for long enough to write it down, and did not die just then."""
    assert story.ended_at is not None
    led_at = [at for at, uuid in witness.sockets if uuid == story.uuid]
    return any(back_after(at) + UNWRITTEN_SECONDS < story.ended_at for at in led_at)


def _of_talk(story: Story, row: Row, back_after: Callable[[float], float]) -> Iterator[str]:
    [talk] = story.talks
    if row["agent"] != talk.leg.agent:
        yield f"{story.uuid} talked to {talk.leg.agent}, and the row says {row['agent']}"
    if abs(epoch(row["bridged_at"]) - talk.began_at) > TALK_SECONDS:
        yield f"the talk of {story.uuid} began {epoch(row['bridged_at']) - talk.began_at:.1f} s off"
    assert talk.ended_at is not None
    # No switch says of a channel that is gone when it went: that it was gone is seen when callctl is back.
    latest = back_after(talk.ended_at)
    if not talk.ended_at - TALK_SECONDS <= epoch(row["ended_at"]) <= latest + TALK_SECONDS:
        yield (
            f"the talk of {story.uuid} ended {epoch(row['ended_at']) - talk.ended_at:.1f} s off,"
            f" of which callctl was away for {latest - talk.ended_at:.1f} s"
        )
    lasted = epoch(row["ended_at"]) - epoch(row["bridged_at"])
    if abs(row["talk_seconds"] - lasted) > 0.01:
        yield f"the talk of {story.uuid} lasted {lasted:.2f} s and not {row['talk_seconds']}"


def _of_offers(rows: list[Row], offers: list[Row]) -> Iterator[str]:
    of_call = defaultdict(list)
    for offer in offers:
        of_call[offer["call_id"]].append(offer)
        if offer["ended_at"] is None or offer["result"] == "ringing":
            yield f"the offer of {offer['call_id']} to {offer['agent']} was never ended"
    for row in rows:
        own = of_call.pop(row["id"], [])
        if row["offers"] != len(own):
            yield f"{row['uuid']} has {row['offers']} offers, and {len(own)} rows say so"
        answered = [offer for offer in own if offer["result"] == "answered"]
        if len(answered) != (row["reason"] == Reason.BRIDGED) and row["reason"] != Reason.UNSEEN:
            yield f"{row['uuid']} ended with {row['reason']}, and was answered {len(answered)} times"
    yield from (f"offers were made for {call}, which has no row" for call in of_call)


def _overtaken_in_the_file(
    rows: list[Row], offers: list[Row], joined: Mapping[str, float], witness: Witness
) -> Iterator[str]:
    by_id = {row["id"]: row for row in rows}
    of_call = defaultdict(list)
    for offer in offers:
        of_call[offer["call_id"]].append(offer)
    for offer in offers:
        at, later = offer["offered_at"], by_id[offer["call_id"]]
        for row in rows:
            if row["joined_at"] >= later["joined_at"]:
                break
            left_at = min(
                epoch(row["bridged_at"] or row["ended_at"]), witness.stories[row["uuid"]].ended_at or inf
            )
            rings = any(
                own["offered_at"] <= at and (own["result"] == "answered" or at <= own["ended_at"])
                for own in of_call[row["id"]]
            )
            if joined[row["id"]] < epoch(at) < left_at and not rings:
                yield f"{row['uuid']} was overtaken by {later['uuid']}, who was offered at {at}"


def _overtaken_on_the_switch(rows: list[Row], joined: Mapping[str, float], witness: Witness) -> Iterator[str]:
    places = {row["uuid"]: row["joined_at"] for row in rows}
    rings: dict[str, list[Ring]] = defaultdict(list)
    for ring in witness.rings.values():
        rings[ring.caller_uuid].append(ring)
    for ring in witness.rings.values():
        start, end = ring.began_at - ORDER_SECONDS, ring.began_at + ORDER_SECONDS
        for row in rows:
            uuid = row["uuid"]
            if row["joined_at"] >= places[ring.caller_uuid]:
                break
            waits = joined[row["id"]] < start and (witness.stories[uuid].ended_at or inf) > end
            if waits and not any(own.began_at < end and own.ended_at > start for own in rings[uuid]):
                yield f"{uuid} was overtaken by {ring.caller_uuid}, for whom {ring.agent} began to ring"
