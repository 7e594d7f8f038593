"""How waits end by the queue's rules, each exact to the moment."""

from __future__ import annotations

from typing import Any

import pytest

from callctl.acd.effects import OfferWithdrawn, WaitOver
from callctl.errors import ConfigError, QueueClosed, QueueEmpty
from callctl.model import AgentStatus, OpeningHours, OverflowRule, Reason
from tests.acd.floorplan import Centre


def test_max_wait_time_ends_a_wait_to_the_moment_also_while_an_agent_rings() -> None:
    centre = Centre(max_wait_time=30, ring_timeout=60)
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert centre.d.next_deadline() == 30.0
    centre.d.advance(29.999)
    assert centre.effects() == []
    centre.d.advance(30.0)
    assert centre.effects() == [
        OfferWithdrawn(offer, "ORIGINATOR_CANCEL"),
        WaitOver("c1", Reason.TIMEOUT),
    ]
    assert not centre.d.offer_answered(offer.id, 30.0)
    assert centre.d.members(30.0) == ()


def test_max_wait_time_counts_from_joining_over_every_reconnection() -> None:
    centre = Centre(max_wait_time=30)
    centre.join("c1", 25.0, joined_at=0.0, resumes=1)
    assert centre.d.next_deadline() == 30.0


def test_a_caller_who_is_just_being_bridged_is_not_timed_out() -> None:
    centre = Centre(max_wait_time=30)
    centre.agent("anna")
    centre.join("c1", 20.0, joined_at=0.0)
    offer = centre.offer()
    assert centre.d.offer_answered(offer.id, 29.0)
    centre.d.advance(31.0)
    assert centre.effects() == []
    centre.d.bridge_failed(offer.id, 32.0, caller_gone=False)
    assert centre.ends() == [("c1", "TIMEOUT")]


def test_a_shorter_limit_reaches_those_who_wait_already() -> None:
    centre = Centre()
    centre.join("c1", 0.0)
    centre.join("c2", 8.0)
    centre.queue("q", 20.0, max_wait_time=15)
    assert centre.ends() == [("c1", "TIMEOUT")]
    assert centre.d.next_deadline() == 23.0


def test_with_nobody_there_the_wait_ends_after_its_own_limit() -> None:
    centre = Centre(max_wait_time_with_no_agent=20, max_wait_time_with_no_agent_time_reached=5)
    centre.agent("anna", 0.0)
    centre.join("c1", 0.0, skills={"none": 1})
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 100.0)
    centre.join("c2", 110.0)
    assert centre.effects() == []
    centre.d.advance(119.999)
    assert centre.ends() == []
    centre.d.advance(120.0)
    assert centre.ends() == [("c1", "NO_AGENT_TIMEOUT")]
    centre.d.advance(134.999)
    assert centre.ends() == []
    centre.d.advance(135.0)
    assert centre.ends() == [("c2", "NO_AGENT_TIMEOUT")]


def test_an_agent_who_comes_back_in_time_ends_the_count() -> None:
    centre = Centre(max_wait_time_with_no_agent=20)
    centre.join("c1", 0.0, skills={"none": 1})
    centre.agent("anna", 19.0)
    centre.d.advance(1000.0)
    assert centre.ends() == []


def test_an_agent_in_a_call_is_there() -> None:
    centre = Centre(max_wait_time_with_no_agent=20, leave_when_empty=True)
    centre.agent("anna")
    centre.join("c1", 0.0)
    centre.answer(centre.offer(), 1.0)
    centre.join("c2", 2.0)
    centre.d.advance(1000.0)
    assert centre.effects() == []


def test_an_agent_without_any_contact_is_not_there() -> None:
    centre = Centre(leave_when_empty=True)
    centre.agent("anna", contact="")
    centre.join("c1", 0.0)
    assert centre.ends() == [("c1", "EMPTY")]


