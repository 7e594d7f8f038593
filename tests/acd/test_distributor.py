"""The way of a call through the distributor: joining, being offered, answered and bridged, and each end."""

from __future__ import annotations

import pytest
from attrs import evolve

from callctl.acd.effects import AgentLeaseExpired, Offered, OfferWithdrawn
from callctl.errors import QueueEmpty, QueueFull, UnknownAgent, UnknownCall, UnknownQueue, UnknownTier
from callctl.model import (
    LONGEST_WHISPER_SECONDS,
    AgentRecord,
    AgentSettings,
    AgentState,
    AgentStatus,
    Arrival,
    MemberState,
    Offer,
    OfferResult,
    Tier,
)
from tests.acd.floorplan import Centre


def test_a_caller_is_offered_to_a_free_agent_at_once() -> None:
    centre = Centre(ring_timeout=15)
    centre.agent("anna")
    assert centre.join("c1", 100.0) == 1
    offer = centre.offer()
    assert (offer.call, offer.agent, offer.queue, offer.contact) == ("c1", "anna", "q", "user/anna")
    assert (offer.offered_at, offer.ring_timeout, offer.lease_until) == (100.0, 15, 120.0)
    assert centre.view("anna").state is AgentState.RESERVED
    assert centre.member("c1").state is MemberState.TRYING


def test_a_caller_waits_until_an_agent_comes() -> None:
    centre = Centre()
    assert centre.join("c1", 0.0) == 1
    assert centre.join("c2", 1.0) == 2
    assert centre.offers() == []
    centre.agent("anna", 5.0)
    assert centre.pairs() == [("c1", "anna")]


def test_the_whole_way_from_offer_to_the_next_call() -> None:
    centre = Centre()
    centre.agent("anna", wrap_up_time=10)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.offer_ringing(offer.id, 1.0)
    assert centre.view("anna").state is AgentState.RECEIVING
    assert centre.d.offer_answered(offer.id, 4.0)
    assert centre.member("c1").state is MemberState.ANSWERED
    centre.d.bridged(offer.id, 5.0)
    assert centre.d.members(5.0) == ()
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL
    centre.join("c2", 6.0)
    centre.d.talk_ended(offer.id, 65.0)
    assert centre.view("anna").state is AgentState.WRAP_UP
    assert centre.view("anna").talk_seconds == 60.0
    assert centre.view("anna").calls_answered == 1
    assert centre.d.next_deadline() == 75.0
    assert centre.effects() == []
    centre.d.advance(75.0)
    assert centre.pairs() == [("c2", "anna")]


def test_a_lease_leaves_time_for_accepting_by_key() -> None:
    centre = Centre(ring_timeout=20, accept_key="1", accept_timeout=12)
    centre.agent("anna")
    centre.join("c1", 100.0)
    assert centre.offer().lease_until == 137.0


@pytest.mark.fault(22)
def test_a_lease_leaves_time_for_hearing_a_whisper_to_its_end() -> None:
    centre = Centre(ring_timeout=20, agent_announce="sales.wav")
    centre.agent("anna")
    centre.join("c1", 100.0)
    assert centre.offer().lease_until == 100.0 + 20 + LONGEST_WHISPER_SECONDS + 5


def test_a_lease_that_runs_out_frees_the_agent_and_the_caller() -> None:
    centre = Centre(ring_timeout=20)
    centre.agent("anna")
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.offer_ringing(offer.id, 1.0)
    assert centre.d.next_deadline() == 25.0
    centre.d.advance(25.0)
    withdrawn, expired, again = centre.effects()
    assert withdrawn == OfferWithdrawn(offer, "ORIGINATOR_CANCEL")
    assert expired == AgentLeaseExpired(offer)
    assert isinstance(again, Offered)
    assert again.offer.call == "c1"
    assert not centre.d.offer_answered(offer.id, 26.0)


def test_a_caller_who_leaves_while_an_agent_rings_takes_the_offer_along() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.leave("c1", 3.0)
    assert centre.effects() == [OfferWithdrawn(offer, "ORIGINATOR_CANCEL")]
    centre.d.leave("c1", 3.1)
    assert centre.effects() == []
    assert not centre.d.offer_answered(offer.id, 3.2)


def test_an_agent_is_offered_the_next_call_only_when_the_cancelled_leg_is_gone() -> None:
    centre = Centre()
    centre.agent("anna", busy_delay_time=30)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    offer = centre.offer()
    centre.d.leave("c1", 3.0)
    assert len(centre.effects()) == 1
    assert "cancelled" in centre.view("anna", 3.0).why_not_free
    centre.fail(offer, "ORIGINATOR_CANCEL", 3.05, OfferResult.CANCELLED)
    assert centre.pairs() == [("c2", "anna")]
    centre.fail(offer, "ORIGINATOR_CANCEL", 3.06, OfferResult.CANCELLED)
    assert centre.pairs() == []


