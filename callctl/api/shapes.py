"""The records that answers consist of: the names of the database's columns, UTC text, durations in seconds.

Each is a `msgspec.Struct`, which is quickly made and encoded. The OpenAPI document describes these very
records. A field is only ever added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import attrs
import msgspec
from starlette.responses import Response

from callctl.acd.views import AgentView, MemberView, QueueView
from callctl.api.access import Principal
from callctl.clock import iso_utc
from callctl.model import (
    AgentSettings,
    AgentState,
    AgentStatus,
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    Direction,
    HungUpBy,
    MemberState,
    OfferRecord,
    OfferResult,
    Outcome,
    QueueSettings,
    Reason,
    Scope,
    Strategy,
    Tier,
    TokenRecord,
)
from callctl.store.rows import entries_of

JSON_COLUMNS = frozenset({"skills", "variables", "came_through"})
"""Columns that hold JSON as text in the database, and stand here as what they are."""


class Answer(Response):
    """An answer in JSON, made of one record. While it is encoded no call is served, so msgspec does it."""

    media_type = "application/json"

    def __init__(
        self,
        record: msgspec.Struct,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`record` is of the type that the table of operations names for this status."""
        self.record_type = type(record)
        super().__init__(msgspec.json.encode(record), status.value, headers)


class Shape(msgspec.Struct):
    """The base of all records of answers."""


class Problem(Shape):
    """What was wrong, as RFC 9457 has it: `detail` says it in words, `instance` is the path.

    `request_id` names the request in the log, where it has a name.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | msgspec.UnsetType = msgspec.UNSET


class TierPlace(Shape):
    """A place in a queue."""

    level: int
    position: int


class AgentShape(Shape):
    """An agent: the settings, and how it stands."""

    name: str
    account: str
    display_name: str
    contact: str
    contacts: Mapping[str, str]
    max_no_answer: int
    wrap_up_time: float
    reject_delay_time: float
    busy_delay_time: float
    no_answer_delay_time: float
    skills: Mapping[str, int]
    status: AgentStatus
    state: AgentState
    reason: str
    status_until: str | None
    since: str
    call: str
    misses: int
    calls_answered: int
    talk_seconds: float
    last_offered_at: str | None
    last_call_ended_at: str | None
    wrap_up_until: str | None
    registered: bool | None
    external_call: bool
    why_not_free: str
    tiers: Mapping[str, TierPlace]


class AgentList(Shape):
    """Agents, by name."""

    agents: Sequence[AgentShape]


class TierShape(Shape):
    """An agent's place in a queue."""

    queue: str
    agent: str
    level: int
    position: int


class TierList(Shape):
    """Who serves a queue, by level and position."""

    tiers: Sequence[TierShape]


class MemberShape(Shape):
    """A waiting caller's place."""

    call: str
    uuid: str
    caller_number: str
    caller_name: str
    state: MemberState
    position: int
    base_score: float
    score: float
    waited_seconds: float
    offered_to: Sequence[str]


class QueueShape(Shape):
    """A queue in numbers; `strategy` is None for one that is not configured any more."""

    name: str
    account: str
    strategy: Strategy | None
    waiting: int
    trying: int
    callbacks: int
    longest_wait_seconds: float
    expected_wait_seconds: float | None
    agents: Mapping[AgentState, int]
    present: int
    free: int
    agentless_since: str | None
    is_open: bool
    is_removed: bool


class QueueList(Shape):
    """All queues."""

    queues: Sequence[QueueShape]


class QueueDetail(QueueShape):
    """A queue with its parameters, who waits in it, and who serves it."""

    settings: QueueSettings | None
    members: Sequence[MemberShape]
    serving: Sequence[AgentShape]


class CallShape(Shape):
    """A visit of a call to a queue, as its row in `calls` says; `place` is that of one who waits."""

    id: str
    uuid: str
    original_uuid: str
    switch: str
    account: str
    account_id: str
    widget_id: str
    call_type: str
    source: str
    direction: Direction
    queue: str
    dialled_number: str
    caller_number: str
    person: str
    caller_name: str
    lead_number: str
    base_score: float
    skills: Mapping[str, int]
    variables: Mapping[str, str]
    moh_sound: str
    exit_keys: str
    cid_name_prefix: str
    preferred_agent: str
    came_through: Sequence[str]
    callback: bool
    state: CallState
    outcome: Outcome | None
    reason: Reason | None
    target: str
    hung_up_by: HungUpBy | None
    hangup_cause: str
    agent: str
    agent_uuid: str
    arrived_at: str
    joined_at: str
    place_since: str | None
    answered_at: str | None
    bridged_at: str | None
    ended_at: str | None
    wait_seconds: float | None
    talk_seconds: float | None
    hold_seconds: float
    offers: int
    position_at_entry: int
    resumes: int
    previous_visit: str
    transferred_by: str
    transferred_to: str
    recording: str
    disposition: str
    note: str
    is_live: bool
    place: MemberShape | None


