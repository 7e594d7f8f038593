"""Playbooks of talks that are interrupted, and of how they end: this event, then exactly these orders."""

from __future__ import annotations

import pytest

from callctl.call import events as ev
from callctl.call.flow import CallFlow
from callctl.call.stages import (
    APART_SECONDS,
    FAREWELL_SECONDS,
    LAST_WORDS_SECONDS,
    QUESTION_SECONDS,
    TIMER_APART,
    TIMER_FAREWELL,
    Stage,
)
from callctl.call.standing import GONE, Standing
from callctl.model import HungUpBy, Outcome
from tests.call.test_flow import T, notes, orders, parting, talking

APART = ev.TimerFired(TIMER_APART)
FAREWELL = ev.TimerFired(TIMER_FAREWELL)
ASK = ev.SettleTalk("leg-1001")
TOGETHER = ev.TalkSettled(Standing(partner_uuid="leg-1001"), Standing(partner_uuid="caller"))
IN_AN_ANNOUNCEMENT = ev.TalkSettled(Standing(application="playback hello"), Standing(is_parked=True))
CALLER_BYE = ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER)
AGENT_BYE = ev.AgentHungUp("leg-1001", "NORMAL_CLEARING")


def apart() -> CallFlow:
    """The caller is in an announcement, and the agent waits."""
    flow = talking()
    flow.handle(ev.Unbridged("leg-1001"), T + 20)
    flow.handle(IN_AN_ANNOUNCEMENT, T + 20.3)
    return flow


def gone() -> CallFlow:
    """The caller is gone, and the agent's leg is not, as far as we have heard."""
    flow = talking()
    flow.handle(CALLER_BYE, T + 30)
    return flow


@pytest.mark.fault(8)
def test_the_end_of_a_bridge_has_the_switch_asked_and_ends_nothing() -> None:
    flow = talking()
    parted = flow.handle(ev.Unbridged("leg-1001"), T + 20)
    assert orders(parted) == [ev.StartTimer(TIMER_APART, APART_SECONDS)]
    assert orders(flow.handle(APART, T + 20.3)) == [ASK]
    assert (flow.stage, flow.record.ended_at) == (Stage.TALKING, None)


@pytest.mark.fault(8)
def test_the_same_two_bridged_again_talk_on_in_one_row() -> None:
    flow = talking()
    flow.handle(ev.Unbridged("leg-1001"), T + 20)
    assert orders(flow.handle(ev.Bridged("leg-1001"), T + 20.08)) == [ev.StopTimer(TIMER_APART)]
    flow.handle(AGENT_BYE, T + 40)
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.SWITCH), T + 40.02)
    record = flow.record
    assert (record.bridged_at, record.ended_at, record.hold_seconds) == (T + 3.05, T + 40, 0.0)
    assert record.hung_up_by is HungUpBy.AGENT


def test_a_hangup_that_follows_the_end_of_the_bridge_dates_the_end_there() -> None:
    flow = talking()
    flow.handle(ev.Unbridged("leg-1001"), T + 20)
    flow.handle(AGENT_BYE, T + 20.04)
    assert (flow.record.ended_at, flow.record.hold_seconds) == (T + 20, 0.0)


@pytest.mark.fault(8)
def test_the_time_apart_is_hold() -> None:
    flow = apart()
    assert orders(flow.handle(ev.Bridged("leg-1001"), T + 26)) == [ev.StopTimer(TIMER_APART)]
    assert flow.record.hold_seconds == 6.0
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", 2.5), T + 40)
    assert flow.record.hold_seconds == 8.5, "and so is what the agent's phone has counted"


def test_the_switch_is_asked_on_while_the_two_are_apart() -> None:
    flow = apart()
    assert orders(flow.handle(APART, T + 25.3)) == [ASK]
    asked_again = flow.handle(IN_AN_ANNOUNCEMENT, T + 25.3)
    assert orders(asked_again) == [ev.StartTimer(TIMER_APART, QUESTION_SECONDS)]
    assert notes(asked_again) == []
    assert notes(flow.handle(TOGETHER, T + 30)) == [("together-again", "")]
    assert flow.handle(APART, T + 31) == []


def test_an_agents_leg_that_waits_for_its_caller_is_left_alone() -> None:
    flow = apart()
    for at in range(25, 200, 5):
        assert not [
            effect for effect in flow.handle(IN_AN_ANNOUNCEMENT, T + at) if isinstance(effect, ev.HangUpLeg)
        ]


def test_an_agent_who_asks_a_colleague_is_apart_from_the_caller_at_once() -> None:
    flow = talking()
    asked = flow.handle(ev.AgentTalksElsewhere("leg-1001"), T + 10)
    assert notes(asked) == [("apart", "the agent talks with somebody else")]
    flow.handle(ev.Unbridged("leg-1001"), T + 15)
    flow.handle(ev.Bridged("leg-1001"), T + 15.1)
    assert flow.record.hold_seconds == pytest.approx(5.1)


