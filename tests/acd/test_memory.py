"""Callers who come back: to a place they lost, to a callback, to the expected wait they were told."""

from __future__ import annotations

import pytest

from callctl.acd import memory
from callctl.acd.effects import Offered, OfferWithdrawn, WaitOver
from callctl.errors import QueueFull
from callctl.model import AgentStatus, Reason
from tests.acd.floorplan import Centre


def test_a_caller_who_was_cut_off_comes_back_to_the_old_place() -> None:
    centre = Centre(abandoned_resume_allowed=True, discard_abandoned_after=60)
    centre.join("c1", 0.0, caller_number="030123")
    centre.join("c2", 10.0, caller_number="040456")
    centre.d.leave("c1", 20.0, abandoned=True)
    assert centre.join("c3", 80.0, caller_number="030123") == 1
    assert centre.member("c3", 80.0).score == 80.0
    assert centre.member("c3", 80.0).waited_seconds == 0.0


@pytest.mark.parametrize(
    ("allowed", "abandoned", "number", "queue", "now"),
    [
        (False, True, "030123", "q", 80.0),
        (True, False, "030123", "q", 80.0),
        (True, True, "030124", "q", 80.0),
        (True, True, "030123", "other", 80.0),
        (True, True, "030123", "q", 80.001),
    ],
    ids=["not allowed", "did not hang up", "somebody else", "another queue", "too late"],
)
def test_nobody_else_gets_that_place(
    allowed: bool, abandoned: bool, number: str, queue: str, now: float
) -> None:
    centre = Centre(abandoned_resume_allowed=allowed, discard_abandoned_after=60)
    centre.queue("other", abandoned_resume_allowed=True)
    centre.join("c1", 0.0, caller_number="030123")
    centre.d.leave("c1", 20.0, abandoned=abandoned)
    centre.join("c3", now, queue=queue, caller_number=number)
    assert centre.member("c3", now).score == 0.0


def test_a_place_is_taken_up_once() -> None:
    centre = Centre(abandoned_resume_allowed=True)
    centre.join("c1", 0.0, caller_number="030123")
    centre.d.leave("c1", 20.0, abandoned=True)
    centre.join("c2", 30.0, caller_number="030123")
    centre.join("c3", 30.0, caller_number="030123")
    assert [centre.member(call, 30.0).score for call in ("c2", "c3")] == [30.0, 0.0]


def test_callers_without_a_number_are_nobody_in_particular() -> None:
    centre = Centre(abandoned_resume_allowed=True, preferred_agent_seconds=1000)
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 0.0)
    centre.d.talk_ended(offer.id, 1.0)
    centre.join("c2", 2.0)
    assert centre.pairs() == [("c2", "bert")]
    centre.d.leave("c2", 3.0, abandoned=True)
    centre.join("c3", 4.0)
    assert centre.member("c3", 4.0).score == 0.0


WITHHELD = ["anonymous", "unavailable", "restricted", "0000000000", "+266696687"]
SPELLINGS = [("(212) 555-0100", "2125550100"), ("+1 212 555-0100", "+12125550100")]


@pytest.mark.fault(4)
@pytest.mark.parametrize("number", WITHHELD)
def test_two_callers_who_withhold_their_number_are_two_callers(number: str) -> None:
    centre = Centre(abandoned_resume_allowed=True, preferred_agent_seconds=1000)
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0, caller_number=number)
    offer = centre.offer()
    centre.answer(offer, 0.0)
    centre.d.talk_ended(offer.id, 1.0)
    centre.join("c2", 2.0, caller_number=number)
    assert centre.pairs() == [("c2", "bert")]
    centre.d.leave("c2", 3.0, abandoned=True)
    assert centre.join("c3", 4.0, caller_number=number) == 1
    assert centre.member("c3", 4.0).score == 0.0


@pytest.mark.fault(4)
@pytest.mark.parametrize("number", WITHHELD)
def test_a_caller_who_withholds_the_number_ends_no_callback(number: str) -> None:
    centre = Centre()
    centre.join("c1", 0.0, caller_number=number, callback=True)
    centre.join("c2", 1.0, caller_number=number)
    assert [member.call for member in centre.d.members(1.0)] == ["c1", "c2"]