def test_a_cancelled_leg_that_nobody_reports_holds_the_agent_for_a_second() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    centre.offer()
    centre.d.leave("c1", 3.0)
    centre.effects()
    centre.d.advance(3.999)
    assert centre.effects() == []
    centre.d.advance(4.0)
    assert centre.pairs() == [("c2", "anna")]


def test_a_bridge_that_fails_leaves_the_caller_in_the_old_place() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.d.bridge_failed(offer.id, 6.0, caller_gone=False)
    view = centre.view("anna", 6.0)
    assert (view.misses, view.calls_answered) == (0, 0)
    assert centre.pairs() == [("c1", "anna")]


def test_a_bridge_that_fails_at_once_is_not_tried_again_at_once() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 0.1)
    centre.d.bridge_failed(offer.id, 0.2, caller_gone=False)
    assert centre.offers() == []
    centre.d.advance(1.0)
    assert centre.pairs() == [("c1", "anna")]


def test_a_bridge_that_fails_because_the_caller_is_gone_gives_the_agent_the_next_call() -> None:
    centre = Centre()
    centre.agent("anna", wrap_up_time=30)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.d.bridge_failed(offer.id, 6.0, caller_gone=True)
    assert centre.pairs() == [("c2", "anna")]
    assert [view.call for view in centre.d.members(6.0)] == ["c2"]


def test_an_answered_agent_who_is_never_bridged_is_freed_by_the_lease() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.d.advance(85.0)
    assert centre.effects() == []
    centre.d.advance(95.0)
    assert [type(effect) for effect in centre.effects()] == [OfferWithdrawn, AgentLeaseExpired, Offered]


def test_who_answered_is_kept_for_the_bridge_while_the_switch_is_away() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.d.set_switch_ready("fs1", False, 20.0)
    centre.d.advance(149.0)
    centre.d.set_switch_ready("fs1", True, 150.0)
    centre.d.advance(239.0)
    assert centre.effects() == []
    centre.d.bridged(offer.id, 239.5)
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL


def test_who_answered_for_a_switch_that_stays_away_is_free_at_last() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.set_switch_ready("fs1", False, 4.0)
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.d.advance(334.0)
    assert centre.effects() == []
    centre.d.advance(335.0)
    assert [type(effect) for effect in centre.effects()] == [OfferWithdrawn, AgentLeaseExpired]


def test_the_longest_waiting_caller_goes_first_and_a_base_score_counts_as_waiting() -> None:
    centre = Centre()
    centre.join("c1", 0.0)
    centre.join("c2", 10.0, base_score=11)
    centre.join("c3", 11.0)
    assert [view.call for view in centre.d.members(11.0)] == ["c2", "c1", "c3"]
    centre.d.set_base_score("c3", 100, 12.0)
    assert [view.call for view in centre.d.members(12.0)] == ["c3", "c2", "c1"]
    assert [centre.d.position(call, 12.0) for call in ("c1", "c2", "c3")] == [3, 2, 1]
    centre.agent("anna", 13.0)
    assert centre.pairs() == [("c3", "anna")]


def test_equal_scores_go_by_who_came_first() -> None:
    centre = Centre()
    for call in ("c2", "c1", "c3"):
        centre.join(call, 0.0)
    assert [view.call for view in centre.d.members(0.0)] == ["c2", "c1", "c3"]


def test_with_time_base_system_the_score_counts_from_the_calls_beginning() -> None:
    centre = Centre(time_base_score="system")
    centre.join("c1", 100.0, arrived_at=90.0)
    centre.join("c2", 101.0, arrived_at=50.0)
    assert [view.call for view in centre.d.members(101.0)] == ["c2", "c1"]
    assert centre.member("c2", 101.0).score == 51.0


def test_a_caller_who_comes_back_has_the_old_place_and_is_never_refused() -> None:
    centre = Centre(max_callers=1, join_when_empty=False)
    centre.agent("anna", status=AgentStatus.ON_BREAK)
    assert centre.join("c2", 50.0, joined_at=50.0, resumes=1) == 1
    assert centre.join("c1", 60.0, joined_at=10.0, resumes=1) == 1
    assert [view.call for view in centre.d.members(60.0)] == ["c1", "c2"]


def test_a_call_that_joins_twice_waits_once() -> None:
    centre = Centre()
    centre.join("c1", 0.0)
    centre.join("c1", 5.0, joined_at=0.0)
    assert [view.waited_seconds for view in centre.d.members(10.0)] == [10.0]


def test_a_full_queue_refuses() -> None:
    centre = Centre(max_callers=2)
    centre.join("c1")
    centre.join("c2")
    with pytest.raises(QueueFull, match="2 callers"):
        centre.join("c3")
    assert len(centre.d.members(0.0)) == 2


