"""Reads records back from the rows: what a starting server has to know of the time before.

All functions take a reader's connection (`open_reader`) and raise StoreError when the database cannot be
read. A row that an older callctl wrote in another shape does not exist: a migration has seen to that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from callctl.clock import iso_utc
from callctl.errors import StoreError
from callctl.model import (
    AgentRecord,
    AgentSettings,
    AgentState,
    AgentStatus,
    Arrival,
    CallRecord,
    CallState,
    Direction,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Outcome,
    QueueSettings,
    Reason,
    Tier,
    TokenRecord,
)
from callctl.store.connections import open_reader
from callctl.store.rows import Value

Word = TypeVar("Word", bound=StrEnum)

__all__ = [
    "agent_of",
    "call_of",
    "epoch",
    "load_agents",
    "load_last_talks",
    "load_let_go",
    "load_open_calls",
    "load_open_offers",
    "load_queues",
    "load_tiers",
    "load_tokens",
    "offer_of",
    "open_reader",
    "select",
]


LET_GO_SECONDS = 300.0
"""How long it may take at most until a caller's channel knows that the wait is over."""

LET_GO_JOINED_SECONDS = 900.0
"""How long ago the visit of such a caller may have begun: with 10 calls a second 50 ms of looking."""


LONGEST_VISIT_SECONDS = 14_400.0
"""How long a wait and a talk take together at most, for who is remembered by the talk's end."""


class LastTalk(NamedTuple):
    """Who talked with whom, and until when (epoch seconds)."""

    caller_number: str
    agent: str
    ended_at: float


def load_agents(connection: sqlite3.Connection) -> list[AgentRecord]:
    """Return all agents, by name."""
    return [agent_of(row) for row in select(connection, "SELECT * FROM agents ORDER BY name")]


def load_since(connection: sqlite3.Connection) -> dict[str, str]:
    """Return since when each agent has had its present status and state, as UTC text."""
    rows = select(connection, "SELECT agent, started_at FROM agent_spans WHERE ended_at IS NULL")
    return {row["agent"]: row["started_at"] for row in rows}


def load_tiers(connection: sqlite3.Connection) -> list[Tier]:
    """Return all tiers, by queue, level and position."""
    rows = select(
        connection,
        "SELECT queue, agent, level, position FROM tiers ORDER BY queue, level, position, agent",
    )
    return [
        Tier(queue=row["queue"], agent=row["agent"], level=row["level"], position=row["position"])
        for row in rows
    ]


def load_tokens(connection: sqlite3.Connection) -> list[TokenRecord]:
    """Return all tokens that are known, newest first."""
    rows = select(connection, "SELECT * FROM tokens ORDER BY created_at DESC, jti")
    return [
        TokenRecord(
            jti=row["jti"],
            subject=row["subject"],
            account=row["account"],
            scope=row["scope"],
            agent=row["agent"],
            created_at=epoch(row["created_at"]),
            expires_at=_epoch(row["expires_at"]),
            revoked_at=_epoch(row["revoked_at"]),
        )
        for row in rows
    ]


def load_queues(connection: sqlite3.Connection) -> list[QueueSettings]:
    """Return the queues that were made by command or by the HTTP API, by name."""
    rows = select(connection, "SELECT name, settings FROM queues ORDER BY name")
    try:
        return [msgspec.json.decode(row["settings"], type=QueueSettings) for row in rows]
    except msgspec.DecodeError as error:
        raise StoreError(f"the settings of a queue in the database cannot be read: {error}") from error


def load_open_calls(connection: sqlite3.Connection) -> list[CallRecord]:
    """Return the calls that have not ended, as far as is written, in the order of joining."""
    rows = select(connection, "SELECT * FROM calls WHERE ended_at IS NULL ORDER BY joined_at, id")
    return [call_of(row) for row in rows]


def load_told_calls(connection: sqlite3.Connection) -> list[CallRecord]:
    """Return the calls of which events may follow: those that have not ended, and those of open offers."""
    rows = select(
        connection,
        "SELECT * FROM calls WHERE ended_at IS NULL"
        " UNION SELECT * FROM calls WHERE id IN (SELECT call_id FROM offers WHERE ended_at IS NULL)",
    )
    return [call_of(row) for row in rows]


def load_let_go(connection: sqlite3.Connection, now: float) -> list[CallRecord]:
    """Return the last visits of callers who were given back to the dialplan a short while before `now`.

    Of visits that began long ago nothing is said: the look at them would take too long.
    """
    rows = select(
        connection,
        "SELECT * FROM calls WHERE joined_at >= ? AND ended_at >= ? AND hung_up_by IS NULL"
        " AND bridged_at IS NULL AND callback = 0 ORDER BY joined_at, json_array_length(came_through), id",
        (iso_utc(now - LET_GO_JOINED_SECONDS), iso_utc(now - LET_GO_SECONDS)),
    )
    return list({row["uuid"]: call_of(row) for row in rows}.values())


def load_open_offers(connection: sqlite3.Connection) -> list[OfferRecord]:
    """Return the offers that have not ended, as far as is written, oldest first."""
    rows = select(connection, "SELECT * FROM offers WHERE ended_at IS NULL ORDER BY offered_at, id")
    return [offer_of(row) for row in rows]


