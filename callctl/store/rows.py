"""Turns what happened into rows: the columns of every kind of fact, and the SQL that writes them.

A fact is a whole row under its own key, so it is written with an upsert, and writing it twice changes
nothing. What is derived (the wait, the talk, the ring) is derived here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
from attrs import frozen

from callctl.clock import iso_utc
from callctl.model import (
    DEFAULT_ACCOUNT,
    AgentRecord,
    AgentRemoved,
    AgentSpan,
    AgentState,
    AgentStatus,
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    Direction,
    EventRecord,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Outcome,
    PriorityChange,
    QueueRemoved,
    QueueSettings,
    QueueTargets,
    Reason,
    SwitchChange,
    Tier,
    TierRemoved,
    TokenRecord,
)
from callctl.records.caller_identity import person_of

Value = str | int | float | None
Row = Mapping[str, Value]

KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("id",),
    "offers": ("id",),
    "call_events": ("call_id", "at", "event", "detail"),
    "agents": ("name",),
    "tiers": ("queue", "agent"),
    "queues": ("name",),
    "agent_spans": ("agent", "started_at"),
    "decisions": ("id",),
    "queue_targets": ("queue",),
    "tokens": ("jti",),
    "events": ("id",),
}
"""What identifies a row, by table."""


WORDS: Mapping[str, Mapping[str, type[StrEnum]]] = {
    "calls": {
        "direction": Direction,
        "state": CallState,
        "outcome": Outcome,
        "reason": Reason,
        "hung_up_by": HungUpBy,
    },
    "offers": {"result": OfferResult},
    "agents": {"status": AgentStatus, "state": AgentState},
    "agent_spans": {"status": AgentStatus, "state": AgentState},
}
"""The columns that hold one of some words, by table. A column that may be empty holds NULL then."""


class Action(StrEnum):
    """What is done with a row."""

    PUT = "put"
    REMOVE = "remove"


@frozen
class Entry:
    """One row to put into its table, or the columns by which rows are to be removed from it."""

    action: Action
    table: str
    row: Row

    def sql(self) -> str:
        """Return the statement; its parameters are `values`."""
        columns = tuple(self.row)
        return (
            _put_sql(self.table, columns) if self.action is Action.PUT else _remove_sql(self.table, columns)
        )

    def values(self) -> tuple[Value, ...]:
        """Return the parameters of `sql`."""
        return tuple(self.row.values())

    def check(self) -> None:
        """Raise ValueError if a column holds a word that it cannot hold; the tables do not say so."""
        for column, kind in WORDS.get(self.table, {}).items():
            word = self.row.get(column)
            if word is not None and word not in _words(kind):
                raise ValueError(f"{word!r} is no {column} that this callctl knows")


def coalescing_key(fact: Fact, removals: int) -> Hashable | None:
    """Return under which key a later fact makes this one superfluous; None if it must be kept.

    `removals` is how many removals were recorded before: what comes after one replaces nothing from before
    it, as the removal of an agent removes its tiers as well.
    """
    match fact:
        case CallRecord():
            return ("calls", fact.arrival.call)
        case OfferRecord():
            return ("offers", fact.id)
        case AgentSpan():
            return ("agent_spans", fact.agent, fact.started_at)
        case AgentRecord():
            return ("agents", fact.settings.name, removals)
        case Tier():
            return ("tiers", fact.queue, fact.agent, removals)
        case QueueSettings():
            return ("queues", fact.name, removals)
        case QueueTargets():
            return ("queue_targets", fact.queue)
        case TokenRecord():
            return ("tokens", fact.jti)
        case _:
            return None


def entries_of(fact: Fact) -> list[Entry]:
    """Return what is to be done to the database because of `fact`, in order."""
    match fact:
        case AgentRemoved():
            return [
                Entry(Action.REMOVE, "agents", _clean({"name": fact.agent})),
                Entry(Action.REMOVE, "tiers", _clean({"agent": fact.agent})),
            ]
        case QueueRemoved():
            return [Entry(Action.REMOVE, "queues", _clean({"name": fact.queue}))]
        case SwitchChange():
            return []
        case TierRemoved():
            return [Entry(Action.REMOVE, "tiers", _clean({"queue": fact.queue, "agent": fact.agent}))]
        case _:
            table, columns = _COLUMNS[type(fact)]
            return [Entry(Action.PUT, table, _clean(columns(fact)))]


def as_of_now(entry: Entry) -> Entry:
    """Return a row that an older callctl left in the spill, with what this one would have put into it."""
    if entry.table != "calls" or entry.action is not Action.PUT or "account" in entry.row:
        return entry
    added: Row = {
        "account": entry.row.get("account_id") or DEFAULT_ACCOUNT,
        "person": person_of(str(entry.row.get("caller_number", ""))),
    }
    return Entry(entry.action, entry.table, {**entry.row, **added})


SETTLE_DOWNTIME = (
    """
