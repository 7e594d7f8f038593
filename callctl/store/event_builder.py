"""Makes events of facts: what changed from one row to the next is what other systems are told.

Pure, and fed with the facts in the order of recording. An event's id follows from what it is about, so that a
fact which is recorded again, after a crash for example, makes no second event. Nothing is read from the prose
of the timeline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import sha1
from typing import Any

from attrs import define, field

from callctl.clock import iso_utc
from callctl.model import (
    DEFAULT_ACCOUNT,
    EVERY_ACCOUNT,
    AgentRecord,
    AgentRemoved,
    AgentSpan,
    AgentState,
    AgentStatus,
    CallRecord,
    CallState,
    Decision,
    EventRecord,
    Fact,
    OfferRecord,
    OfferResult,
    Outcome,
    PriorityChange,
    QueueSettings,
    QueueTargets,
    Strategy,
    SwitchChange,
)
from callctl.store import event_types as et

REMEMBERED_CALLS = 1000
"""How many calls that have ended are known still: what belongs to one comes within the same second."""

_OFFER_ENDS = {
    OfferResult.ANSWERED: et.OfferAccepted,
    OfferResult.BUSY: et.OfferRejected,
    OfferResult.REJECTED: et.OfferRejected,
    OfferResult.NO_ANSWER: et.OfferTimeout,
    OfferResult.UNREACHABLE: et.OfferFailed,
    OfferResult.CANCELLED: et.OfferCancelled,
    OfferResult.FAILED: et.OfferFailed,
    OfferResult.UNKNOWN: et.OfferFailed,
}


@define(eq=False)
class _Call:
    """A visit as it was told of last."""

    record: CallRecord
    common: dict[str, Any]
    strategy: Strategy | None = None
    offers: dict[str, OfferResult] = field(factory=dict)


@define(eq=False)
class _Agent:
    """An agent as it was told of last; `since` is None where only a row of an earlier run tells of it."""

    status: AgentStatus
    state: AgentState
    since: float | None
    call: str = ""


class EventBuilder:
    """What was told so far, as much of it as the next events need."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._ended: OrderedDict[str, _Call] = OrderedDict()
        self._agents: dict[str, _Agent] = {}
        self._misses: dict[str, int] = {}
        self._accounts: dict[str, str] = {}
        self._targets: dict[str, float] = {}
        self._switches: dict[str, bool] = {}

    def know(
        self, calls: Iterable[CallRecord], offers: Iterable[OfferRecord], agents: Iterable[AgentRecord]
    ) -> None:
        """Take in what an earlier run wrote, and told of."""
        for record in calls:
            kept = self._calls if record.ended_at is None else self._ended
            kept[record.arrival.call] = _Call(record, _common(record))
        for offer in offers:
            if (call := self._call(offer.call)) is not None:
                call.offers[offer.id] = offer.result
        for agent in agents:
            self._take_agent(agent)

    def observe(self, fact: Fact, now: float) -> Iterable[EventRecord]:
        """Return the events that follow from `fact`, which is recorded `now` (epoch seconds)."""
        match fact:
            case CallRecord():
                return self._on_call(fact, now)
            case OfferRecord():
                return self._on_offer(fact)
            case AgentSpan():
                return self._on_span(fact)
            case PriorityChange():
                return self._on_priority(fact)
            case SwitchChange():
                return self._on_switch(fact)
            case AgentRecord():
                self._take_agent(fact)
            case AgentRemoved():
                for known in (self._agents, self._misses, self._accounts):
                    known.pop(fact.agent, None)
            case QueueTargets():
                self._targets[fact.queue] = fact.service_level_seconds
            case Decision():
                self._on_decision(fact)
            case _:
                pass
        return ()

    def _call(self, key: str) -> _Call | None:
        return self._calls.get(key) or self._ended.get(key)

    # --- calls ---

    def _on_call(self, record: CallRecord, now: float) -> Iterator[EventRecord]:
        key = record.arrival.call
        known = self._calls.get(key)
        if known is None and key in self._ended and record.ended_at is not None:
            return  # Its end is told.
        before = None if known is None else known.record
        if known is None:
            known = self._calls[key] = _Call(record, {})
        known.record, known.common = record, _common(record)
        yield from self._on_place(known, before, now)
        yield from self._on_talk(known, before)
        if record.ended_at is not None:
            yield from self._on_end(known, record.ended_at)
            self._ended[key] = self._calls.pop(key)
            if len(self._ended) > REMEMBERED_CALLS:
                self._ended.popitem(last=False)

    def _on_place(self, call: _Call, before: CallRecord | None, now: float) -> Iterator[EventRecord]:
        record = call.record
        arrival = record.arrival
        if not record.position_at_entry or record.state is CallState.ENDED:
            return
        place: dict[str, Any] = {"position": record.position_at_entry, "base_score": arrival.base_score}
        if before is None or not before.position_at_entry:
            earlier = self._call(record.previous_visit)
            came_from = arrival.came_through[-1] if arrival.came_through else ""
            if earlier is not None and not arrival.callback:
                came_from = earlier.record.arrival.queue
            if came_from:
                yield _of_call(
                    et.CallMoved(**call.common, from_=came_from, to=arrival.queue, by=record.transferred_by),
                    record,
                    arrival.joined_at,
                )
            resumed = arrival.resumes > 0
            yield _of_call(
                et.CallQueued(**call.common, **place, resumed=resumed),
                record,
                now if resumed else arrival.joined_at,
            )
        elif arrival.resumes > before.arrival.resumes:
            yield _of_call(
                et.CallRequeued(**call.common, **place, resumed=True), record, now, str(arrival.resumes)
            )

    def _on_talk(self, call: _Call, before: CallRecord | None) -> Iterator[EventRecord]:
        record = call.record
        if record.bridged_at is None or (before is not None and before.bridged_at is not None):
            return
        waited = _seconds(record.arrival.joined_at, record.bridged_at)
        target = self._targets.get(record.arrival.queue, QueueSettings(name="").service_level_seconds)
        yield _of_call(
            et.CallConnected(
                **call.common, agent=record.agent, waited_seconds=waited, within_target=waited <= target
            ),
            record,
            record.bridged_at,
            f"{record.bridged_at:.3f}",
        )

    def _on_end(self, call: _Call, ended_at: float) -> Iterator[EventRecord]:
        record = call.record
        assert record.outcome is not None, "an end has an outcome"
        assert record.reason is not None, "an end has a reason"
        joined_at, bridged_at = record.arrival.joined_at, record.bridged_at
        waited = _seconds(joined_at, ended_at if bridged_at is None else bridged_at)
        # A caller who is back after the end begins a new stay in the same visit.
        stay = str(record.arrival.resumes)
        if record.outcome is Outcome.ABANDONED:
            yield _of_call(
                et.CallAbandoned(**call.common, waited_seconds=waited, position=record.position_at_entry),
                record,
                ended_at,
                stay,
            )
        talked = 0.0 if bridged_at is None else _seconds(bridged_at + record.hold_seconds, ended_at)
        yield _of_call(
            et.CallEnded(
                **call.common,
                agent=record.agent,
                outcome=record.outcome,
                reason=record.reason,
                hung_up_by=record.hung_up_by,
                wait_seconds=waited,
                talk_seconds=talked,
                hold_seconds=round(record.hold_seconds, 3),
                recording=record.recording,
            ),
            record,
            ended_at,
            stay,
        )

    def _on_priority(self, change: PriorityChange) -> Iterator[EventRecord]:
        call = self._call(change.call)
        if call is not None:
            data = et.CallPriorityChanged(**call.common, from_=change.before, to=change.after, by=change.by)
            yield _of_call(data, call.record, change.at, f"{change.at:.3f}")

    # --- offers ---

    def _on_decision(self, decision: Decision) -> None:
        if not decision.chosen:
            return
        call = self._calls.get(decision.call)
        if call is not None:
            call.strategy = decision.strategy

    def _on_offer(self, offer: OfferRecord) -> Iterator[EventRecord]:
        call = self._call(offer.call)
        if call is None:
            return  # An old call's, of which nobody was told either.
        before = call.offers.get(offer.id)
        call.offers[offer.id] = offer.result
        if before is None:
            data = et.OfferCreated(
                **call.common,
                offer=offer.id,
                agent=offer.agent,
                leg_uuid=offer.leg_uuid,
                strategy=call.strategy,
            )
            yield _of_call(data, call.record, offer.offered_at, offer.id, offer.agent)
        if offer.result is OfferResult.RINGING or offer.result is before or offer.ended_at is None:
            return
        ended = _OFFER_ENDS[offer.result](
            **call.common,
            offer=offer.id,
            agent=offer.agent,
            ring_seconds=_seconds(offer.offered_at, offer.ended_at),
            cause=offer.cause,
            misses=self._misses.get(offer.agent, 0),
        )
        yield _of_call(ended, call.record, offer.ended_at, offer.id, offer.agent)

    # --- agents ---

    def _take_agent(self, record: AgentRecord) -> None:
        name = record.settings.name
        self._misses[name] = record.misses
        self._accounts[name] = record.settings.account
        if name not in self._agents:
            self._agents[name] = _Agent(record.status, record.state, None)

    def _on_span(self, span: AgentSpan) -> Iterator[EventRecord]:
        if span.ended_at is not None:
            return  # The next one tells what follows.
        before = self._agents.get(span.agent)
        self._agents[span.agent] = _Agent(span.status, span.state, span.started_at, span.call)
        if before is None:
            return  # A new agent, of whom nothing was said that could have changed.
        lasted = None if before.since is None else _seconds(before.since, span.started_at)
        at = span.started_at
        if span.status is not before.status:
            yield self._of_agent(
                et.AgentStatusChanged(
                    agent=span.agent,
                    from_=before.status,
                    to=span.status,
                    reason=span.reason,
                    previous_seconds=lasted,
                ),
                at,
                before.status,
                span.status,
            )
        if span.state is before.state:
            return
        yield self._of_agent(
            et.AgentStateChanged(
                agent=span.agent,
                from_=before.state,
                to=span.state,
                reason=span.reason,
                previous_seconds=lasted,
                call=span.call,
            ),
            at,
            before.state,
            span.state,
        )
        if before.state is AgentState.WRAP_UP:
            ended = et.AgentWrapupEnded(agent=span.agent, until=iso_utc(at), call=before.call)
            yield self._of_agent(ended, at)
        if span.state is AgentState.WRAP_UP:
            until = at if span.wrap_up_until is None else span.wrap_up_until
            started = et.AgentWrapupStarted(agent=span.agent, until=iso_utc(until), call=span.call)
            yield self._of_agent(started, at)

    def _of_agent(
        self,
        data: et.AgentStatusChanged | et.AgentStateChanged | et.AgentWrapupStarted | et.AgentWrapupEnded,
        at: float,
        *what: str,
    ) -> EventRecord:
        event_type = et.TYPE_OF[type(data)]
        return EventRecord(
            id=_id(event_type, data.agent, f"{at:.3f}", *what),
            type=event_type,
            at=at,
            account=self._accounts.get(data.agent, DEFAULT_ACCOUNT),
            agent=data.agent,
            call="" if isinstance(data, et.AgentStatusChanged) else data.call,
            data=data,
        )

    # --- switches ---

    def _on_switch(self, change: SwitchChange) -> Iterator[EventRecord]:
        if self._switches.get(change.switch, False) is change.is_ready:
            return
        self._switches[change.switch] = change.is_ready
        kind = et.SwitchConnected if change.is_ready else et.SwitchLost
        event_type = et.TYPE_OF[kind]
        yield EventRecord(
            id=_id(event_type, change.switch, f"{change.at:.3f}"),
            type=event_type,
            at=change.at,
            account=EVERY_ACCOUNT,
            data=kind(switch=change.switch, calls=change.calls),
        )


