"""The figures for Prometheus, with the names and labels of the public interface.

Gauges are read from the server when somebody asks. Counters and histograms are fed with the same facts
that the history gets, so that both agree: `observe` sees each of them once.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator

from attrs import define
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from callctl.api.house import House
from callctl.logging import lost_lines
from callctl.model import (
    HEALED,
    AgentSpan,
    AgentState,
    CallEvent,
    CallRecord,
    CallState,
    Fact,
    OfferRecord,
    OfferResult,
    Outcome,
)
from callctl.refusals import Refusals

QUEUE_WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800)
"""Seconds. The usual service levels (10, 15, 20, 30, 60 s) are bounds, so that they can be read off."""

OFFER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds. An offer leaves within a millisecond or two; a second is an outage."""

ENDED_CALLS = 10_000
"""How many ended calls are remembered, for their last rows: these come within seconds of the end."""

OTHER_QUEUE = "(unknown)"
"""The label of every queue that is not configured: its name is the dialplan's, and could be any number."""


@define
class _Call:
    """What must be known of a call until it has ended."""

    queue: str
    was_waiting: bool
    answered_offers: int = 0


class Metrics:
    """Everything that `/metrics` shows."""

    def __init__(self, queues: Container[str]) -> None:
        """`queues` are the names of those that are configured now."""
        # Each counter would otherwise come with a second series that says when it was made.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives it no types
        self.registry = CollectorRegistry()
        self._queues = queues
        self._calls: dict[str, _Call] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._ringing: dict[str, str] = {}
        self._reserved_at: dict[str, float] = {}
        self._calls_total = Counter(
            "callctl_calls_total",
            "Calls that have ended, by the way in which their wait ended.",
            ["queue", "outcome", "reason"],
            registry=self.registry,
        )
        self._offers_total = Counter(
            "callctl_offers_total",
            "Rings of an agent that have ended, by result.",
            ["queue", "result"],
            registry=self.registry,
        )
        self._queue_wait = Histogram(
            "callctl_queue_wait_seconds",
            "How long callers waited, from joining to the bridge or to the end without one.",
            ["queue"],
            buckets=QUEUE_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._offer_seconds = Histogram(
            "callctl_offer_seconds",
            "From the decision for an agent to the order to ring it.",
            buckets=OFFER_BUCKETS,
            registry=self.registry,
        )
        self._violations = Counter(
            "callctl_invariant_violations_total",
            "What must always be true and was not.",
            ["invariant"],
            registry=self.registry,
        )

    def watch(self, house: House) -> None:
        """From now on read the gauges from `house`."""
        self.registry.register(_Gauges(house))

    def violated(self, invariant: str, times: int = 1) -> None:
        """Count violations of an invariant."""
        self._violations.labels(invariant).inc(times)

    def observe(self, fact: Fact) -> None:
        """Take in a fact that goes to the history."""
        match fact:
            case CallRecord():
                self._observe_call(fact)
            case OfferRecord():
                self._observe_offer(fact)
            case AgentSpan():
                self._observe_span(fact)
            case CallEvent(event=event) if event == HEALED:
                self.violated(HEALED)

    def _observe_call(self, record: CallRecord) -> None:
        key = record.arrival.call
        if key in self._ended:
            return
        call = self._calls.get(key)
        if call is None:
            # Who is found talking after a restart has waited before it, and was counted then. Who is to be
            # called back does not wait on the line.
            waits = record.reason is None and not record.arrival.callback
            call = self._calls[key] = _Call(self._label(record.arrival.queue), waits)
        if record.reason is not None and call.was_waiting:
            call.was_waiting = False
            waited_until = record.ended_at if record.bridged_at is None else record.bridged_at
            if waited_until is not None:
                self._queue_wait.labels(call.queue).observe(waited_until - record.arrival.joined_at)
        if record.state in (CallState.TALKING, CallState.ENDED) and call.answered_offers:
            self._offers_total.labels(call.queue, OfferResult.ANSWERED.value).inc(call.answered_offers)
            call.answered_offers = 0
        if record.state is CallState.ENDED and record.reason is not None:
            outcome = record.outcome or Outcome.FAILED
            if record.is_offered:
                self._calls_total.labels(call.queue, outcome.value, record.reason.value).inc()
            del self._calls[key]
            self._ended[key] = None
            if len(self._ended) > ENDED_CALLS:
                self._ended.popitem(last=False)

    def _observe_offer(self, offer: OfferRecord) -> None:
        """Count an offer when it ends; an answered one when it is certain that the bridge did not undo it."""
        call = self._calls.get(offer.call)
        queue = OTHER_QUEUE if call is None else call.queue
        if offer.ended_at is None:
            self._ringing[offer.id] = offer.call
        elif offer.result is OfferResult.ANSWERED and call is not None:
            if self._ringing.pop(offer.id, None) is not None:
                call.answered_offers += 1
        elif self._ringing.pop(offer.id, None) is not None:
            self._offers_total.labels(queue, offer.result.value).inc()
        elif call is not None and call.answered_offers:
            call.answered_offers -= 1
            self._offers_total.labels(queue, offer.result.value).inc()

    def _observe_span(self, span: AgentSpan) -> None:
        """The agent's own trace tells when it was reserved, and when the ring was ordered."""
        if span.ended_at is not None:
            return
        if span.state is AgentState.RESERVED:
            self._reserved_at[span.agent] = span.started_at
            return
        reserved_at = self._reserved_at.pop(span.agent, None)
        if reserved_at is not None and span.state is AgentState.RECEIVING:
            self._offer_seconds.observe(span.started_at - reserved_at)

    def _label(self, queue: str) -> str:
        return queue if queue in self._queues else OTHER_QUEUE


class _Gauges:
    """What is read from the server at the moment of asking."""

    def __init__(self, house: House) -> None:
        self._house = house

    def describe(self) -> Iterable[Metric]:
        """Say nothing at registration: the names are known, and the server may not be there yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return all gauges, and the counters that others keep."""
        yield from self._floor()
        yield from self._switches()
        yield from self._store()
        refusals = CounterMetricFamily(
            "callctl_refusals",
            "What was refused or dropped because a bound or a rule said so.",
            labels=["reason"],
        )
        for kind, count in Refusals.of_this_run().counts().items():
            refusals.add_metric([kind], count)
        refusals.add_metric(["log-lines"], lost_lines())
        yield refusals

    def _floor(self) -> Iterator[Metric]:
        queues = self._house.act(lambda distributor, now: distributor.queues(now))
        agents = self._house.act(lambda distributor, now: distributor.agents(now))
        calls = Tally(record.state for record in self._house.calls.live())
        alive = [state for state in CallState if state is not CallState.ENDED]
        yield _gauge("callctl_calls", "Calls that are alive.", ["state"], ((s, calls[s]) for s in alive))
        yield _gauge(
            "callctl_queue_waiting",
            "Callers in the queue, those included for whom an agent is being rung.",
            ["queue"],
            ((queue.name, queue.waiting) for queue in queues),
        )
        yield _gauge(
            "callctl_queue_longest_wait_seconds",
            "How long the caller has waited who has waited longest.",
            ["queue"],
            ((queue.name, queue.longest_wait_seconds) for queue in queues),
        )
        yield _gauge(
            "callctl_queue_callbacks",
            "Callers who are to be called back; they do not count as waiting.",
            ["queue"],
            ((queue.name, queue.callbacks) for queue in queues),
        )
        states = Tally(agent.state for agent in agents)
        yield _gauge("callctl_agents", "Agents.", ["state"], ((state, states[state]) for state in AgentState))

    def _switches(self) -> Iterator[Metric]:
        switches = list(self._house.switches())
        yield _gauge(
            "callctl_switch_up",
            "Whether the switch is connected and known.",
            ["switch"],
            ((switch.name, switch.is_ready) for switch in switches),
        )
        reconnects = CounterMetricFamily(
            "callctl_switch_reconnects", "How often the connection came back.", labels=["switch"]
        )
        events = CounterMetricFamily(
            "callctl_switch_events",
            "Events that came on the inbound connection.",
            labels=["switch", "event"],
        )
        yield _gauge(
            "callctl_media_problems",
            "What a switch lacks of the sounds, phrases and modules that the queues name.",
            ["switch"],
            ((switch.name, switch.media_problems) for switch in switches),
        )
        failures = CounterMetricFamily(
            "callctl_media_failures",
            "Sounds that callers or agents did not hear, as they could not be played.",
            labels=["switch", "kind"],
        )
        for switch in switches:
            for kind, count in sorted(switch.media_failures.items()):
                failures.add_metric([switch.name, kind], count)
        yield failures
        for switch in switches:
            reconnects.add_metric([switch.name], switch.reconnects)
            for event, count in sorted(switch.events.items()):
                events.add_metric([switch.name, event], count)
        yield reconnects
        yield events

    def _store(self) -> Iterator[Metric]:
        journal = self._house.journal.statistics()
        yield GaugeMetricFamily(
            "callctl_store_pending_rows",
            "Rows that are not in the database yet, in memory or in the file beside it.",
            value=journal.pending_rows + journal.spilled_rows,
        )
        yield GaugeMetricFamily(
            "callctl_store_writable",
            "1 if the database takes rows, 0 if it is gone, full, locked or damaged.",
            value=float(journal.error is None),
        )
        yield GaugeMetricFamily(
            "callctl_store_commit_seconds",
            "How long the last transaction took.",
            value=journal.last_commit_seconds,
        )


def _gauge(name: str, documentation: str, labels: list[str], values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for label, value in values:
        family.add_metric([label], value)
    return family