@pytest.mark.fault(4)
@pytest.mark.parametrize(("first", "then"), SPELLINGS)
def test_a_number_is_known_again_in_another_spelling(first: str, then: str) -> None:
    centre = Centre(abandoned_resume_allowed=True)
    centre.join("c1", 0.0, caller_number=first)
    centre.d.leave("c1", 20.0, abandoned=True)
    centre.join("c2", 30.0, caller_number=then)
    assert centre.member("c2", 30.0).score == 30.0
    centre.join("c3", 40.0, caller_number=then, callback=True)
    centre.join("c4", 50.0, caller_number=first)
    assert [member.call for member in centre.d.members(50.0)] == ["c2", "c4"]


def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "REMEMBERED_CALLERS", 2)
    centre = Centre(abandoned_resume_allowed=True, preferred_agent_seconds=1000)
    centre.agent("anna")
    for number in "123":
        centre.join(number, 0.0, caller_number=number)
        offer = centre.offer()
        centre.answer(offer, 0.0)
        centre.d.talk_ended(offer.id, 1.0)
        centre.join(f"again {number}", 1.0, caller_number=number)
        left = centre.offer()
        centre.d.leave(f"again {number}", 2.0, abandoned=True)
        centre.effects()
        centre.fail(left, "ORIGINATOR_CANCEL", 2.0)
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 10.0)
    for number in "123":
        centre.join(f"back {number}", 10.0, caller_number=number)
    views = [centre.member(f"back {number}", 10.0) for number in "123"]
    assert [view.score for view in views] == [0.0, 9.0, 9.0]
    assert [view.arrival.preferred_agent for view in views] == ["", "anna", "anna"]


def test_a_callback_keeps_its_place_and_is_offered_in_its_turn() -> None:
    centre = Centre(max_wait_time=30, leave_when_empty=True, max_callers=1)
    centre.agent("anna")
    centre.join("c0", 0.0)
    offer = centre.offer()
    centre.answer(offer, 0.0)
    centre.join("c1", 5.0, caller_number="030123")
    # The caller hangs up and asks to be called back: the same visit goes on without a caller.
    centre.join("c1", 8.0, joined_at=5.0, caller_number="030123", callback=True)
    centre.d.advance(500.0)
    assert centre.effects() == []
    centre.d.talk_ended(offer.id, 600.0)
    assert centre.pairs() == [("c1", "anna")]


@pytest.mark.fault(20)
def test_callbacks_fill_no_queue_and_do_not_count_as_waiting() -> None:
    centre = Centre(max_callers=1)
    for number in range(3):
        centre.join(f"callback {number}", float(number), callback=True, caller_number=f"03012{number}")
    view = centre.d.queue("q", 500.0)
    assert (view.waiting, view.trying, view.longest_wait_seconds) == (0, 0, 0.0)
    assert centre.join("c1", 500.0) == 4
    view = centre.d.queue("q", 507.0)
    assert (view.waiting, view.callbacks, view.longest_wait_seconds) == (1, 3, 7.0)
    with pytest.raises(QueueFull):
        centre.join("c2", 508.0)
    centre.d.leave("callback 0", 509.0)
    centre.d.set_base_score("callback 1", 10.0, 509.0)
    assert centre.d.queue("q", 510.0).callbacks == 2


def test_never_more_callbacks_are_due_than_agents_are_free() -> None:
    centre = Centre()
    for number in range(5):
        centre.join(f"c{number}", float(number), callback=True)
    centre.agent("anna", 10.0)
    centre.agent("bert", 10.0)
    assert centre.pairs() == [("c0", "anna"), ("c1", "bert")]


def test_a_callback_whose_caller_did_not_answer_is_tried_later_in_its_old_place() -> None:
    centre = Centre()
    centre.join("c1", 0.0, callback=True)
    centre.agent("anna", 1.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 2.0)
    centre.d.postpone("c1", 100.0, 5.0)
    assert centre.effects() == [OfferWithdrawn(offer, "ORIGINATOR_CANCEL")]
    centre.fail(offer, "ORIGINATOR_CANCEL", 5.1)
    assert centre.offers() == []
    centre.join("c2", 50.0)
    second = centre.offer()
    assert second.call == "c2"
    centre.answer(second, 51.0)
    centre.join("c3", 90.0)
    assert centre.d.position("c1", 90.0) == 1
    centre.d.talk_ended(second.id, 99.0)
    third = centre.offer()
    assert third.call == "c3"
    centre.answer(third, 99.0)
    assert centre.d.next_deadline() == 100.0
    centre.d.talk_ended(third.id, 99.5)
    centre.d.advance(100.0)
    assert centre.pairs() == [("c1", "anna")]
    centre.d.postpone("c9", 1.0, 100.0)
    assert centre.pairs() == []


