"""The figures for Prometheus: names, labels, and that each thing counts once."""

from __future__ import annotations

import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

from callctl.api.metrics import ENDED_CALLS, Metrics
from callctl.model import (
    AgentSpan,
    AgentState,
    AgentStatus,
    Arrival,
    CallRecord,
    CallState,
    Fact,
    OfferRecord,
    OfferResult,
    Outcome,
    Reason,
)
from tests.api.house import Visited

NAMES = {
    "callctl_calls_total": {"queue", "outcome", "reason"},
    "callctl_calls": {"state"},
    "callctl_queue_waiting": {"queue"},
    "callctl_queue_callbacks": {"queue"},
    "callctl_queue_longest_wait_seconds": {"queue"},
    "callctl_queue_wait_seconds": {"queue"},
    "callctl_agents": {"state"},
    "callctl_offers_total": {"queue", "result"},
    "callctl_offer_seconds": set(),
    "callctl_switch_up": {"switch"},
    "callctl_switch_reconnects_total": {"switch"},
    "callctl_switch_events_total": {"switch", "event"},
    "callctl_media_problems": {"switch"},
    "callctl_media_failures_total": {"switch", "kind"},
    "callctl_store_pending_rows": set(),
    "callctl_store_commit_seconds": set(),
    "callctl_store_writable": set(),
    "callctl_invariant_violations_total": {"invariant"},
    "callctl_refusals_total": {"reason"},
}
"""The public interface."""

WAITING = CallRecord(
    arrival=Arrival(call="c1", uuid="u1", switch="fs1", queue="caller", arrived_at=100.0, joined_at=100.0),
    state=CallState.WAITING,
)
TALKING = evolve(
    WAITING, state=CallState.TALKING, reason=Reason.BRIDGED, outcome=Outcome.HANDLED, bridged_at=112.0
)
ENDED = evolve(TALKING, state=CallState.ENDED, ended_at=150.0)
ABANDONED = evolve(
    WAITING,
    state=CallState.ENDED,
    reason=Reason.CALLER_HANGUP,
    outcome=Outcome.ABANDONED,
    ended_at=103.0,
)
RINGING = OfferRecord(id="o1", call="c1", agent="1001", leg_uuid="l1", offered_at=105.0)


def named(record: CallRecord, call: str) -> CallRecord:
    return evolve(record, arrival=evolve(record.arrival, call=call))


def observed(*facts: Fact) -> Metrics:
    metrics = Metrics({"caller"})
    for fact in facts:
        metrics.observe(fact)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_names_and_labels_are_those_of_the_public_interface(visited: Visited) -> None:
    visited.switches[0] = evolve(
        visited.switches[0], events={"HEARTBEAT": 3}, reconnects=2, media_failures={"music": 1}
    )
    for fact in (WAITING, RINGING, evolve(RINGING, ended_at=110.0, result=OfferResult.BUSY), TALKING, ENDED):
        visited.metrics.observe(fact)
    visited.metrics.violated("order")

    text = (await visited.public.get("/metrics")).text

    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            is_histogram = family.type == "histogram"
            name = family.name if is_histogram else sample.name
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    assert found == NAMES
    assert 'callctl_switch_events_total{event="HEARTBEAT",switch="fs1"} 3.0' in text
    assert 'callctl_switch_reconnects_total{switch="fs1"} 2.0' in text


async def test_gauges_show_the_floor_as_it_stands(visited: Visited) -> None:
    visited.hire("1001", "sales")
    visited.join("c1")
    visited.join("c2", state=CallState.TALKING)
    visited.switches[0] = evolve(visited.switches[0], is_ready=False)
    registry = visited.metrics.registry

    assert registry.get_sample_value("callctl_calls", {"state": "waiting"}) == 1
    assert registry.get_sample_value("callctl_calls", {"state": "talking"}) == 1
    assert registry.get_sample_value("callctl_calls", {"state": "ended"}) is None
    assert registry.get_sample_value("callctl_queue_waiting", {"queue": "caller"}) == 2
    assert registry.get_sample_value("callctl_queue_longest_wait_seconds", {"queue": "sales"}) == 0
    assert registry.get_sample_value("callctl_agents", {"state": "Waiting"}) == 1
    assert registry.get_sample_value("callctl_agents", {"state": "Wrap-up"}) == 0
    assert registry.get_sample_value("callctl_switch_up", {"switch": "fs1"}) == 0


def test_a_call_counts_once_however_often_its_row_is_written() -> None:
    metrics = observed(WAITING, TALKING, ENDED, evolve(ENDED, hangup_cause="NORMAL_CLEARING"), ENDED)
    assert value(metrics, "callctl_calls_total", queue="caller", outcome="handled", reason="BRIDGED") == 1


def test_a_refused_call_counts_and_has_not_waited() -> None:
    refused = evolve(ABANDONED, reason=Reason.FULL, outcome=Outcome.REFUSED)
    metrics = observed(refused, refused)
    assert value(metrics, "callctl_calls_total", queue="caller", outcome="refused", reason="FULL") == 1
    assert value(metrics, "callctl_queue_wait_seconds_count", queue="caller") is None


def test_the_wait_ends_with_the_bridge_and_is_known_at_once() -> None:
    metrics = observed(WAITING, TALKING)
    assert value(metrics, "callctl_queue_wait_seconds_sum", queue="caller") == 12
    metrics.observe(ENDED)
    assert value(metrics, "callctl_queue_wait_seconds_count", queue="caller") == 1


