"""What is written down about agents, and what the pictures and the invariants show."""

from __future__ import annotations

from typing import Any

import pytest

from callctl.acd.agent import Phase
from callctl.acd.timers import Key, Wakes
from callctl.model import (
    AgentRecord,
    AgentRemoved,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Strategy,
    Tier,
    TierRemoved,
)
from tests.acd.floorplan import Centre


def short(span: AgentSpan) -> tuple[float, float | None, str, str, str]:
    return span.started_at, span.ended_at, str(span.status), str(span.state), span.call


def test_the_spans_of_an_agent_follow_each_other_without_gap_or_overlap() -> None:
    centre = Centre(wrap_up_time=10)
    centre.agent("anna", 100.0)
    centre.join("c1", 105.0)
    offer = centre.offer()
    centre.d.offer_ringing(offer.id, 106.0)
    centre.answer(offer, 110.0)
    centre.d.talk_ended(offer.id, 150.0)
    centre.d.advance(160.0)
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 170.0, "lunch")
    assert [short(span) for span in centre.spans("anna")] == [
        (100.0, 105.0, "Available", "Waiting", ""),
        (105.0, 106.0, "Available", "Reserved", "c1"),
        (106.0, 110.0, "Available", "Receiving", "c1"),
        (110.0, 150.0, "Available", "In a queue call", "c1"),
        (150.0, 160.0, "Available", "Wrap-up", "c1"),
        (160.0, 170.0, "Available", "Waiting", ""),
        (170.0, None, "On Break", "Idle", ""),
    ]
    assert centre.spans("anna")[-1].reason == "lunch"


def test_a_span_that_lasted_no_time_is_overwritten_by_what_came_in_the_same_moment() -> None:
    centre = Centre()
    centre.join("c1", 0.0)
    centre.agent("anna", 100.0)
    assert [short(span) for span in centre.spans("anna")] == [(100.0, None, "Available", "Reserved", "c1")]


def test_an_agent_is_written_down_whenever_it_changes_and_not_otherwise() -> None:
    centre = Centre()
    centre.agent("anna", 0.0)
    before = len(centre.facts(AgentRecord))
    centre.d.put_agent(AgentSettings(name="anna", contact="user/anna"), 1.0)
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 2.0)
    centre.d.set_external_call("anna", True, 3.0)
    centre.d.set_registered("anna", True, 3.0)
    assert len(centre.facts(AgentRecord)) == before
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 4.0, "lunch")
    record = centre.facts(AgentRecord)[-1]
    assert (record.status, record.state, record.reason) == (AgentStatus.ON_BREAK, AgentState.IDLE, "lunch")


def test_tiers_and_removals_are_written_down() -> None:
    centre = Centre()
    centre.agent("anna", 0.0)
    centre.d.put_tier(Tier(queue="q", agent="anna"), 1.0)
    assert centre.facts(Tier) == [Tier(queue="q", agent="anna")]
    centre.d.remove_tier("q", "anna", 2.0)
    assert centre.facts(TierRemoved) == [TierRemoved(queue="q", agent="anna")]
    centre.d.remove_agent("anna", 3.0)
    assert centre.facts(AgentRemoved) == [AgentRemoved(agent="anna")]
    assert centre.spans("anna")[-1].ended_at == 3.0


def test_an_agent_comes_back_from_its_record_as_it_rested() -> None:
    def back(status: AgentStatus, state: AgentState, **rest: Any) -> AgentState:
        centre = Centre()
        settings = AgentSettings(name="anna", contact="user/1", wrap_up_time=30)
        centre.d.put_agent(AgentRecord(settings=settings, status=status, state=state, **rest), 100.0)
        centre.d.advance(100.0)
        return centre.view("anna", 100.0).state

    available, on_demand = AgentStatus.AVAILABLE, AgentStatus.AVAILABLE_ON_DEMAND
    assert back(available, AgentState.WAITING) is AgentState.WAITING
    assert back(available, AgentState.RECEIVING) is AgentState.WAITING
    assert back(AgentStatus.ON_BREAK, AgentState.IN_A_QUEUE_CALL) is AgentState.IDLE
    assert back(on_demand, AgentState.IDLE) is AgentState.IDLE
    assert back(on_demand, AgentState.WAITING) is AgentState.WAITING
    assert back(available, AgentState.WRAP_UP, last_call_ended_at=71.0) is AgentState.WRAP_UP
    assert back(available, AgentState.WRAP_UP, last_call_ended_at=70.0) is AgentState.WAITING
    assert back(available, AgentState.WRAP_UP) is AgentState.WAITING