class CallList(Shape):
    """A page of calls, newest first, and where the next one begins; "" if there is none."""

    calls: Sequence[CallShape]
    next_cursor: str


class OfferShape(Shape):
    """One ring of one agent, as its row in `offers` says."""

    id: str
    call_id: str
    agent: str
    leg_uuid: str
    offered_at: str
    answered_at: str | None
    ended_at: str | None
    ring_seconds: float | None
    result: OfferResult
    cause: str


class DecisionShape(Shape):
    """Who was chosen for a call, and of each of the others why not."""

    strategy: Strategy
    chosen: Sequence[str]
    order: Sequence[str]
    passed_over: Mapping[str, str]


class StepShape(Shape):
    """A step of a call's timeline: what happened, or (`decision`) who was chosen and why not the others."""

    at: str
    event: str
    detail: str
    strategy: Strategy | msgspec.UnsetType = msgspec.UNSET
    chosen: Sequence[str] | msgspec.UnsetType = msgspec.UNSET
    order: Sequence[str] | msgspec.UnsetType = msgspec.UNSET
    passed_over: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET


class VisitShape(CallShape):
    """A visit with all that happened in it; `explanation` is there for one who waits: why nobody is rung."""

    rings: Sequence[OfferShape]
    steps: Sequence[StepShape]
    explanation: DecisionShape | None


class CallDetail(Shape):
    """A call with each of its visits to a queue."""

    uuid: str
    visits: Sequence[VisitShape]


class OrderTaken(Shape):
    """The order is given; what becomes of it is for the switch, and for GET to show."""

    uuid: str


class TokenShape(Shape):
    """A token, as far as it is known: not the token itself. One that another issuer made has no subject."""

    jti: str
    subject: str
    account: str
    scope: str
    agent: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class TokenList(Shape):
    """Tokens, newest first."""

    tokens: Sequence[TokenShape]


class MadeToken(Shape):
    """A new token, which is shown this once."""

    token: str
    about: TokenShape


class Me(Shape):
    """Who asks, and what that one may do."""

    subject: str
    account: str
    scopes: Sequence[Scope]
    agent: str
    expires_at: str | None


class LoggedIn(Shape):
    """A login: `csrf_token` is to be sent as the header X-CSRF-Token with each change."""

    csrf_token: str
    me: Me


class Alive(Shape):
    """The process works; an answer is the proof."""

    alive: bool


class Ready(Shape):
    """Whether calls should be sent here, and if not, why not; and what else is wrong, if anything is."""

    ready: bool
    reasons: Sequence[str]
    warnings: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


_AGENT_SETTINGS = tuple(attribute.name for attribute in attrs.fields(AgentSettings))


def agent_shape(agent: AgentView) -> AgentShape:
    """Return an agent: the settings, and how it stands."""
    settings = agent.settings
    return AgentShape(
        **{name: getattr(settings, name) for name in _AGENT_SETTINGS},
        status=agent.status,
        state=agent.state,
        reason=agent.reason,
        status_until=_time(agent.status_until),
        since=iso_utc(agent.since),
        call=agent.call,
        misses=agent.misses,
        calls_answered=agent.calls_answered,
        talk_seconds=seconds(agent.talk_seconds),
        last_offered_at=_time(agent.last_offered_at),
        last_call_ended_at=_time(agent.last_call_ended_at),
        wrap_up_until=_time(agent.wrap_up_until),
        registered=agent.registered,
        external_call=agent.external_call,
        why_not_free=agent.why_not_free,
        tiers={
            queue: TierPlace(level=level, position=position)
            for queue, (level, position) in agent.tiers.items()
        },
    )


def tier_shape(tier: Tier) -> TierShape:
    """Return an agent's place in a queue."""
    return TierShape(queue=tier.queue, agent=tier.agent, level=tier.level, position=tier.position)


def queue_shape(queue: QueueView, settings: QueueSettings | None) -> QueueShape:
    """Return a queue in numbers; `settings` are None for one that is not configured any more."""
    return QueueShape(**_queue_fields(queue, settings))