def test_a_caller_whose_own_place_is_better_than_that_of_the_callback_keeps_it() -> None:
    centre = Centre()
    centre.join("c1", 50.0, caller_number="030123", callback=True)
    centre.join("c2", 90.0, caller_number="030123", place_since=20.0)
    [member] = centre.d.members(90.0)
    assert (member.call, member.arrival.place_since) == ("c2", 20.0)


def test_a_callback_that_is_just_being_made_is_not_taken_from_its_agent() -> None:
    centre = Centre()
    centre.agent("anna", 0.0)
    centre.join("c1", 0.0, caller_number="030123", callback=True)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 5.0)
    centre.join("c2", 6.0, caller_number="030123")
    places = {member.call: member.arrival.place_since for member in centre.d.members(6.0)}
    assert places == {"c1": None, "c2": None}
    assert not [effect for effect in centre.effects() if isinstance(effect, WaitOver)]


def test_the_caller_who_calls_in_meanwhile_takes_the_callbacks_place() -> None:
    centre = Centre()
    centre.join("c0", 0.0)
    centre.join("c1", 5.0, caller_number="030123", callback=True)
    centre.join("c2", 6.0)
    assert centre.join("c3", 50.0, caller_number="030123") == 2
    assert centre.effects() == [WaitOver("c1", Reason.WITHDRAWN, "call:c3")]
    assert [view.call for view in centre.d.members(50.0)] == ["c0", "c3", "c2"]


def test_a_callback_that_is_just_being_rung_goes_over_to_the_caller_who_calls_in() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 5.0, caller_number="030123", callback=True)
    offer = centre.offer()
    centre.join("c3", 6.0, caller_number="030123")
    withdrawn, over, offered = centre.effects()
    assert withdrawn == OfferWithdrawn(offer, "ORIGINATOR_CANCEL")
    assert over == WaitOver("c1", Reason.WITHDRAWN, "call:c3")
    assert isinstance(offered, Offered)
    assert (offered.offer.call, offered.offer.agent) == ("c3", "bert")


def test_a_callback_that_is_over_is_nobodys_place_any_more() -> None:
    centre = Centre()
    centre.join("c1", 5.0, caller_number="030123", callback=True)
    centre.d.leave("c1", 10.0)
    centre.join("c3", 50.0, caller_number="030123")
    assert centre.effects() == []
    assert centre.member("c3", 50.0).score == 0.0


def waits(centre: Centre, *seconds: float) -> None:
    """Have callers bridged who waited so long, one after the other until 1000 s, each as the next."""
    centre.agent("anna")
    at = 1000.0 - sum(seconds)
    for number, wait in enumerate(seconds):
        centre.d.set_external_call("anna", True, at)
        centre.join(f"w{number}", at)
        at += wait
        centre.d.set_external_call("anna", False, at)
        offer = centre.offer()
        centre.answer(offer, at)
        centre.d.talk_ended(offer.id, at)
    centre.effects()


def test_the_expected_wait_is_the_time_a_place_took_of_late_times_the_places() -> None:
    centre = Centre()
    waits(centre, 20, 30, 40)
    centre.d.set_external_call("anna", True, 1000.0)
    assert centre.d.expected_wait("q", 1000.0) == 30.0
    centre.d.set_external_call("anna", False, 1000.0)
    centre.join("c0", 1000.0)
    centre.answer(centre.offer(), 1000.0)
    # (20 + 30 + 40 + 0) / 4 places = 22.5 s a place.
    centre.join("c1", 1000.0)
    centre.join("c2", 1000.0)
    assert centre.d.expected_wait("q", 1000.0) == 67.5
    assert centre.d.queues(1000.0)[0].expected_wait_seconds == 67.5
    assert centre.d.announced_wait("c1", 1000.0) == 30.0
    assert centre.d.announced_wait("c2", 1000.0) == 50.0


def test_what_is_told_of_the_wait_never_rises() -> None:
    centre = Centre()
    waits(centre, 20, 30, 40)
    centre.d.set_external_call("anna", True, 1000.0)
    centre.join("c1", 1000.0)
    assert centre.d.announced_wait("c1", 1000.0) == 30.0
    centre.join("c2", 1001.0, base_score=1000)
    centre.join("c3", 1002.0, base_score=1000)
    assert centre.d.position("c1", 1002.0) == 3
    assert centre.d.announced_wait("c1", 1002.0) == 30.0
    centre.d.leave("c2", 1003.0)
    centre.d.leave("c3", 1003.0)
    assert centre.d.announced_wait("c1", 1003.0) == 30.0