def test_a_queue_that_nobody_serves_refuses_where_it_is_configured_so() -> None:
    centre = Centre(join_when_empty=False)
    with pytest.raises(QueueEmpty, match="'q'"):
        centre.join("c1")
    centre.agent("anna", status=AgentStatus.ON_BREAK)
    with pytest.raises(QueueEmpty):
        centre.join("c1")
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 1.0)
    assert centre.join("c1", 1.0) == 1


def test_a_talk_found_after_a_restart_is_taken_over() -> None:
    centre = Centre(wrap_up_time=5)
    record = AgentRecord(
        settings=AgentSettings(name="anna", contact="user/anna"),
        status=AgentStatus.AVAILABLE,
        state=AgentState.IN_A_QUEUE_CALL,
        calls_answered=7,
        talk_seconds=100.0,
    )
    centre.d.put_agent(record, 50.0)
    assert centre.view("anna").state is AgentState.WAITING
    centre.d.put_tier(Tier(queue="q", agent="anna"), 50.0)
    arrival = Arrival(call="c1", uuid="u", switch="fs1", queue="q", arrived_at=1.0, joined_at=1.0)
    offer = centre.d.adopt_talk(arrival, "anna", "leg-1", 20.0, 50.0)
    assert (offer.leg_uuid, offer.call) == ("leg-1", "c1")
    centre.join("c2", 51.0)
    assert centre.offers() == []
    centre.d.talk_ended(offer.id, 60.0)
    view = centre.view("anna", 60.0)
    assert (view.state, view.talk_seconds, view.calls_answered) == (AgentState.WRAP_UP, 140.0, 7)


def test_a_talk_that_is_found_takes_the_agent_from_a_ring_and_the_caller_from_the_queue() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.join("c2", 0.0)
    offer = centre.offer()
    arrival = Arrival(call="c2", uuid="u", switch="fs1", queue="q", arrived_at=0.0, joined_at=0.0)
    talk = centre.d.adopt_talk(arrival, "anna", "leg-1", 1.0, 2.0)
    assert centre.effects() == [OfferWithdrawn(offer, "ORIGINATOR_CANCEL")]
    assert [view.call for view in centre.d.members(2.0)] == ["c1"]
    assert (centre.view("anna").offer, centre.view("anna").call) == (talk, "c2")
    assert centre.d.check_invariants(2.0) == []
    centre.d.offer_failed(offer.id, OfferResult.CANCELLED, "", 2.1)
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL


def test_the_members_of_a_removed_queue_are_served_until_they_are_gone() -> None:
    centre = Centre()
    centre.join("c1", 0.0)
    centre.d.remove_queue("q", 1.0)
    with pytest.raises(UnknownQueue):
        centre.join("c2", 2.0)
    centre.queue("other")
    centre.agent("anna", 3.0, queues=("other",))
    assert [view.is_removed for view in centre.d.queues(3.0)] == [True, False]
    centre.d.leave("c1", 4.0)
    assert [view.name for view in centre.d.queues(4.0)] == ["other"]


def test_the_agents_of_a_queue_that_was_away_serve_it_again() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.d.remove_queue("q", 1.0)
    centre.queue("q", 2.0)
    centre.join("c1", 3.0)
    assert centre.pairs() == [("c1", "anna")]


def test_what_is_unknown_is_said_in_a_sentence() -> None:
    centre = Centre()
    centre.agent("anna", queues=())
    with pytest.raises(UnknownQueue, match="no queue 'x'"):
        centre.join("c1", queue="x")
    with pytest.raises(UnknownQueue, match="no queue 'x'"):
        centre.d.put_tier(Tier(queue="x", agent="anna"), 0.0)
    with pytest.raises(UnknownQueue, match="no queue 'x'"):
        centre.d.remove_queue("x", 0.0)
    with pytest.raises(UnknownAgent, match="no agent 'x'"):
        centre.d.put_tier(Tier(queue="q", agent="x"), 0.0)
    with pytest.raises(UnknownAgent, match="no agent 'x'"):
        centre.d.set_status("x", AgentStatus.AVAILABLE, 0.0)
    with pytest.raises(UnknownTier, match="'anna' has no tier in the queue 'q'"):
        centre.d.remove_tier("q", "anna", 0.0)
    with pytest.raises(UnknownCall, match="no call 'x'"):
        centre.d.set_base_score("x", 1, 0.0)


def test_what_is_said_of_an_unknown_offer_changes_nothing() -> None:
    centre = Centre()
    centre.d.offer_ringing("x", 0.0)
    assert not centre.d.offer_answered("x", 0.0)
    centre.fail(offer_from_elsewhere(), "NO_ANSWER", 0.0)
    centre.d.bridge_failed("x", 0.0, caller_gone=True)
    centre.d.bridged("x", 0.0)
    centre.d.talk_ended("x", 0.0)
    assert centre.effects() == []


def offer_from_elsewhere() -> Offer:
    """An offer under an identifier that nobody knows."""
    other = Centre()
    other.agent("anna")
    other.join("c1")
    return evolve(other.offer(), id="x")
