"""Turns what happened into rows: the columns of every kind of fact, and the SQL that writes them.

A fact is a whole row under its own key, so it is written with an upsert, and writing it twice changes
nothing. What is derived (the wait, the talk, the ring) is derived here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from functools import cache

from attrs import frozen

from callctl.clock import iso_utc
from callctl.model import (
    AgentRecord,
    AgentRemoved,
    AgentSpan,
    CallEvent,
    CallRecord,
    Decision,
    Fact,
    OfferRecord,
    QueueTargets,
    Tier,
    TierRemoved,
)

Value = str | int | float | None
Row = Mapping[str, Value]

KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("id",),
    "offers": ("id",),
    "call_events": ("call_id", "at", "event", "detail"),
    "agents": ("name",),
    "tiers": ("queue", "agent"),
    "agent_spans": ("agent", "started_at"),
    "decisions": ("id",),
    "queue_targets": ("queue",),
}
"""What identifies a row, by table."""


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
        """Return the statement, with the columns' names as parameters."""
        columns = tuple(self.row)
        return (
            _put_sql(self.table, columns) if self.action is Action.PUT else _remove_sql(self.table, columns)
        )


def coalescing_key(fact: Fact) -> Hashable | None:
    """Return under which key a later fact makes this one superfluous; None if it must be kept.

    Agents and tiers are kept in their order, as the removal of an agent removes its tiers as well.
    """
    match fact:
        case CallRecord():
            return ("calls", fact.arrival.call)
        case OfferRecord():
            return ("offers", fact.id)
        case AgentSpan():
            return ("agent_spans", fact.agent, fact.started_at)
        case QueueTargets():
            return ("queue_targets", fact.queue)
        case CallEvent() | Decision() | AgentRecord() | AgentRemoved() | Tier() | TierRemoved():
            return None


def entries_of(fact: Fact) -> list[Entry]:
    """Return what is to be done to the database because of `fact`, in order."""
    match fact:
        case CallRecord():
            return [Entry(Action.PUT, "calls", _call(fact))]
        case OfferRecord():
            return [Entry(Action.PUT, "offers", _offer(fact))]
        case CallEvent():
            event = {"call_id": fact.call, "at": _time(fact.at), "event": fact.event, "detail": fact.detail}
            return [Entry(Action.PUT, "call_events", _clean(event))]
        case AgentRecord():
            return [Entry(Action.PUT, "agents", _agent(fact))]
        case AgentRemoved():
            return [
                Entry(Action.REMOVE, "agents", _clean({"name": fact.agent})),
                Entry(Action.REMOVE, "tiers", _clean({"agent": fact.agent})),
            ]
        case Tier():
            return [Entry(Action.PUT, "tiers", _tier(fact))]
        case TierRemoved():
            return [Entry(Action.REMOVE, "tiers", _clean({"queue": fact.queue, "agent": fact.agent}))]
        case AgentSpan():
            return [Entry(Action.PUT, "agent_spans", _span(fact))]
        case Decision():
            return [Entry(Action.PUT, "decisions", _decision(fact))]
        case QueueTargets():
            targets: dict[str, Value] = {
                "queue": fact.queue,
                "service_level_seconds": fact.service_level_seconds,
                "short_abandon_seconds": fact.short_abandon_seconds,
            }
            return [Entry(Action.PUT, "queue_targets", _clean(targets))]


CLOSE_EARLIER_SPANS = """
UPDATE agent_spans
SET ended_at = (SELECT min(later.started_at) FROM agent_spans AS later
                WHERE later.agent = agent_spans.agent AND later.started_at > agent_spans.started_at)
WHERE agent = :agent AND ended_at IS NULL
  AND EXISTS (SELECT 1 FROM agent_spans AS later
              WHERE later.agent = agent_spans.agent AND later.started_at > agent_spans.started_at)
"""
"""A crash leaves an agent's last span open: it ended when the next one began."""


@cache
def _put_sql(table: str, columns: tuple[str, ...]) -> str:
    key = KEYS[table]
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)}) "
        f"ON CONFLICT ({', '.join(key)}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
    )