@pytest.mark.fault(19)
def test_a_restart_is_no_part_of_the_time_that_a_place_takes() -> None:
    centre = Centre()
    centre.agent("anna", status=AgentStatus.ON_BREAK)
    for number in range(4):  # They joined ten minutes ago, and a new process finds them each in its place.
        centre.join(f"w{number}", 1000.0 + number, joined_at=400.0 + number, resumes=1)
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 1030.0)
    for number in range(3):
        offer = centre.offer()
        centre.answer(offer, 1030.0 + 10 * number)
        centre.d.talk_ended(offer.id, 1040.0 + 10 * number)
    centre.d.set_external_call("anna", True, 1060.0)
    # 30, 39 and 48 s for the places 1, 2 and 3, and not ten minutes for each.
    assert centre.d.announced_wait("w3", 1060.0) == 20.0


@pytest.mark.fault(19)
def test_a_higher_priority_is_no_part_of_the_time_that_a_place_takes() -> None:
    centre = Centre()
    centre.agent("anna", status=AgentStatus.ON_BREAK)
    for number in range(4):
        centre.join(f"w{number}", 1000.0)
    centre.d.set_base_score("w3", 500.0, 1600.0)
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 1630.0)
    offer = centre.offer()
    assert offer.call == "w3"
    centre.answer(offer, 1630.0)
    queue = centre.d._floor.queues["q"]
    assert list(queue.waits._last) == [(1630.0, 30.0, 1)]


@pytest.mark.fault(19)
def test_a_callback_for_later_stands_before_nobody_until_then() -> None:
    centre = Centre()
    waits(centre, 60, 60, 60)
    centre.join("back", 1000.0, callback=True, caller_number="4930")
    assert centre.offer().call == "back"
    centre.d.postpone("back", 1300.0, 1001.0)
    centre.d.set_external_call("anna", True, 1001.0)
    centre.join("c1", 1002.0)
    centre.join("c2", 1003.0)
    assert [centre.d.position(call, 1003.0) for call in ("back", "c1", "c2")] == [1, 1, 2]
    assert [(view.call, view.position) for view in centre.d.members(1003.0)] == [
        ("back", 1),
        ("c1", 1),
        ("c2", 2),
    ]
    assert centre.d.announced_wait("c1", 1003.0) == 60.0
    assert centre.d.expected_wait("q", 1003.0) == 180.0
    centre.d.advance(1300.0)
    assert [centre.d.position(call, 1300.0) for call in ("back", "c1", "c2")] == [1, 2, 3]


@pytest.mark.fault(19)
def test_whoever_is_free_is_waited_for_by_nobody() -> None:
    centre = Centre()
    centre.queue("other")
    waits(centre, 300, 300, 300)
    assert centre.d.expected_wait("q", 1000.0) == 0.0
    centre.d.set_external_call("anna", True, 1000.0)
    assert centre.d.expected_wait("q", 1000.0) == 300.0
    centre.agent("bert", 1000.0, queues=("q", "other"))
    assert centre.d.expected_wait("q", 1000.0) == 0.0
    centre.join("c1", 1000.0, queue="other")
    assert centre.offer().agent == "bert"
    assert centre.d.expected_wait("q", 1000.0) == 300.0


def test_nothing_is_told_of_a_wait_that_nobody_can_know() -> None:
    centre = Centre()
    waits(centre, 20, 30)
    centre.d.set_external_call("anna", True, 1000.0)
    assert centre.d.expected_wait("q", 1000.0) is None
    centre.join("c1", 1000.0)
    assert centre.d.announced_wait("c1", 1000.0) is None
    centre.d.set_external_call("anna", False, 1010.0)
    centre.answer(centre.offer(), 1010.0)
    centre.join("c2", 1011.0)
    assert centre.d.announced_wait("c2", 1011.0) == 20.0
    assert centre.d.announced_wait("c2", 1000.0 + 1801.0) is None
    centre.d.remove_agent("anna", 1012.0)
    assert centre.d.announced_wait("c2", 1012.0) is None
    assert centre.d.expected_wait("q", 1012.0) is None
