"""Callers on a switch that takes no orders: nobody is rung for them, and their places are kept."""

from __future__ import annotations

from tests.acd.floorplan import Centre


def test_nobody_is_rung_for_a_caller_whose_switch_is_away() -> None:
    centre = Centre()
    centre.agent("ada")
    centre.d.set_switch_ready("fs1", False, 1.0)
    centre.join("one", 2.0)
    assert centre.offers() == []
    assert centre.d.check_invariants(2.0) == []


def test_a_caller_on_another_switch_is_served_meanwhile_in_spite_of_the_lower_score() -> None:
    centre = Centre()
    centre.d.set_switch_ready("fs1", False, 0.0)
    centre.join("one", 1.0)
    centre.join("two", 2.0, switch="fs2")
    centre.agent("ada", 3.0)
    assert [offer.call for offer in centre.offers()] == ["two"]


def test_callers_are_served_in_their_old_order_once_their_switch_is_back() -> None:
    centre = Centre()
    centre.agent("ada")
    centre.d.set_switch_ready("fs1", False, 0.0)
    centre.join("one", 1.0)
    centre.join("two", 2.0)
    centre.d.set_switch_ready("fs1", True, 3.0)
    assert [offer.call for offer in centre.offers()] == ["one"]


def test_it_is_said_why_nobody_is_rung() -> None:
    centre = Centre()
    centre.agent("ada")
    centre.d.set_switch_ready("fs1", False, 0.0)
    centre.join("one", 1.0)
    [passed] = centre.d.explain("one", 1.0).passed_over
    assert (passed.agent, passed.why) == ("ada", "the caller's switch fs1 is not connected")


def test_a_caller_who_is_to_be_offered_later_is_explained_as_well() -> None:
    centre = Centre()
    centre.join("one", 0.0)
    centre.d.postpone("one", 60.0, 1.0)
    centre.agent("ada", 2.0)
    [passed] = centre.d.explain("one", 3.0).passed_over
    assert passed.why == "this caller is being offered to somebody, or to be offered later"