def test_callers_leave_a_queue_that_becomes_empty_where_it_is_configured_so() -> None:
    centre = Centre(leave_when_empty=True)
    centre.agent("anna")
    centre.join("c1", 0.0, skills={"none": 1})
    centre.join("c2", 1.0)
    offer = centre.offer()
    centre.d.set_status("anna", AgentStatus.LOGGED_OUT, 5.0)
    withdrawn, *ends = centre.effects()
    assert withdrawn == OfferWithdrawn(offer, "ORIGINATOR_CANCEL")
    assert set(ends) == {WaitOver("c1", Reason.EMPTY), WaitOver("c2", Reason.EMPTY)}


@pytest.mark.fault(15)
def test_an_agent_whose_phone_is_known_not_to_be_registered_is_not_there() -> None:
    centre = Centre(leave_when_empty=True)
    centre.agent("anna")
    centre.join("c1", 0.0, skills={"none": 1})
    assert centre.effects() == []
    centre.d.set_registered("anna", False, 5.0)
    assert centre.ends() == [("c1", "EMPTY")]


@pytest.mark.fault(15)
def test_nobody_joins_a_queue_whose_phones_are_all_known_not_to_be_registered() -> None:
    centre = Centre(join_when_empty=False)
    centre.agent("anna")
    centre.d.set_registered("anna", False, 0.0)
    with pytest.raises(QueueEmpty):
        centre.join("c1", 1.0)
    centre.d.set_registered("anna", None, 2.0)
    centre.join("c2", 2.0)
    assert centre.pairs() == [("c2", "anna")]


@pytest.mark.fault(15)
def test_the_time_with_nobody_there_runs_from_when_the_last_phone_was_gone() -> None:
    centre = Centre(max_wait_time_with_no_agent=20, max_wait_time_with_no_agent_time_reached=0)
    for name in ("anna", "bert"):
        centre.agent(name)
    centre.join("c1", 0.0, skills={"none": 1})
    centre.d.set_registered("anna", False, 50.0)
    centre.d.set_registered("bert", False, 100.0)
    centre.d.advance(119.0)
    assert centre.ends() == []
    centre.d.advance(120.0)
    assert centre.ends() == [("c1", "NO_AGENT_TIMEOUT")]


@pytest.mark.fault(15)
def test_a_level_whose_phones_are_all_gone_is_not_waited_for() -> None:
    centre = Centre(tier_rules_apply=True, tier_rule_wait_second=60)
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.d.set_registered("anna", False, 0.0)
    centre.join("c1", 1.0)
    assert centre.pairs() == [("c1", "bert")]


def test_an_agent_who_talks_is_there_whatever_becomes_of_the_registration() -> None:
    centre = Centre(leave_when_empty=True)
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.join("c2", 2.0)
    centre.d.set_registered("anna", False, 3.0)
    assert centre.effects() == []
    centre.d.talk_ended(offer.id, 9.0)
    assert centre.ends() == [("c2", "EMPTY")]


@pytest.mark.parametrize("how", ["tier", "agent"])
def test_the_last_agent_taken_away_leaves_an_empty_queue(how: str) -> None:
    centre = Centre(leave_when_empty=True)
    centre.agent("anna")
    centre.join("c1", 0.0, skills={"none": 1})
    if how == "tier":
        centre.d.remove_tier("q", "anna", 1.0)
    else:
        centre.d.remove_agent("anna", 1.0)
    assert centre.ends() == [("c1", "EMPTY")]
    assert centre.d.check_invariants(1.0) == []


def test_a_timed_pause_ends_by_itself() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 10.0, "coffee", until=310.0)
    centre.join("c1", 20.0)
    assert centre.view("anna").status_until == 310.0
    assert centre.d.next_deadline() == 310.0
    centre.d.advance(310.0)
    assert centre.pairs() == [("c1", "anna")]
    assert (centre.view("anna").status, centre.view("anna").reason) == (AgentStatus.AVAILABLE, "")


def test_a_status_set_meanwhile_undoes_the_end_of_a_timed_pause() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 10.0, until=310.0)
    centre.d.set_status("anna", AgentStatus.LOGGED_OUT, 20.0)
    centre.d.advance(1000.0)
    assert centre.view("anna").status is AgentStatus.LOGGED_OUT