def load_last_talks(connection: sqlite3.Connection, since: float, limit: int) -> list[LastTalk]:
    """Return the talks that ended after `since` (epoch seconds), at most the last `limit`, oldest first.

    Not those of visits that began long before it: the look at them would take too long.
    """
    rows = select(
        connection,
        "SELECT caller_number, agent, ended_at FROM calls WHERE joined_at >= ? AND ended_at >= ?"
        " AND bridged_at IS NOT NULL AND agent <> '' AND person <> '' ORDER BY joined_at DESC LIMIT ?",
        (iso_utc(since - LONGEST_VISIT_SECONDS), iso_utc(since), limit),
    )
    talks = [LastTalk(row["caller_number"], row["agent"], epoch(row["ended_at"])) for row in rows]
    return sorted(talks, key=lambda talk: talk.ended_at)


def select(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Value] | Mapping[str, Value] = ()
) -> list[sqlite3.Row]:
    """Return all rows of a query; raises StoreError when the database cannot be read."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be read: {error}") from error


def epoch(text: str) -> float:
    """Return a time of the database, `2026-11-22T15:50:01.123Z`, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _epoch(text: str | None) -> float | None:
    return None if text is None else epoch(text)


def _word(kind: type[Word], row: sqlite3.Row, column: str) -> Word:
    try:
        return kind(row[column])
    except ValueError as error:
        key = row["name" if "name" in row.keys() else "id"]  # noqa: SIM118 - a row is no mapping
        raise StoreError(
            f"the database says {row[column]!r} as {column} of {key}, which this callctl does not know; "
            "was it changed by hand, or written by another version?"
        ) from error


def agent_of(row: sqlite3.Row) -> AgentRecord:
    """Return the record of a row of `agents`."""
    settings = AgentSettings(
        name=row["name"],
        account=row["account"],
        display_name=row["display_name"],
        contact=row["contact"],
        contacts=json.loads(row["contacts"]),
        max_no_answer=row["max_no_answer"],
        wrap_up_time=row["wrap_up_time"],
        reject_delay_time=row["reject_delay_time"],
        busy_delay_time=row["busy_delay_time"],
        no_answer_delay_time=row["no_answer_delay_time"],
        skills=json.loads(row["skills"]),
    )
    return AgentRecord(
        settings=settings,
        status=_word(AgentStatus, row, "status"),
        state=_word(AgentState, row, "state"),
        reason=row["reason"],
        misses=row["misses"],
        calls_answered=row["calls_answered"],
        talk_seconds=row["talk_seconds"],
        last_offered_at=_epoch(row["last_offered_at"]),
        last_call_ended_at=_epoch(row["last_call_ended_at"]),
        status_until=_epoch(row["status_until"]),
    )


def call_of(row: sqlite3.Row) -> CallRecord:
    """Return the record of a row of `calls`."""
    arrival = Arrival(
        call=row["id"],
        uuid=row["uuid"],
        switch=row["switch"],
        queue=row["queue"],
        arrived_at=epoch(row["arrived_at"]),
        joined_at=epoch(row["joined_at"]),
        original_uuid=row["original_uuid"],
        account=row["account"],
        account_id=row["account_id"],
        widget_id=row["widget_id"],
        call_type=row["call_type"],
        source=row["source"],
        direction=_word(Direction, row, "direction"),
        dialled_number=row["dialled_number"],
        caller_number=row["caller_number"],
        caller_name=row["caller_name"],
        lead_number=row["lead_number"],
        base_score=row["base_score"],
        skills=json.loads(row["skills"]),
        moh_sound=row["moh_sound"],
        exit_keys=row["exit_keys"],
        cid_name_prefix=row["cid_name_prefix"],
        variables=json.loads(row["variables"]),
        resumes=row["resumes"],
        preferred_agent=row["preferred_agent"],
        place_since=_epoch(row["place_since"]),
        came_through=tuple(json.loads(row["came_through"])),
        callback=bool(row["callback"]),
    )
    return CallRecord(
        arrival=arrival,
        state=_word(CallState, row, "state"),
        outcome=None if row["outcome"] is None else _word(Outcome, row, "outcome"),
        reason=None if row["reason"] is None else _word(Reason, row, "reason"),
        target=row["target"],
        hung_up_by=None if row["hung_up_by"] is None else _word(HungUpBy, row, "hung_up_by"),
        hangup_cause=row["hangup_cause"],
        agent=row["agent"],
        agent_uuid=row["agent_uuid"],
        answered_at=_epoch(row["answered_at"]),
        bridged_at=_epoch(row["bridged_at"]),
        ended_at=_epoch(row["ended_at"]),
        hold_seconds=row["hold_seconds"],
        offers=row["offers"],
        position_at_entry=row["position_at_entry"],
        previous_visit=row["previous_visit"],
        transferred_by=row["transferred_by"],
        transferred_to=row["transferred_to"],
        recording=row["recording"],
        disposition=row["disposition"],
        note=row["note"],
    )


def offer_of(row: sqlite3.Row) -> OfferRecord:
    """Return the record of a row of `offers`."""
    return OfferRecord(
        id=row["id"],
        call=row["call_id"],
        agent=row["agent"],
        leg_uuid=row["leg_uuid"],
        offered_at=epoch(row["offered_at"]),
        answered_at=_epoch(row["answered_at"]),
        ended_at=_epoch(row["ended_at"]),
        result=_word(OfferResult, row, "result"),
        cause=row["cause"],
    )