INSERT INTO agent_spans (agent, started_at, ended_at, status, state, reason, call_id)
SELECT agent, max(started_at, :died_at), NULL, status, 'Idle', :reason, '' FROM agent_spans
WHERE ended_at IS NULL AND status <> 'Logged Out' AND state <> 'In a queue call'
ON CONFLICT (agent, started_at) DO UPDATE
  SET state = excluded.state, reason = excluded.reason, call_id = excluded.call_id
""",
    """
UPDATE agent_spans SET ended_at = :died_at
WHERE ended_at IS NULL AND status <> 'Logged Out' AND state <> 'In a queue call' AND started_at < :died_at
""",
)
"""While no callctl ran, nobody was available, at work or on a break as far as it is concerned.

A talk goes on without it, and nobody who is logged out comes to any time.
"""

CLOSE_EARLIER_SPANS = """
UPDATE agent_spans
SET ended_at = (SELECT min(later.started_at) FROM agent_spans AS later
                WHERE later.agent = agent_spans.agent AND later.started_at > agent_spans.started_at)
WHERE agent = ? AND ended_at IS NULL
  AND EXISTS (SELECT 1 FROM agent_spans AS later
              WHERE later.agent = agent_spans.agent AND later.started_at > agent_spans.started_at)
"""
"""A crash leaves an agent's last span open: it ended when the next one began."""


@cache
def _words(kind: type[StrEnum]) -> frozenset[str]:
    return frozenset(member.value for member in kind)


@cache
def _put_sql(table: str, columns: tuple[str, ...]) -> str:
    key = KEYS[table]
    # An event is never written otherwise than it was told.
    changes = (
        ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
        if table != "events"
        else ""
    )
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT ({', '.join(key)}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
    )


@cache
def _remove_sql(table: str, columns: tuple[str, ...]) -> str:
    return f"DELETE FROM {table} WHERE " + " AND ".join(f"{name} = ?" for name in columns)


def _call(fact: CallRecord) -> dict[str, Value]:
    arrival = fact.arrival
    wait_until = fact.ended_at if fact.bridged_at is None else fact.bridged_at
    talk_seconds = None
    if fact.bridged_at is not None and fact.ended_at is not None:
        talk_seconds = _duration(fact.bridged_at + fact.hold_seconds, fact.ended_at)
    return {
        "id": arrival.call,
        "uuid": arrival.uuid,
        "original_uuid": arrival.original_uuid,
        "switch": arrival.switch,
        "account": arrival.account,
        "account_id": arrival.account_id,
        "widget_id": arrival.widget_id,
        "call_type": arrival.call_type,
        "source": arrival.source,
        "direction": str(arrival.direction),
        "queue": arrival.queue,
        "dialled_number": arrival.dialled_number,
        "caller_number": arrival.caller_number,
        "person": person_of(arrival.caller_number),
        "caller_name": arrival.caller_name,
        "lead_number": arrival.lead_number,
        "base_score": arrival.base_score,
        "skills": _json(arrival.skills),
        "variables": _json(arrival.variables),
        "moh_sound": arrival.moh_sound,
        "exit_keys": arrival.exit_keys,
        "cid_name_prefix": arrival.cid_name_prefix,
        "preferred_agent": arrival.preferred_agent,
        "came_through": _json(arrival.came_through),
        "callback": int(arrival.callback),
        "state": str(fact.state),
        "outcome": _word(fact.outcome),
        "reason": _word(fact.reason),
        "target": fact.target,
        "hung_up_by": _word(fact.hung_up_by),
        "hangup_cause": fact.hangup_cause,
        "agent": fact.agent,
        "agent_uuid": fact.agent_uuid,
        "arrived_at": _time(arrival.arrived_at),
        "joined_at": _time(arrival.joined_at),
        "place_since": _time(arrival.place_since),
        "answered_at": _time(fact.answered_at),
        "bridged_at": _time(fact.bridged_at),
        "ended_at": _time(fact.ended_at),
        "wait_seconds": _duration(arrival.joined_at, wait_until),
        "talk_seconds": talk_seconds,
        "hold_seconds": round(fact.hold_seconds, 3),
        "offers": fact.offers,
        "position_at_entry": fact.position_at_entry,
        "resumes": arrival.resumes,
        "previous_visit": fact.previous_visit,
        "transferred_by": fact.transferred_by,
        "transferred_to": fact.transferred_to,
        "recording": fact.recording,
        "disposition": fact.disposition,
        "note": fact.note,
    }


def _offer(fact: OfferRecord) -> dict[str, Value]:
    return {
        "id": fact.id,
        "call_id": fact.call,
        "agent": fact.agent,
        "leg_uuid": fact.leg_uuid,
        "offered_at": _time(fact.offered_at),
        "answered_at": _time(fact.answered_at),
        "ended_at": _time(fact.ended_at),
        "ring_seconds": _duration(fact.offered_at, fact.ended_at),
        "result": str(fact.result),
        "cause": fact.cause,
    }


