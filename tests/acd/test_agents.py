"""What agents go through: wrap-up, delays and misses, breaks, logging out, phones that are away."""

from __future__ import annotations

import pytest

from callctl.acd.effects import Offered, OfferWithdrawn
from callctl.model import (
    AgentSettings,
    AgentState,
    AgentStatus,
    OfferResult,
)
from tests.acd.floorplan import Centre


def test_the_wrap_up_of_the_queue_goes_over_the_agents() -> None:
    centre = Centre(wrap_up_time=3)
    centre.agent("anna", wrap_up_time=10)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.talk_ended(offer.id, 2.0)
    assert centre.view("anna").wrap_up_until == 5.0


def test_a_wrap_up_can_be_lengthened_and_ended() -> None:
    centre = Centre(wrap_up_time=3)
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.talk_ended(offer.id, 2.0)
    centre.d.extend_wrap_up("anna", 20, 2.0)
    centre.d.advance(6.0)
    assert centre.view("anna", 6.0).state is AgentState.WRAP_UP
    centre.d.end_wrap_up("anna", 7.0)
    assert centre.view("anna", 7.0).state is AgentState.WAITING
    centre.d.end_wrap_up("anna", 8.0)
    centre.d.extend_wrap_up("anna", 5, 8.0)
    assert centre.view("anna", 8.0).state is AgentState.WAITING


@pytest.mark.parametrize(
    ("cause", "delay"),
    [
        ("USER_BUSY", 30.0),
        ("NORMAL_CIRCUIT_CONGESTION", 30.0),
        ("CALL_REJECTED", 40.0),
        ("USER_NOT_REGISTERED", 5.0),
        ("SUBSCRIBER_ABSENT", 5.0),
        ("NO_ANSWER", 50.0),
        ("NO_ROUTE_DESTINATION", 50.0),
    ],
)
def test_a_failed_offer_holds_the_agent_as_its_cause_asks(cause: str, delay: float) -> None:
    centre = Centre()
    centre.agent("anna", busy_delay_time=30, reject_delay_time=40, no_answer_delay_time=50)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), cause, 10.0)
    assert centre.view("anna", 10.0).state is AgentState.WAITING
    centre.d.advance(10.0 + delay - 0.001)
    assert centre.offers() == []
    assert centre.d.next_deadline() == 10.0 + delay
    centre.d.advance(10.0 + delay)
    assert centre.pairs() == [("c1", "anna")]


def test_an_agent_whose_phone_registers_is_offered_the_call_before_the_five_seconds_are_over() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "USER_NOT_REGISTERED", 0.5)
    centre.d.set_registered("anna", True, 2.0)
    assert centre.pairs() == [("c1", "anna")]


def test_registering_does_not_end_the_delay_of_a_busy_agent() -> None:
    centre = Centre()
    centre.agent("anna", busy_delay_time=30)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "USER_BUSY", 0.5)
    centre.d.set_registered("anna", True, 2.0)
    assert centre.pairs() == []


def test_a_phone_that_fails_at_once_is_rung_once_a_second_and_no_faster() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "NO_ROUTE_DESTINATION", 0.01)
    assert centre.offers() == []
    assert centre.d.next_deadline() == 1.0
    centre.d.advance(1.0)
    offer = centre.offer()
    centre.fail(offer, "NO_ANSWER", 21.0)
    assert centre.pairs() == [("c1", "anna")]


def test_misses_up_to_the_limit_send_the_agent_on_a_break() -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=2)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "NO_ANSWER", 20.0, OfferResult.NO_ANSWER)
    assert centre.view("anna").misses == 1
    centre.fail(centre.offer(), "NO_ANSWER", 40.0, OfferResult.NO_ANSWER)
    view = centre.view("anna")
    assert (view.status, view.state, view.reason) == (AgentStatus.ON_BREAK, AgentState.IDLE, "2 calls missed")
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 50.0)
    assert centre.view("anna").misses == 0
    assert centre.pairs() == [("c1", "anna")]


def test_busy_and_rejected_offers_are_no_misses() -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=1)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "USER_BUSY", 20.0, OfferResult.BUSY)
    centre.fail(centre.offer(), "CALL_REJECTED", 40.0, OfferResult.REJECTED)
    assert centre.view("anna").status is AgentStatus.AVAILABLE


def test_an_answer_sets_the_misses_back() -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=5)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "NO_ANSWER", 20.0)
    centre.answer(centre.offer(), 21.0)
    assert centre.view("anna").misses == 0