def queue_detail(
    queue: QueueView,
    settings: QueueSettings | None,
    members: Sequence[MemberView],
    serving: Sequence[AgentView],
) -> QueueDetail:
    """Return a queue with its parameters, who waits in it, and who serves it."""
    return QueueDetail(
        **_queue_fields(queue, settings),
        settings=settings,
        members=[member_shape(member) for member in members],
        serving=[agent_shape(agent) for agent in serving],
    )


def _queue_fields(queue: QueueView, settings: QueueSettings | None) -> dict[str, Any]:
    return {
        "name": queue.name,
        "account": queue.account,
        "strategy": None if settings is None else settings.strategy,
        "waiting": queue.waiting,
        "trying": queue.trying,
        "callbacks": queue.callbacks,
        "longest_wait_seconds": seconds(queue.longest_wait_seconds),
        "expected_wait_seconds": _maybe_seconds(queue.expected_wait_seconds),
        "agents": queue.agents,
        "present": queue.present,
        "free": queue.free,
        "agentless_since": _time(queue.agentless_since),
        "is_open": queue.is_open,
        "is_removed": queue.is_removed,
    }


def member_shape(member: MemberView) -> MemberShape:
    """Return a waiting caller's place."""
    return MemberShape(
        call=member.call,
        uuid=member.arrival.uuid,
        caller_number=member.arrival.caller_number,
        caller_name=member.arrival.caller_name,
        state=member.state,
        position=member.position,
        base_score=member.base_score,
        score=seconds(member.score),
        waited_seconds=seconds(member.waited_seconds),
        offered_to=member.agents,
    )


def call_shape(record: CallRecord, place: MemberView | None, *, is_live: bool) -> CallShape:
    """Return a call as its row in `calls` says, and the `place` of one that waits."""
    return CallShape(**_call_fields(record, place, is_live))


def visit_shape(
    record: CallRecord,
    place: MemberView | None,
    *,
    is_live: bool,
    rings: Sequence[OfferRecord],
    steps: Sequence[CallEvent | Decision],
    explanation: DecisionShape | None,
) -> VisitShape:
    """Return a visit with all that happened in it."""
    return VisitShape(
        **_call_fields(record, place, is_live),
        rings=[offer_shape(offer) for offer in rings],
        steps=[step_shape(step) for step in steps],
        explanation=explanation,
    )


def _call_fields(record: CallRecord, place: MemberView | None, is_live: bool) -> dict[str, Any]:
    [entry] = entries_of(record)
    row: dict[str, Any] = {
        name: json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in entry.row.items()
    }
    row["callback"] = bool(row["callback"])
    shown = {name: row[name] for name in CallShape.__struct_fields__ if name in row}
    return {**shown, "is_live": is_live, "place": None if place is None else member_shape(place)}


def offer_shape(offer: OfferRecord) -> OfferShape:
    """Return one ring of one agent, as its row in `offers` says."""
    [entry] = entries_of(offer)
    row: Mapping[str, Any] = entry.row
    return OfferShape(**row)


def step_shape(step: CallEvent | Decision) -> StepShape:
    """Return a step of a call's timeline: what happened, or who was chosen and why not the others."""
    if isinstance(step, CallEvent):
        return StepShape(at=iso_utc(step.at), event=step.event, detail=step.detail)
    return StepShape(
        at=iso_utc(step.at),
        event="decision",
        detail="",
        strategy=step.strategy,
        chosen=step.chosen,
        order=step.order,
        passed_over={each.agent: each.why for each in step.passed_over},
    )


def decision_shape(decision: Decision) -> DecisionShape:
    """Return who was chosen for a call, and of each of the others why not."""
    return DecisionShape(
        strategy=decision.strategy,
        chosen=decision.chosen,
        order=decision.order,
        passed_over={each.agent: each.why for each in decision.passed_over},
    )


def token_shape(token: TokenRecord) -> TokenShape:
    """Return a token, as far as it is known."""
    return TokenShape(
        jti=token.jti,
        subject=token.subject,
        account=token.account,
        scope=token.scope,
        agent=token.agent,
        created_at=iso_utc(token.created_at),
        expires_at=_time(token.expires_at),
        revoked_at=_time(token.revoked_at),
    )


def me_shape(principal: Principal) -> Me:
    """Return who asks."""
    return Me(
        subject=principal.subject,
        account=principal.account,
        scopes=[scope for scope in Scope if scope in principal.scopes],
        agent=principal.agent,
        expires_at=_time(principal.expires_at),
    )


def seconds(value: float) -> float:
    """Return a duration as answers have it, to the millisecond."""
    return round(value, 3)


def _maybe_seconds(value: float | None) -> float | None:
    return None if value is None else seconds(value)


def _time(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)
