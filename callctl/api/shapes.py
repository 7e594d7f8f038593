"""Records become JSON: with the names of the database's columns, times as UTC text, durations in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import msgspec
from starlette.responses import JSONResponse

from callctl.acd.views import AgentView, MemberView, QueueView
from callctl.clock import iso_utc
from callctl.model import CallEvent, CallRecord, Decision, OfferRecord, QueueSettings, Tier
from callctl.store.rows import entries_of

Shape = dict[str, object]

JSON_COLUMNS = frozenset({"skills", "variables", "came_through"})
"""Columns that hold JSON as text in the database, and stand here as what they are."""


class Answer(JSONResponse):
    """An answer in JSON. While it is made no call is served, so it is made by the faster library."""

    def render(self, content: object) -> bytes:
        """Return `content` as JSON."""
        return msgspec.json.encode(content)


def agent_shape(agent: AgentView) -> Shape:
    """Return an agent: the settings, and how it stands."""
    settings = attrs.asdict(agent.settings, recurse=False)
    return {
        **{name: dict(value) if isinstance(value, Mapping) else value for name, value in settings.items()},
        "status": agent.status,
        "state": agent.state,
        "reason": agent.reason,
        "status_until": _time(agent.status_until),
        "since": _time(agent.since),
        "call": agent.call,
        "misses": agent.misses,
        "calls_answered": agent.calls_answered,
        "talk_seconds": _seconds(agent.talk_seconds),
        "last_offered_at": _time(agent.last_offered_at),
        "last_call_ended_at": _time(agent.last_call_ended_at),
        "wrap_up_until": _time(agent.wrap_up_until),
        "registered": agent.registered,
        "external_call": agent.external_call,
        "why_not_free": agent.why_not_free,
        "tiers": {
            queue: {"level": level, "position": position} for queue, (level, position) in agent.tiers.items()
        },
    }


def tier_shape(tier: Tier) -> Shape:
    """Return an agent's place in a queue."""
    return {"queue": tier.queue, "agent": tier.agent, "level": tier.level, "position": tier.position}


def queue_shape(queue: QueueView, settings: QueueSettings | None) -> Shape:
    """Return a queue in numbers; `settings` are None for one that is configured no more."""
    return {
        "name": queue.name,
        "strategy": None if settings is None else settings.strategy,
        "waiting": queue.waiting,
        "trying": queue.trying,
        "callbacks": queue.callbacks,
        "longest_wait_seconds": _seconds(queue.longest_wait_seconds),
        "expected_wait_seconds": _seconds(queue.expected_wait_seconds),
        "agents": {state.value: count for state, count in queue.agents.items()},
        "present": queue.present,
        "free": queue.free,
        "agentless_since": _time(queue.agentless_since),
        "is_open": queue.is_open,
        "is_removed": queue.is_removed,
    }


def settings_shape(settings: QueueSettings) -> Shape:
    """Return a queue's parameters, nested records as objects."""
    return attrs.asdict(settings)


def member_shape(member: MemberView) -> Shape:
    """Return a waiting caller's place."""
    return {
        "call": member.call,
        "uuid": member.arrival.uuid,
        "caller_number": member.arrival.caller_number,
        "caller_name": member.arrival.caller_name,
        "state": member.state,
        "position": member.position,
        "base_score": member.base_score,
        "score": _seconds(member.score),
        "waited_seconds": _seconds(member.waited_seconds),
        "offered_to": list(member.agents),
    }


def call_shape(record: CallRecord, place: MemberView | None, *, is_live: bool) -> Shape:
    """Return a call as its row in `calls` says, and the `place` of one that waits."""
    [entry] = entries_of(record)
    row = {
        name: json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in entry.row.items()
    }
    return {**row, "is_live": is_live, "place": None if place is None else member_shape(place)}


def offer_shape(offer: OfferRecord) -> Shape:
    """Return one ring of one agent, as its row in `offers` says."""
    [entry] = entries_of(offer)
    return dict(entry.row)


def step_shape(step: CallEvent | Decision) -> Shape:
    """Return a step of a call's timeline: what happened, or who was chosen and why not the others."""
    if isinstance(step, CallEvent):
        return {"at": iso_utc(step.at), "event": step.event, "detail": step.detail}
    return {"at": iso_utc(step.at), "event": "decision", "detail": "", **decision_shape(step)}


def decision_shape(decision: Decision) -> Shape:
    """Return who was chosen for a call, and of each of the others why not."""
    return {
        "strategy": decision.strategy,
        "chosen": list(decision.chosen),
        "order": list(decision.order),
        "passed_over": {each.agent: each.why for each in decision.passed_over},
    }


def _time(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