def _agent(fact: AgentRecord) -> dict[str, Value]:
    settings = fact.settings
    return {
        "name": settings.name,
        "account": settings.account,
        "display_name": settings.display_name,
        "contact": settings.contact,
        "contacts": _json(settings.contacts),
        "max_no_answer": settings.max_no_answer,
        "wrap_up_time": settings.wrap_up_time,
        "reject_delay_time": settings.reject_delay_time,
        "busy_delay_time": settings.busy_delay_time,
        "no_answer_delay_time": settings.no_answer_delay_time,
        "skills": _json(settings.skills),
        "status": str(fact.status),
        "state": str(fact.state),
        "reason": fact.reason,
        "misses": fact.misses,
        "calls_answered": fact.calls_answered,
        "talk_seconds": round(fact.talk_seconds, 3),
        "last_offered_at": _time(fact.last_offered_at),
        "last_call_ended_at": _time(fact.last_call_ended_at),
        "status_until": _time(fact.status_until),
    }


def _tier(fact: Tier) -> dict[str, Value]:
    return {"queue": fact.queue, "agent": fact.agent, "level": fact.level, "position": fact.position}


def _queue(fact: QueueSettings) -> dict[str, Value]:
    return {"name": fact.name, "account": fact.account, "settings": msgspec.json.encode(fact).decode()}


def _span(fact: AgentSpan) -> dict[str, Value]:
    return {
        "agent": fact.agent,
        "started_at": _time(fact.started_at),
        "ended_at": _time(fact.ended_at),
        "status": str(fact.status),
        "state": str(fact.state),
        "reason": fact.reason,
        "call_id": fact.call,
    }


def _decision(fact: Decision) -> dict[str, Value]:
    return {
        "id": fact.id,
        "at": _time(fact.at),
        "call_id": fact.call,
        "queue": fact.queue,
        "strategy": str(fact.strategy),
        "chosen": _json(fact.chosen),
        "ranking": _json(fact.order),
        "passed_over": _json({passed.agent: passed.why for passed in fact.passed_over}),
    }


def _event(fact: CallEvent) -> dict[str, Value]:
    return {"call_id": fact.call, "at": _time(fact.at), "event": str(fact.event), "detail": str(fact.detail)}


def _priority(fact: PriorityChange) -> dict[str, Value]:
    detail = f"base score {fact.after:g}"
    return {"call_id": fact.call, "at": _time(fact.at), "event": "priority-changed", "detail": detail}


def _told(fact: EventRecord) -> dict[str, Value]:
    try:
        data = msgspec.json.encode(fact.data).decode()
    except UnicodeEncodeError:
        # What a switch sent as text, and is none.
        data = _TO_JSON(msgspec.to_builtins(fact.data)).encode("utf-8", "replace").decode()
    return {
        "id": fact.id,
        "type": fact.type,
        "at": _time(fact.at),
        "account": fact.account,
        "call_id": fact.call,
        "queue": fact.queue,
        "agent": fact.agent,
        "data": data,
    }


def _targets(fact: QueueTargets) -> dict[str, Value]:
    return {
        "queue": fact.queue,
        "service_level_seconds": fact.service_level_seconds,
        "short_abandon_seconds": fact.short_abandon_seconds,
    }


def _token(fact: TokenRecord) -> dict[str, Value]:
    return {
        "jti": fact.jti,
        "subject": fact.subject,
        "account": fact.account,
        "scope": fact.scope,
        "agent": fact.agent,
        "created_at": _time(fact.created_at),
        "expires_at": _time(fact.expires_at),
        "revoked_at": _time(fact.revoked_at),
    }


_COLUMNS: Mapping[type, tuple[str, Callable[[Any], dict[str, Value]]]] = {
    CallRecord: ("calls", _call),
    OfferRecord: ("offers", _offer),
    CallEvent: ("call_events", _event),
    AgentRecord: ("agents", _agent),
    Tier: ("tiers", _tier),
    QueueSettings: ("queues", _queue),
    AgentSpan: ("agent_spans", _span),
    Decision: ("decisions", _decision),
    QueueTargets: ("queue_targets", _targets),
    TokenRecord: ("tokens", _token),
    PriorityChange: ("call_events", _priority),
    EventRecord: ("events", _told),
}
"""The table of each kind of fact that is a row, and what makes its columns."""


def _time(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)


def _duration(start: float, end: float | None) -> float | None:
    """Return a duration in seconds. A place that was kept may have begun after what a switch reports."""
    return None if end is None else max(0.0, round(end - start, 3))


_TO_JSON = json.JSONEncoder(ensure_ascii=False).encode


def _json(value: Mapping[str, Value] | Sequence[str]) -> str:
    if isinstance(value, Mapping):
        return _TO_JSON(dict(value)) if value else "{}"
    return _TO_JSON(list(value)) if value else "[]"


def _clean(row: dict[str, Value]) -> Row:
    """Make every text of the row fit for UTF-8 and for the sqlite3 shell, which stops at a NUL."""
    if not "".join([value for value in row.values() if isinstance(value, str)]).isprintable():
        for name, value in row.items():
            if isinstance(value, str) and not value.isprintable():
                row[name] = value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return row


def _word(value: StrEnum | None) -> str | None:
    # A plain str: SQLite takes an enum's member as well, but five times slower, and the spill's JSON should
    # not depend on it.
    return None if value is None else str(value)