def test_a_timed_pause_goes_on_after_a_restart() -> None:
    centre = Centre()
    record = AgentRecord(
        settings=AgentSettings(name="anna", contact="user/1"),
        status=AgentStatus.ON_BREAK,
        state=AgentState.IDLE,
        status_until=200.0,
    )
    centre.d.put_agent(record, 100.0)
    assert centre.d.next_deadline() == 200.0
    centre.d.advance(200.0)
    assert centre.view("anna").status is AgentStatus.AVAILABLE


def test_round_robin_goes_on_after_a_restart_behind_whom_was_offered_last() -> None:
    centre = Centre(strategy=Strategy.ROUND_ROBIN)
    for position, (name, offered) in enumerate((("anna", 50.0), ("bert", 90.0), ("cleo", 10.0)), start=1):
        record = AgentRecord(
            settings=AgentSettings(name=name, contact="user/1"),
            status=AgentStatus.AVAILABLE,
            state=AgentState.WAITING,
            last_offered_at=offered,
        )
        centre.d.put_agent(record, 100.0)
        centre.d.put_tier(Tier(queue="q", agent=name, position=position), 100.0)
    centre.join("c1", 100.0)
    assert centre.pairs() == [("c1", "cleo")]


def test_the_pictures_show_the_floor() -> None:
    centre = Centre()
    centre.agent("anna", 0.0)
    centre.agent("bert", 0.0, level=2, position=3, status=AgentStatus.ON_BREAK)
    centre.join("c1", 10.0, base_score=5)
    centre.join("c2", 12.0)
    offer = centre.offer()
    (queue,) = centre.d.queues(20.0)
    assert (queue.waiting, queue.trying, queue.longest_wait_seconds) == (2, 1, 10.0)
    assert (queue.present, queue.free, queue.agentless_since, queue.is_open) == (1, 0, None, True)
    assert queue.agents[AgentState.RESERVED] == queue.agents[AgentState.IDLE] == 1
    assert centre.d.queue("q", 20.0) == queue
    member = centre.member("c1", 20.0)
    assert (member.position, member.score, member.waited_seconds, member.agents) == (1, 15.0, 10.0, ("anna",))
    anna, bert = centre.d.agents(20.0)
    assert (anna.call, anna.since, anna.offer) == ("c1", 12.0 - 2.0, offer)
    assert bert.tiers == {"q": (2, 3)}
    assert centre.d.agent("bert", 20.0) == bert


@pytest.fixture
def centre() -> Centre:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert", status=AgentStatus.ON_BREAK)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    assert centre.d.check_invariants(1.0) == []
    return centre


def violated(centre: Centre, now: float = 1.0) -> set[str]:
    return {violation.invariant for violation in centre.d.check_invariants(now)}


def test_an_agent_who_waits_unseen_is_a_violation(centre: Centre) -> None:
    agent = centre.d._floor.roster.agent("bert")
    agent.status, agent.state = AgentStatus.AVAILABLE, AgentState.WAITING
    assert violated(centre) == {"bookkeeping"}
    agent.kept_refusal = None
    queue = centre.d._floor.queues["q"]
    queue.set_occupation(queue.seats["bert"], "")
    queue.set_present(queue.seats["bert"], True)
    assert violated(centre) == {"idle-agent"}


