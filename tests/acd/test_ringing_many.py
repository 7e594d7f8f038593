"""ring-all and ring-progressively: several agents for one caller, and one winner."""

from __future__ import annotations

from callctl.acd.effects import OfferWithdrawn
from callctl.model import AgentState, OfferResult, Strategy
from tests.acd.floorplan import Centre


def test_ring_all_rings_everyone_eligible_and_those_who_come_later() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    centre.agent("bert", position=2)
    centre.agent("anna", position=1)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "anna"), ("c1", "bert")]
    centre.agent("cleo", 1.0)
    assert centre.pairs() == [("c1", "cleo")]


def test_the_first_to_answer_wins_and_nothing_is_held_against_the_others() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    for name in ("anna", "bert", "cleo"):
        centre.agent(name, max_no_answer=1, no_answer_delay_time=99, busy_delay_time=99)
    centre.join("c1", 0.0)
    anna, bert, cleo = centre.offers()
    assert centre.d.offer_answered(bert.id, 3.0)
    assert centre.effects() == [OfferWithdrawn(anna, "LOSE_RACE"), OfferWithdrawn(cleo, "LOSE_RACE")]
    assert not centre.d.offer_answered(anna.id, 3.0)
    centre.d.bridged(bert.id, 3.1)
    centre.join("c2", 3.2)
    assert centre.offers() == []
    centre.fail(anna, "LOSE_RACE", 3.3, OfferResult.CANCELLED)
    centre.fail(cleo, "NORMAL_CLEARING", 3.4)
    assert centre.pairs() == [("c2", "anna"), ("c2", "cleo")]


def test_when_the_winners_bridge_fails_everybody_is_rung_again() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0)
    anna, bert = centre.offers()
    assert centre.d.offer_answered(anna.id, 3.0)
    centre.fail(bert, "LOSE_RACE", 3.1, OfferResult.CANCELLED)
    centre.effects()
    centre.d.bridge_failed(anna.id, 3.5, caller_gone=False)
    assert sorted(centre.pairs()) == [("c1", "anna"), ("c1", "bert")]


def test_ring_all_gives_all_agents_to_the_caller_with_the_highest_score() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0, base_score=100)
    centre.agent("anna", 2.0)
    centre.agent("bert", 2.0)
    assert centre.pairs() == [("c2", "anna"), ("c2", "bert")]


def test_ring_progressively_rings_one_more_every_so_many_seconds() -> None:
    centre = Centre(strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=10, ring_timeout=60)
    for position, name in enumerate(("anna", "bert", "cleo"), start=1):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "anna")]
    assert centre.d.next_deadline() == 10.0
    centre.d.advance(9.999)
    assert centre.offers() == []
    centre.d.advance(10.0)
    assert centre.pairs() == [("c1", "bert")]
    centre.d.advance(20.0)
    assert centre.pairs() == [("c1", "cleo")]
    assert [centre.view(name).state for name in ("anna", "bert", "cleo")] == [AgentState.RESERVED] * 3


def test_ring_progressively_goes_on_at_once_when_nobody_is_ringing_any_more() -> None:
    centre = Centre(strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=10)
    centre.agent("anna", position=1)
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "USER_BUSY", 2.0)
    assert centre.pairs() == [("c1", "bert")]


def test_ring_progressively_rings_another_one_before_somebody_who_rejected() -> None:
    centre = Centre(strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=10)
    for position, name in enumerate(("anna", "bert", "cleo"), start=1):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    anna = centre.offer()
    centre.d.advance(10.0)
    centre.offer()
    centre.fail(anna, "CALL_REJECTED", 12.0)
    assert centre.offers() == []
    centre.d.advance(20.0)
    assert centre.pairs() == [("c1", "cleo")]
    centre.d.advance(25.0)
    centre.effects()
    centre.d.advance(30.0)
    assert centre.view("anna", 30.0).state is AgentState.RESERVED


def test_while_one_caller_rings_progressively_the_next_caller_gets_the_free_agents() -> None:
    centre = Centre(strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=10)
    centre.agent("anna", position=1)
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    assert centre.pairs() == [("c1", "anna"), ("c2", "bert")]


def test_ring_progressively_without_a_delay_rings_everyone() -> None:
    centre = Centre(strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=0)
    centre.agent("anna", position=1)
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "anna"), ("c1", "bert")]


def test_a_caller_who_leaves_takes_every_ring_along() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0)
    centre.offers()
    centre.d.leave("c1", 2.0)
    assert centre.withdrawn() == [("anna", "ORIGINATOR_CANCEL"), ("bert", "ORIGINATOR_CANCEL")]