def test_an_offer_whose_end_is_unknown_is_nobodys_miss() -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=1)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "", 20.0, OfferResult.UNKNOWN)
    assert centre.view("anna").misses == 0
    assert centre.pairs() == [("c1", "anna")]


def test_a_withdrawn_offer_holds_nothing_against_the_agent_whatever_its_leg_says() -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=1, no_answer_delay_time=60)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.leave("c1", 3.0)
    centre.fail(offer, "NORMAL_CLEARING", 3.1)
    assert centre.view("anna", 3.1).why_not_free == ""


def test_logging_out_while_ringing_takes_the_ring_back_and_the_caller_goes_to_the_next() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.set_status("anna", AgentStatus.LOGGED_OUT, 2.0)
    withdrawn, offered = centre.effects()
    assert withdrawn == OfferWithdrawn(offer, "ORIGINATOR_CANCEL")
    assert isinstance(offered, Offered)
    assert offered.offer.agent == "bert"
    centre.fail(offer, "ORIGINATOR_CANCEL", 2.1)
    assert centre.view("anna").state is AgentState.IDLE


def test_logging_out_during_a_call_takes_effect_after_it() -> None:
    centre = Centre(wrap_up_time=30)
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.set_status("anna", AgentStatus.LOGGED_OUT, 2.0)
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL
    assert centre.effects() == []
    centre.d.talk_ended(offer.id, 60.0)
    assert centre.view("anna").state is AgentState.IDLE


def test_a_break_taken_during_a_call_begins_after_the_wrap_up() -> None:
    centre = Centre(wrap_up_time=30)
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 2.0, "lunch")
    centre.d.talk_ended(offer.id, 60.0)
    assert centre.view("anna").state is AgentState.WRAP_UP
    centre.d.advance(90.0)
    assert centre.view("anna").state is AgentState.IDLE
    assert centre.view("anna").why_not_free == "On Break (lunch)"


def test_an_agent_on_demand_asks_for_each_call() -> None:
    centre = Centre()
    centre.agent("anna", status=AgentStatus.AVAILABLE_ON_DEMAND)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    offer = centre.offer()
    centre.answer(offer, 2.0)
    centre.d.talk_ended(offer.id, 3.0)
    assert centre.view("anna").state is AgentState.IDLE
    assert centre.offers() == []
    centre.d.set_status("anna", AgentStatus.AVAILABLE_ON_DEMAND, 4.0)
    assert centre.pairs() == [("c2", "anna")]


def test_an_agent_without_a_contact_on_the_callers_switch_is_passed_over() -> None:
    centre = Centre()
    centre.agent("anna", contact="")
    centre.agent("bert", contact="", contacts={"fs2": "user/bert"})
    centre.join("c1", 0.0, switch="fs1")
    assert centre.offers() == []
    assert [(p.agent, p.why) for p in centre.decisions()[-1].passed_over] == [
        ("anna", "has no contact"),
        ("bert", "has no contact on fs1"),
    ]
    centre.join("c2", 1.0, switch="fs2")
    offer = centre.offer()
    assert (offer.call, offer.contact) == ("c2", "user/bert")


def test_an_agent_who_is_not_registered_or_has_a_call_of_its_own_is_not_offered() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert")
    centre.d.set_registered("anna", False, 0.0)
    centre.d.set_external_call("bert", True, 0.0)
    centre.join("c1", 0.0)
    assert centre.offers() == []
    centre.d.set_external_call("bert", False, 1.0)
    centre.d.set_registered("anna", None, 1.0)
    assert centre.pairs() == [("c1", "bert")]


def test_a_queue_may_ring_agents_who_have_a_call_of_their_own() -> None:
    centre = Centre(skip_agents_with_external_calls=False)
    centre.agent("anna")
    centre.d.set_external_call("anna", True, 0.0)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "anna")]


def test_a_known_agent_who_is_put_again_keeps_its_call() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.put_agent(AgentSettings(name="anna", contact="user/2", wrap_up_time=9), 2.0)
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL
    centre.d.talk_ended(offer.id, 3.0)
    assert centre.view("anna").wrap_up_until == 12.0


def test_an_agent_removed_and_added_again_still_has_its_call() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.remove_agent("anna", 2.0)
    centre.agent("anna", 3.0)
    assert centre.view("anna").state is AgentState.IN_A_QUEUE_CALL
    assert centre.view("anna").call == "c1"
    centre.d.talk_ended(offer.id, 4.0)
    assert centre.view("anna").state is AgentState.WAITING