def _common(record: CallRecord) -> dict[str, Any]:
    arrival = record.arrival
    return {
        "call": arrival.call,
        "uuid": arrival.uuid,
        "queue": arrival.queue,
        "caller_number": arrival.caller_number,
        "caller_name": arrival.caller_name,
        "lead_number": arrival.lead_number,
        "account_id": arrival.account_id,
        "widget_id": arrival.widget_id,
        "variables": arrival.variables,
    }


def _of_call(
    data: et.CallData, record: CallRecord, at: float, which: str = "", agent: str | None = None
) -> EventRecord:
    """Return the event; `which` tells it from others of this type about the same call."""
    event_type = et.TYPE_OF[type(data)]
    arrival = record.arrival
    return EventRecord(
        id=_id(event_type, arrival.call, which),
        type=event_type,
        at=at,
        account=arrival.account,
        call=arrival.call,
        queue=arrival.queue,
        agent=record.agent if agent is None else agent,
        data=data,
    )


def _id(*about: str) -> str:
    """Return the UUID of what is told, always the same for the same (as RFC 9562's version 5 has it)."""
    digest = sha1("\0".join(about).encode("utf-8", "replace"), usedforsecurity=False).digest()[:16]
    text = digest.hex()
    variant = "89ab"[digest[8] >> 6 & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _seconds(start: float, end: float) -> float:
    return max(0.0, round(end - start, 3))