@cache
def _remove_sql(table: str, columns: tuple[str, ...]) -> str:
    return f"DELETE FROM {table} WHERE " + " AND ".join(f"{name} = :{name}" for name in columns)


def _call(fact: CallRecord) -> Row:
    arrival = fact.arrival
    wait_until = fact.ended_at if fact.bridged_at is None else fact.bridged_at
    talk_seconds = None
    if fact.bridged_at is not None and fact.ended_at is not None:
        talk_seconds = _duration(fact.bridged_at + fact.hold_seconds, fact.ended_at)
    return _clean(
        {
            "id": arrival.call,
            "uuid": arrival.uuid,
            "original_uuid": arrival.original_uuid,
            "switch": arrival.switch,
            "account_id": arrival.account_id,
            "widget_id": arrival.widget_id,
            "call_type": arrival.call_type,
            "source": arrival.source,
            "queue": arrival.queue,
            "caller_number": arrival.caller_number,
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
            "state": fact.state,
            "outcome": fact.outcome,
            "reason": fact.reason,
            "hung_up_by": fact.hung_up_by,
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
        }
    )


def _offer(fact: OfferRecord) -> Row:
    return _clean(
        {
            "id": fact.id,
            "call_id": fact.call,
            "agent": fact.agent,
            "leg_uuid": fact.leg_uuid,
            "offered_at": _time(fact.offered_at),
            "answered_at": _time(fact.answered_at),
            "ended_at": _time(fact.ended_at),
            "ring_seconds": _duration(fact.offered_at, fact.ended_at),
            "result": fact.result,
            "cause": fact.cause,
        }
    )


def _agent(fact: AgentRecord) -> Row:
    settings = fact.settings
    return _clean(
        {
            "name": settings.name,
            "contact": settings.contact,
            "contacts": _json(settings.contacts),
            "max_no_answer": settings.max_no_answer,
            "wrap_up_time": settings.wrap_up_time,
            "reject_delay_time": settings.reject_delay_time,
            "busy_delay_time": settings.busy_delay_time,
            "no_answer_delay_time": settings.no_answer_delay_time,
            "skills": _json(settings.skills),
            "status": fact.status,
            "state": fact.state,
            "reason": fact.reason,
            "misses": fact.misses,
            "calls_answered": fact.calls_answered,
            "talk_seconds": round(fact.talk_seconds, 3),
            "last_offered_at": _time(fact.last_offered_at),
            "last_call_ended_at": _time(fact.last_call_ended_at),
            "status_until": _time(fact.status_until),
        }
    )


def _tier(fact: Tier) -> Row:
    return _clean({"queue": fact.queue, "agent": fact.agent, "level": fact.level, "position": fact.position})


def _span(fact: AgentSpan) -> Row:
    return _clean(
        {
            "agent": fact.agent,
            "started_at": _time(fact.started_at),
            "ended_at": _time(fact.ended_at),
            "status": fact.status,
            "state": fact.state,
            "reason": fact.reason,
            "call_id": fact.call,
        }
    )


def _decision(fact: Decision) -> Row:
    return _clean(
        {
            "id": fact.id,
            "at": _time(fact.at),
            "call_id": fact.call,
            "queue": fact.queue,
            "strategy": fact.strategy,
            "chosen": _json(fact.chosen),
            "ranking": _json(fact.order),
            "passed_over": _json({passed.agent: passed.why for passed in fact.passed_over}),
        }
    )


def _time(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)


def _duration(start: float, end: float | None) -> float | None:
    """Return a duration in seconds. A place that was kept may have begun after what a switch reports."""
    return None if end is None else max(0.0, round(end - start, 3))


def _json(value: Mapping[str, Value] | Sequence[str]) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else list(value), ensure_ascii=False)


def _clean(row: Row) -> Row:
    """Return the row with every text fit for UTF-8 and for the sqlite3 shell, which stops at a NUL."""
    return {name: _text(value) if isinstance(value, str) else value for name, value in row.items()}


def _text(value: str) -> str:
    # A plain str: SQLite takes an enum's member as well, but the spill's JSON should not depend on it.
    text = str(value)
    if not text.isprintable():
        text = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return text