def test_who_waited_too_long_overflows_to_the_first_target_that_holds() -> None:
    rules = (
        OverflowRule(to="voicemail:1", waited=60, waiting=5),
        OverflowRule(to="queue:help", waited=60),
        OverflowRule(to="hangup:USER_BUSY", waited=30, nobody_there=True),
    )
    centre = Centre(overflow=rules)
    centre.agent("anna")
    centre.join("c1", 0.0, skills={"none": 1})
    centre.d.advance(30.0)
    assert centre.effects() == []
    assert centre.d.next_deadline() == 60.0
    centre.d.advance(60.0)
    assert centre.effects() == [WaitOver("c1", Reason.OVERFLOW, "queue:help")]


def test_an_overflow_takes_back_what_rings() -> None:
    centre = Centre(overflow=(OverflowRule(to="queue:help", waited=10),))
    centre.agent("anna")
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.advance(10.0)
    assert centre.effects() == [
        OfferWithdrawn(offer, "ORIGINATOR_CANCEL"),
        WaitOver("c1", Reason.OVERFLOW, "queue:help"),
    ]


def test_more_than_so_many_waiting_sends_the_one_on_who_is_too_many() -> None:
    centre = Centre(overflow=(OverflowRule(to="queue:help", waiting=2),))
    centre.join("c1", 0.0)
    centre.join("c2", 1.0)
    assert centre.effects() == []
    centre.join("c3", 2.0)
    assert centre.ends() == [("c3", "OVERFLOW")]
    centre.join("c4", 3.0, base_score=1000)
    assert [view.call for view in centre.d.members(3.0)] == ["c4", "c1", "c2"]
    centre.agent("anna", 4.0, skills={})
    assert centre.pairs() == [("c4", "anna")]


def test_a_caller_who_comes_back_to_the_wait_is_not_counted_as_entering() -> None:
    centre = Centre(overflow=(OverflowRule(to="queue:help", waiting=1),))
    centre.join("c1", 0.0)
    centre.join("c2", 1.0, resumes=1)
    assert centre.effects() == []


def test_nobody_there_overflows_those_who_come_and_those_who_wait() -> None:
    centre = Centre(overflow=(OverflowRule(to="voicemail:1", nobody_there=True),))
    centre.join("c1", 0.0)
    assert centre.ends() == [("c1", "OVERFLOW")]
    centre.agent("anna", 1.0)
    centre.join("c2", 2.0, skills={"none": 1})
    assert centre.effects() == []
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 3.0)
    assert centre.ends() == [("c2", "OVERFLOW")]


def test_an_expected_wait_that_is_too_long_overflows_who_enters() -> None:
    centre = Centre(overflow=(OverflowRule(to="queue:help", expected_wait=100),))
    centre.agent("anna")
    for number in range(3):  # Three callers who waited 60 s each, as the next.
        centre.d.set_external_call("anna", True, 100.0 * number)
        centre.join(f"c{number}", 100.0 * number)
        centre.d.set_external_call("anna", False, 100.0 * number + 60)
        offer = centre.offer()
        centre.answer(offer, 100.0 * number + 60)
        centre.d.talk_ended(offer.id, 100.0 * number + 90)
    centre.join("c3", 300.0)
    offer = centre.offer()
    centre.answer(offer, 300.0)
    # (60 + 60 + 60 + 0) / 4 places = 45 s for a place: 45, 90, 135.
    centre.join("c4", 301.0)
    centre.join("c5", 302.0)
    assert centre.effects() == []
    centre.join("c6", 303.0)
    assert centre.ends() == [("c6", "OVERFLOW")]


def slow_queue(**settings: Any) -> Centre:
    """Return a queue in which each place took ten minutes of late; anna is there, and free at 3000 s."""
    centre = Centre(overflow=(OverflowRule(to="queue:help", expected_wait=100),), **settings)
    centre.agent("anna")
    for number in range(3):
        at = 1000.0 + 600.0 * number
        centre.d.set_external_call("anna", True, at)
        centre.join(f"w{number}", at)
        centre.d.set_external_call("anna", False, at + 600.0)
        offer = centre.offer()
        centre.answer(offer, at + 600.0)
        centre.d.talk_ended(offer.id, at + 600.0)
    centre.effects()
    return centre