def test_the_wait_of_one_who_gave_up_ends_with_the_call() -> None:
    metrics = observed(WAITING, ABANDONED)
    assert value(metrics, "callctl_queue_wait_seconds_sum", queue="caller") == 3
    assert (
        value(metrics, "callctl_calls_total", queue="caller", outcome="abandoned", reason="CALLER_HANGUP")
        == 1
    )


def test_a_talk_that_was_found_after_a_restart_counts_and_its_wait_does_not() -> None:
    metrics = observed(TALKING, ENDED)
    assert value(metrics, "callctl_calls_total", queue="caller", outcome="handled", reason="BRIDGED") == 1
    assert value(metrics, "callctl_queue_wait_seconds_count", queue="caller") is None


def test_a_callback_counts_and_has_not_waited_on_the_line() -> None:
    arrival = evolve(WAITING.arrival, callback=True)
    metrics = observed(*(evolve(record, arrival=arrival) for record in (WAITING, TALKING, ENDED)))
    assert value(metrics, "callctl_calls_total", queue="caller", outcome="handled", reason="BRIDGED") == 1
    assert value(metrics, "callctl_queue_wait_seconds_count", queue="caller") is None


@pytest.mark.fault(20)
def test_a_caller_who_is_called_back_counts_once() -> None:
    asked = evolve(
        ENDED, bridged_at=None, reason=Reason.EXIT_WITH_KEY, outcome=Outcome.OVERFLOWED, target="callback"
    )
    called = named(ENDED, "c2")
    metrics = observed(WAITING, asked, evolve(called, arrival=evolve(called.arrival, callback=True)))
    assert value(metrics, "callctl_calls_total", queue="caller", outcome="handled", reason="BRIDGED") == 1
    labels = {"queue": "caller", "outcome": "overflowed", "reason": "EXIT_WITH_KEY"}
    assert value(metrics, "callctl_calls_total", **labels) is None


def test_queues_that_are_not_configured_share_one_label() -> None:
    arrival = evolve(WAITING.arrival, queue="whatever-4930123456")
    metrics = observed(evolve(ABANDONED, arrival=arrival))
    labels = {"outcome": "abandoned", "reason": "CALLER_HANGUP"}
    assert value(metrics, "callctl_calls_total", queue="(unknown)", **labels) == 1


@pytest.mark.parametrize("result", [OfferResult.BUSY, OfferResult.NO_ANSWER, OfferResult.CANCELLED])
def test_an_offer_counts_once_by_its_result(result: OfferResult) -> None:
    over = evolve(RINGING, ended_at=110.0, result=result)
    metrics = observed(WAITING, RINGING, over, over)
    assert value(metrics, "callctl_offers_total", queue="caller", result=result.value) == 1


def test_an_answered_offer_counts_as_answered_when_the_talk_begins() -> None:
    answered = evolve(RINGING, ended_at=110.0, answered_at=110.0, result=OfferResult.ANSWERED)
    metrics = observed(WAITING, RINGING, answered, TALKING, ENDED)
    assert value(metrics, "callctl_offers_total", queue="caller", result="answered") == 1


def test_an_answered_offer_whose_bridge_fails_counts_as_failed_alone() -> None:
    answered = evolve(RINGING, ended_at=110.0, answered_at=110.0, result=OfferResult.ANSWERED)
    metrics = observed(WAITING, RINGING, answered, evolve(answered, result=OfferResult.FAILED), ABANDONED)
    assert value(metrics, "callctl_offers_total", queue="caller", result="failed") == 1
    assert value(metrics, "callctl_offers_total", queue="caller", result="answered") is None


def test_an_answer_whose_caller_is_gone_at_that_moment_is_still_an_answer() -> None:
    answered = evolve(RINGING, ended_at=110.0, answered_at=110.0, result=OfferResult.ANSWERED)
    metrics = observed(WAITING, RINGING, answered, ABANDONED)
    assert value(metrics, "callctl_offers_total", queue="caller", result="answered") == 1


def test_the_offer_takes_from_the_reservation_to_the_ring() -> None:
    reserved = AgentSpan(
        agent="1001",
        started_at=105.0,
        ended_at=None,
        status=AgentStatus.AVAILABLE,
        state=AgentState.RESERVED,
        call="c1",
    )
    metrics = observed(
        reserved,
        evolve(reserved, ended_at=105.02),
        evolve(reserved, started_at=105.02, state=AgentState.RECEIVING),
        evolve(reserved, agent="1002"),
        evolve(reserved, agent="1002", started_at=109.0, state=AgentState.WAITING),
        evolve(reserved, agent="1002", started_at=120.0, state=AgentState.RECEIVING),
    )
    assert value(metrics, "callctl_offer_seconds_count") == 1
    assert value(metrics, "callctl_offer_seconds_sum") == pytest.approx(0.02)


def test_what_is_remembered_of_ended_calls_has_a_bound() -> None:
    metrics = Metrics({"caller"})
    for number in range(ENDED_CALLS + 100):
        metrics.observe(named(ABANDONED, f"c{number}"))
    assert len(metrics._ended) == ENDED_CALLS
    assert metrics._calls == {}