@pytest.mark.parametrize("lot", [1, 2, 500])
def test_every_agent_is_checked_however_many_at_a_time(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, lot: int
) -> None:
    monkeypatch.setattr("callctl.acd.invariants.LOT", lot)
    for name in ("carl", "dora", "emil"):
        centre.agent(name)
    for agent in centre.d._floor.roster:
        state, agent.state = agent.state, AgentState.WRAP_UP
        words = [str(violation) for violation in centre.d.check_invariants(1.0)]
        assert f"the agent {agent.name} has not ended its wrap-up" in words
        agent.state = state


def test_a_check_of_what_is_gone_meanwhile_finds_nothing(centre: Centre) -> None:
    checks = centre.d.invariant_checks()
    for call in ("c1", "c2"):
        centre.d.leave(call, 1.0)
    for agent in ("anna", "bert"):
        centre.d.remove_agent(agent, 1.0)
    centre.d.remove_queue("q", 1.0)
    assert [violation for check in checks for violation in check(1.0)] == []


def test_members_out_of_order_or_counted_wrongly_are_violations(centre: Centre) -> None:
    queue = centre.d._floor.queues["q"]
    queue._order._values.reverse()
    assert violated(centre) == {"order"}
    queue._order._values.append(queue._order[0])
    assert "bookkeeping" in violated(centre)


def test_a_member_in_the_wrong_line_is_a_violation(centre: Centre) -> None:
    queue = centre.d._floor.queues["q"]
    waiting = centre.d._floor.members["c2"]
    needs = waiting.stands_in
    assert needs is not None
    queue.lines.put(waiting, needs._replace(switch="fs2"))
    assert violated(centre) == {"bookkeeping"}
    queue.lines.put(waiting, needs)
    assert violated(centre) == set()
    queue.lines.put(waiting, None)
    waiting.stands_in = needs
    assert violated(centre) == {"bookkeeping"}


def test_a_member_who_is_gone_and_a_queue_wrong_about_its_agents_are_violations(centre: Centre) -> None:
    member = centre.d._floor.members.pop("c2")
    assert [(v.invariant, str(v)) for v in centre.d.check_invariants(1.0)] == [
        ("bookkeeping", "the queue q keeps a member who is gone")
    ]
    centre.d._floor.members["c2"] = member
    centre.d._floor.queues["q"].agentless_since = 1.0
    assert violated(centre) == {"bookkeeping"}


def test_a_wrap_up_that_does_not_end_is_a_violation(centre: Centre) -> None:
    offer = centre.offer()
    centre.queue("q", wrap_up_time=5)
    centre.answer(offer, 1.0)
    centre.d.talk_ended(offer.id, 2.0)
    assert violated(centre, 7.0) == set()
    assert violated(centre, 7.001) == {"agent-state"}


def test_a_reservation_past_its_lease_is_a_violation(centre: Centre) -> None:
    offer = centre.offer()
    assert violated(centre, offer.lease_until + 1) == {"lease"}
    centre.d._floor.timers.cancel(Key(Wakes.OFFER, offer.id))
    assert violated(centre) == {"lease"}


def test_an_agents_state_that_does_not_fit_is_a_violation(centre: Centre) -> None:
    agent = centre.d._floor.roster.agent("anna")
    agent.state = AgentState.IN_A_QUEUE_CALL
    assert violated(centre) == {"agent-state", "bookkeeping"}  # The queue counts it elsewhere.
    agent.state = AgentState.WRAP_UP
    assert violated(centre) == {"agent-state", "bookkeeping"}
    agent.state, agent.status = AgentState.WAITING, AgentStatus.LOGGED_OUT
    assert "agent-state" in violated(centre)


def test_a_reservation_on_one_side_only_or_a_second_leg_is_a_violation(centre: Centre) -> None:
    floor = centre.d._floor
    (reservation,) = floor.reservations.values()
    reservation.phase = Phase.WITHDRAWN
    assert violated(centre) == {"bookkeeping"}
    reservation.phase = Phase.RESERVED
    floor.reservations["copy"] = reservation
    assert violated(centre) == {"one-leg"}
    floor.reservations.clear()
    assert violated(centre) == {"bookkeeping"}