@pytest.mark.fault(19)
def test_nobody_is_sent_away_for_an_expected_wait_while_an_agent_is_free() -> None:
    centre = slow_queue()
    centre.join("c1", 3000.0)
    assert centre.pairs() == [("c1", "anna")]
    centre.join("c2", 3001.0)
    assert centre.ends() == [("c2", "OVERFLOW")]


@pytest.mark.fault(19)
def test_nobody_is_sent_away_while_there_are_more_free_agents_than_callers_to_go_before() -> None:
    centre = slow_queue()
    centre.agent("bert", 3000.0, position=2)
    centre.join("c1", 3000.0)
    centre.join("c2", 3000.0)
    assert centre.pairs() == [("c1", "bert"), ("c2", "anna")]


@pytest.mark.fault(19)
def test_a_free_agent_who_fits_only_others_does_not_keep_a_caller() -> None:
    centre = slow_queue()
    centre.join("c1", 3000.0, skills={"french": 1})
    assert centre.ends() == [("c1", "OVERFLOW")]


@pytest.mark.fault(19)
def test_callers_whom_nobody_free_fits_send_no_other_caller_away() -> None:
    centre = slow_queue()
    for number in range(2):
        centre.join(f"f{number}", 3000.0, skills={"french": 1}, resumes=1)
    assert centre.effects() == []
    centre.join("c1", 3000.0)
    assert centre.pairs() == [("c1", "anna")]


def test_a_caller_does_not_overflow_back_to_where_it_came_from() -> None:
    rules = (OverflowRule(to="queue:old", waited=10), OverflowRule(to="queue:q", waited=10))
    centre = Centre(overflow=rules)
    centre.join("c1", 0.0, came_through=("old",))
    centre.d.advance(10.0)
    assert centre.effects() == []


def test_a_place_brought_along_counts_for_the_order_and_not_for_the_limits() -> None:
    centre = Centre(max_wait_time=30)
    centre.join("c1", 100.0)
    centre.join("c2", 110.0, place_since=50.0)
    assert [view.call for view in centre.d.members(110.0)] == ["c2", "c1"]
    centre.d.advance(130.0)
    assert centre.ends() == [("c1", "TIMEOUT")]


OFFICE = OpeningHours(open=("Thu 09:00-17:00",))
"""1970-01-01, where the epoch begins, was a Thursday."""


def test_a_closed_queue_refuses_or_sends_on() -> None:
    centre = Centre(hours=OFFICE)
    with pytest.raises(QueueClosed, match="'q' is closed"):
        centre.join("c1", 8 * 3600.0)
    assert centre.join("c1", 9 * 3600.0) == 1
    centre.queue("q", 10 * 3600.0, hours=OFFICE, closed_target="extension:closed")
    assert centre.d.queues(17 * 3600.0)[0].is_open is False
    centre.join("c2", 17 * 3600.0)
    assert centre.effects() == [WaitOver("c2", Reason.CLOSED, "extension:closed")]
    assert [view.call for view in centre.d.members(17 * 3600.0)] == ["c1"]


def test_a_caller_who_waits_over_closing_time_is_served() -> None:
    centre = Centre(hours=OFFICE)
    centre.join("c1", 17 * 3600.0 - 1)
    centre.join("c1", 17 * 3600.0 + 1, joined_at=17 * 3600.0 - 1, resumes=1)
    centre.agent("anna", 17 * 3600.0 + 60)
    assert centre.pairs() == [("c1", "anna")]


def test_hours_that_cannot_be_read_change_nothing() -> None:
    centre = Centre(max_wait_time=30)
    with pytest.raises(ConfigError, match="opening hours"):
        centre.queue("q", hours=OpeningHours(open=("always",)), max_wait_time=60)
    with pytest.raises(ConfigError, match="opening hours"):
        centre.queue("new", hours=OpeningHours(open=("always",)))
    assert [view.name for view in centre.d.queues(0.0)] == ["q"]
    centre.join("c1", 0.0)
    assert centre.d.next_deadline() == 30.0