def test_what_the_switch_says_of_a_leg_whose_hangup_was_not_heard_ends_the_talk() -> None:
    flow = apart()
    flow.handle(ev.TalkSettled(Standing(partner_uuid="colleague"), GONE), T + 30)
    assert (flow.stage, flow.taken) == (Stage.PARTING, None)
    flow = apart()
    flow.handle(ev.TalkSettled(GONE, Standing(is_parked=True)), T + 30)
    assert flow.stage is Stage.PARTING
    assert flow.taken is not None, "the agent's leg lives"


@pytest.mark.parametrize("leg_uuid", ["leg-of-a-supervisor", ""])
def test_the_end_of_another_bridge_changes_nothing(leg_uuid: str) -> None:
    flow = talking()
    assert flow.handle(ev.Unbridged(leg_uuid), T + 20) == []
    assert flow.handle(ev.AgentTalksElsewhere(leg_uuid), T + 20) == []
    assert flow.handle(ev.Bridged(leg_uuid), T + 20) == []


# --- the end ---


@pytest.mark.fault(19.5)
def test_a_caller_who_lives_on_without_the_agent_was_transferred() -> None:
    flow = parting()
    assert orders(flow.handle(FAREWELL, T + 61)) == [ev.SettleTalk("")]
    effects = flow.handle(ev.TalkSettled(Standing(place="1002 XML default"), None), T + 61)
    assert orders(effects) == [ev.StopTimer(TIMER_FAREWELL), ev.End()]
    assert ("caller-went-on", "1002 XML default, by the agent") in notes(effects)
    record = flow.record
    assert (record.outcome, record.ended_at) == (Outcome.HANDLED, T + 60)
    assert (record.hung_up_by, record.transferred_to) == (HungUpBy.TRANSFERRED, "1002 XML default")


def test_a_caller_whom_the_switch_has_no_longer_is_gone_and_may_still_tell_who_ended_it() -> None:
    flow = parting()
    flow.handle(FAREWELL, T + 61)
    waits = flow.handle(ev.TalkSettled(GONE, None), T + 61)
    assert orders(waits) == [ev.StartTimer(TIMER_FAREWELL, LAST_WORDS_SECONDS)]
    assert ev.End() in flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 62)
    assert flow.record.hung_up_by is HungUpBy.CALLER


def test_a_call_of_which_nobody_tells_who_ended_it_ends_all_the_same() -> None:
    flow = talking()
    flow.handle(ev.AgentHungUp("leg-1001", "", by=None), T + 60)
    flow.handle(ev.CallerHungUp("", None), T + 61)
    assert ev.End() in flow.handle(FAREWELL, T + 69)
    assert flow.record.hung_up_by is None


@pytest.mark.fault(8)
def test_an_agents_leg_that_is_parked_when_the_caller_is_gone_is_hung_up_and_keeps_the_agent_till_then() -> (
    None
):
    flow = gone()
    assert orders(flow.handle(FAREWELL, T + 31)) == [ASK]
    assert orders(flow.handle(ev.TalkSettled(GONE, Standing(is_parked=True)), T + 31)) == [
        ev.HangUpLeg("leg-1001", "NORMAL_CLEARING"),
        ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS),
    ]
    assert ev.ReportTalkEnded("offer-1001") in flow.handle(AGENT_BYE, T + 31.02)


@pytest.mark.fault(8)
def test_an_agents_leg_that_is_in_use_is_left_alone_and_the_agent_is_busy_until_it_is_gone() -> None:
    flow = gone()
    in_use = ev.TalkSettled(GONE, Standing(partner_uuid="colleague"))
    effects = flow.handle(in_use, T + 31)
    assert orders(effects) == [ev.StartTimer(TIMER_FAREWELL, QUESTION_SECONDS)]
    assert notes(effects) == [("agent-still-on-the-phone", "1001")]
    assert notes(flow.handle(in_use, T + 36)) == []
    assert flow.record.ended_at == T + 30
    effects = flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", hung_up_at=T + 90), T + 90)
    assert ev.ReportTalkEnded("offer-1001") in effects
    assert ev.End() in effects
    assert flow.record.ended_at == T + 30


def test_a_leg_on_its_way_between_two_states_is_hung_up_only_when_it_stays_there() -> None:
    flow = gone()
    between = ev.TalkSettled(GONE, Standing(is_between=True))
    assert orders(flow.handle(between, T + 31)) == [ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS)]
    assert ev.HangUpLeg("leg-1001", "NORMAL_CLEARING") in flow.handle(between, T + 32)


def test_a_leg_that_the_switch_has_no_longer_frees_the_agent() -> None:
    flow = gone()
    assert ev.ReportTalkEnded("offer-1001") in flow.handle(ev.TalkSettled(GONE, GONE), T + 31)


def test_the_bridge_that_ended_with_the_caller_gone_puts_right_who_hung_up() -> None:
    flow = talking()
    flow.handle(ev.AgentHungUp("leg-1001", "", by=None), T + 60)
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.SWITCH), T + 60.01)
    assert flow.record.hung_up_by is HungUpBy.AGENT
    flow.handle(ev.Unbridged("leg-1001", caller_was_gone=True), T + 60.02)
    assert flow.record.hung_up_by is HungUpBy.SWITCH
