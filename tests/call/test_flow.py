"""Playbooks: this event, then exactly these orders; and the row that is left in the end."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from callctl.call import events as ev
from callctl.call.entertainment import RINGING_TONE
from callctl.call.flow import TABLE, CallFlow
from callctl.call.stages import (
    BRIDGE_PROOF_SECONDS,
    FAREWELL_SECONDS,
    RETURN_SECONDS,
    TIMER_APART,
    TIMER_BRIDGE,
    TIMER_EXPIRY,
    TIMER_FAREWELL,
    TIMER_RETURN,
    Stage,
)
from callctl.call.standing import GONE, Standing
from callctl.call.variables import (
    KEYS_AS_USUAL,
    bridge_variables,
    hand_back_variables,
    talk_variables,
    waiting_variables,
)
from callctl.call.visits import PLACE
from callctl.model import (
    CALLBACK_TARGET,
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    HungUpBy,
    Offer,
    OfferRecord,
    OfferResult,
    Outcome,
    Place,
    QueueSettings,
    Reason,
    WaitMedia,
)

T = 1_800_000_000.0
"""When the caller joins."""

ARRIVAL = Arrival(call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=T - 0.1, joined_at=T)
QUEUE = QueueSettings(name="caller", moh_sound="local_stream://moh")


def an_offer(agent: str = "1001") -> Offer:
    return Offer(
        id=f"offer-{agent}",
        call="call-1",
        queue="caller",
        agent=agent,
        contact=f"user/{agent}",
        leg_uuid=f"leg-{agent}",
        offered_at=T,
        ring_timeout=20,
        lease_until=T + 30,
    )


def orders(effects: list[ev.Effect]) -> list[ev.Effect]:
    """The effects that do something; what is written down is checked as rows."""
    return [effect for effect in effects if not isinstance(effect, ev.Write)]


def notes(effects: list[ev.Effect]) -> list[tuple[str, str]]:
    facts = [effect.fact for effect in effects if isinstance(effect, ev.Write)]
    return [(fact.event, fact.detail) for fact in facts if isinstance(fact, CallEvent)]


def offer_rows(effects: list[ev.Effect]) -> list[OfferRecord]:
    facts = [effect.fact for effect in effects if isinstance(effect, ev.Write)]
    return [fact for fact in facts if isinstance(fact, OfferRecord)]


def waiting(queue: QueueSettings = QUEUE, arrival: Arrival = ARRIVAL) -> CallFlow:
    flow = CallFlow(arrival, queue)
    flow.begin(Place(position=1), T)
    return flow


def ringing(*agents: str) -> CallFlow:
    flow = waiting()
    for agent in agents or ("1001",):
        flow.handle(ev.Offered(an_offer(agent)), T + 1)
    return flow


def bridging() -> CallFlow:
    flow = ringing()
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    return flow


def talking() -> CallFlow:
    flow = bridging()
    flow.handle(ev.Bridged("leg-1001"), T + 3.05)
    return flow


def parting() -> CallFlow:
    flow = talking()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 60)
    return flow


def ended() -> CallFlow:
    flow = waiting()
    flow.handle(ev.CallerHungUp("ORIGINATOR_CANCEL", HungUpBy.CALLER), T + 5)
    return flow


AT = {
    Stage.WAITING: waiting,
    Stage.RINGING: ringing,
    Stage.BRIDGING: bridging,
    Stage.TALKING: talking,
    Stage.PARTING: parting,
    Stage.ENDED: ended,
}


def test_a_caller_who_joins_keeps_the_place_on_the_channel_is_answered_and_hears_music() -> None:
    flow = CallFlow(ARRIVAL, QUEUE)
    effects = flow.begin(Place(position=3), T)
    assert orders(effects) == [
        ev.SetCallerVariables(waiting_variables(ARRIVAL)),
        ev.PrepareCaller(WaitMedia.ANSWER),
        ev.PlayMusic("local_stream://moh"),
    ]
    assert notes(effects) == [("joined", "caller, position 3")]
    assert flow.record == CallRecord(arrival=ARRIVAL, state=CallState.WAITING, position_at_entry=3)


def test_with_ring_ready_no_music_ends_the_ringing_tone() -> None:
    flow = CallFlow(ARRIVAL, QueueSettings(name="caller", wait_media=WaitMedia.RING_READY))
    assert ev.PrepareCaller(WaitMedia.RING_READY) in flow.begin(Place(position=1), T)
    assert not [e for e in flow.begin(Place(position=1), T) if isinstance(e, ev.PlayMusic)]


def test_the_main_path_ends_as_a_handled_call_with_all_its_times() -> None:
    flow = waiting()
    offer = an_offer()
    assert orders(flow.handle(ev.Offered(offer), T + 1)) == [ev.Ring(offer)]
    assert flow.record.state is CallState.RINGING
    assert orders(flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)) == [
        ev.Bridge(offer, bridge_variables(offer)),
        ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS),
    ]
    assert flow.record.reason is None, "+OK of a bridge proves nothing"
    assert orders(flow.handle(ev.CallerTaken(), T + 3.02)) == []
    assert orders(flow.handle(ev.Bridged("leg-1001"), T + 3.05)) == [
        ev.StopTimer(TIMER_BRIDGE),
        ev.ReportBridged("offer-1001"),
        ev.SetCallerVariables(talk_variables(T + 3.05)),
    ]
    assert orders(flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", 4.5), T + 60)) == [
        ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS),
        ev.ReportTalkEnded("offer-1001"),
    ]
    assert orders(flow.handle(ev.Unbridged("leg-1001"), T + 60.01)) == []
    goodbye = ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.SWITCH)
    assert orders(flow.handle(goodbye, T + 60.02)) == [ev.StopTimer(TIMER_FAREWELL), ev.End()]
    assert flow.record == CallRecord(
        arrival=ARRIVAL,
        state=CallState.ENDED,
        outcome=Outcome.HANDLED,
        reason=Reason.BRIDGED,
        hung_up_by=HungUpBy.AGENT,
        hangup_cause="NORMAL_CLEARING",
        agent="1001",
        agent_uuid="leg-1001",
        answered_at=T + 3,
        bridged_at=T + 3.05,
        ended_at=T + 60,
        hold_seconds=4.5,
        offers=1,
        position_at_entry=1,
    )


def test_the_caller_who_hangs_up_first_is_named_though_the_agents_hangup_is_heard_first() -> None:
    flow = parting()
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 60.1)
    assert flow.record.hung_up_by is HungUpBy.CALLER


def test_a_caller_who_hangs_up_in_the_talk_frees_the_agent_as_soon_as_the_phone_is_free() -> None:
    flow = talking()
    effects = flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 30)
    assert orders(effects) == [ev.StartTimer(TIMER_FAREWELL, FAREWELL_SECONDS)]
    assert orders(flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 30.02)) == [
        ev.ReportTalkEnded("offer-1001"),
        ev.StopTimer(TIMER_FAREWELL),
        ev.End(),
    ]
    assert flow.record.ended_at == T + 30
    assert flow.record.hung_up_by is HungUpBy.CALLER


def test_a_caller_who_hangs_up_while_waiting_is_abandoned() -> None:
    flow = waiting()
    effects = flow.handle(ev.CallerHungUp("ORIGINATOR_CANCEL", HungUpBy.CALLER), T + 5)
    assert orders(effects) == [ev.LeaveQueue(abandoned=True), ev.End()]
    assert flow.record.outcome is Outcome.ABANDONED
    assert flow.record.reason is Reason.CALLER_HANGUP
    assert flow.record.hangup_cause == "ORIGINATOR_CANCEL"


def test_a_caller_who_hangs_up_while_agents_ring_has_every_leg_cancelled() -> None:
    flow = ringing("1001", "1002")
    effects = flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 5)
    assert orders(effects) == [
        ev.LeaveQueue(abandoned=True),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.HangUpLeg("leg-1002", "ORIGINATOR_CANCEL"),
        ev.End(),
    ]
    assert [row.result for row in offer_rows(effects)] == [OfferResult.CANCELLED] * 2


def test_an_agent_who_answered_for_a_caller_who_is_gone_has_not_answered_a_call() -> None:
    flow = ringing()
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    [row] = offer_rows(flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 3.02))
    assert (row.result, row.cause) == (OfferResult.CANCELLED, "CALLER_HANGUP")


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (OfferResult.BUSY, "USER_BUSY"),
        (OfferResult.REJECTED, "CALL_REJECTED"),
        (OfferResult.NO_ANSWER, "NO_ANSWER"),
        (OfferResult.UNREACHABLE, "SUBSCRIBER_ABSENT"),
    ],
)
def test_an_agent_who_cannot_be_had_is_released_and_the_caller_waits_on(
    result: OfferResult, cause: str
) -> None:
    flow = ringing()
    effects = flow.handle(ev.AgentUnavailable("offer-1001", result, cause), T + 4)
    assert orders(effects) == [ev.ReleaseOffer("offer-1001", result, cause)]
    (row,) = offer_rows(effects)
    assert (row.result, row.cause, row.ended_at) == (result, cause, T + 4)
    assert flow.stage is Stage.WAITING


def test_a_leg_of_which_the_switch_does_not_say_what_became_is_hung_up() -> None:
    flow = ringing()
    unknown = ev.AgentUnavailable("offer-1001", OfferResult.UNKNOWN, "the switch did not say")
    assert orders(flow.handle(unknown, T + 24)) == [
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.ReleaseOffer("offer-1001", OfferResult.UNKNOWN, "the switch did not say"),
    ]
    assert flow.stage is Stage.WAITING


def test_a_second_agent_may_answer_after_a_first_who_did_not() -> None:
    flow = ringing()
    flow.handle(ev.AgentUnavailable("offer-1001", OfferResult.NO_ANSWER, "NO_ANSWER"), T + 4)
    flow.handle(ev.Offered(an_offer("1002")), T + 4)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 6)
    flow.handle(ev.Bridged("leg-1002"), T + 6)
    assert (flow.record.agent, flow.record.offers) == ("1002", 2)


def test_the_agent_who_lost_the_race_is_hung_up_and_nothing_is_held_against_it() -> None:
    flow = ringing("1001", "1002")
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    effects = flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=False), T + 3)
    assert orders(effects) == [ev.HangUpLeg("leg-1002", "LOSE_RACE")]
    assert flow.stage is Stage.BRIDGING


def test_an_offer_that_the_distributor_takes_back_is_cancelled() -> None:
    flow = ringing()
    effects = flow.handle(ev.OfferWithdrawn("offer-1001", "ORIGINATOR_CANCEL"), T + 9)
    assert orders(effects) == [ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL")]
    assert flow.stage is Stage.WAITING


def test_the_leg_that_freeswitch_names_is_the_one_that_is_bridged() -> None:
    flow = ringing()
    effects = flow.handle(ev.AgentAnswered("offer-1001", "another-leg", won=True), T + 3)
    [bridge] = [effect for effect in effects if isinstance(effect, ev.Bridge)]
    assert bridge.offer.leg_uuid == "another-leg"
    flow.handle(ev.Bridged("another-leg"), T + 3)
    assert flow.record.agent_uuid == "another-leg"


def test_a_bridge_that_freeswitch_refuses_frees_the_agent_and_keeps_the_caller() -> None:
    flow = bridging()
    effects = flow.handle(ev.BridgeRefused("offer-1001", "-ERR Invalid uuid"), T + 3.1)
    assert orders(effects) == [
        ev.ReportBridgeFailed("offer-1001", caller_gone=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.StopTimer(TIMER_BRIDGE),
        ev.SetCallerVariables(waiting_variables(ARRIVAL)),
    ]
    assert flow.stage is Stage.WAITING
    assert flow.record.agent == ""


def test_who_is_led_from_a_talk_into_a_queue_was_transferred() -> None:
    flow = talking()
    given_back = ev.HandBack({"callctl_call": "", "callctl_reason": ""})
    assert given_back in flow.handle(ev.CallerReturned(), T + 4)
    assert (flow.record.reason, flow.record.hung_up_by) == (Reason.BRIDGED, HungUpBy.TRANSFERRED)
    assert flow.taken is not None, "the agent is busy until its leg is gone"


def test_an_agent_gone_in_the_instant_of_the_bridge_costs_the_caller_no_place() -> None:
    flow = bridging()
    flow.handle(ev.CallerTaken(), T + 3.02)
    effects = flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.03)
    assert orders(effects) == [
        ev.ReportBridgeFailed("offer-1001", caller_gone=False),
        ev.LeaveSocket(),
        ev.SettleCaller(),
        ev.StartTimer(TIMER_RETURN, RETURN_SECONDS),
    ], "the variables that lead the caller back stay"
    back = flow.handle(ev.CallerReturned(), T + 3.5)
    assert ev.SetCallerVariables(waiting_variables(flow.record.arrival)) in back
    assert ev.PlayMusic("local_stream://moh") in back
    assert flow.record.arrival.joined_at == T
    assert flow.record.arrival.resumes == 1
    assert orders(flow.handle(ev.TimerFired(TIMER_BRIDGE), T + 6)) == []


@pytest.mark.parametrize("late", [ev.CallerTaken(), ev.Bridged("leg-1001")])
def test_a_caller_who_is_taken_for_a_bridge_that_has_failed_already_comes_back(
    late: ev.CallHappening,
) -> None:
    flow = bridging()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.02)
    assert orders(flow.handle(late, T + 3.03)) == [
        ev.StopTimer(TIMER_BRIDGE),
        ev.LeaveSocket(),
        ev.SettleCaller(),
        ev.StartTimer(TIMER_RETURN, RETURN_SECONDS),
    ]
    assert flow.stage is Stage.WAITING
    back = flow.handle(ev.CallerReturned(), T + 3.1)
    assert ev.SetCallerVariables(waiting_variables(flow.record.arrival)) in back
    flow.handle(ev.CallerTaken(), T + 9)
    assert flow.record.reason is Reason.TRANSFERRED, "what comes after the return is meant"


@pytest.mark.parametrize("word", [ev.BridgeRefused("offer-1001", "-ERR"), ev.TimerFired(TIMER_BRIDGE)])
def test_a_caller_who_was_not_taken_for_a_bridge_that_had_failed_waits_on(word: ev.CallHappening) -> None:
    flow = bridging()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.02)
    assert ev.SetCallerVariables(waiting_variables(ARRIVAL)) in flow.handle(word, T + 3.1)
    flow.handle(ev.CallerTaken(), T + 9)
    assert flow.record.reason is Reason.TRANSFERRED


def away_from_a_failed_bridge() -> CallFlow:
    flow = bridging()
    flow.handle(ev.CallerTaken(), T + 3.02)
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.03)
    flow.handle(ev.Offered(an_offer("1002")), T + 3.03)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 4)
    return flow


def test_who_comes_back_while_the_next_bridge_is_on_its_way_is_left_to_it() -> None:
    flow = away_from_a_failed_bridge()
    assert orders(flow.handle(ev.CallerReturned(), T + 4.01)) == [ev.StopTimer(TIMER_RETURN)]
    flow.handle(ev.CallerTaken(), T + 4.02)
    assert ev.ReportBridged("offer-1002") in flow.handle(ev.Bridged("leg-1002"), T + 4.04)
    assert flow.stage is Stage.TALKING


def test_who_came_back_for_a_bridge_that_is_refused_hears_music() -> None:
    flow = away_from_a_failed_bridge()
    flow.handle(ev.CallerReturned(), T + 4.01)
    effects = flow.handle(ev.BridgeRefused("offer-1002", "-ERR Invalid uuid"), T + 4.02)
    assert ev.SetCallerVariables(waiting_variables(flow.record.arrival)) in effects
    assert ev.PlayMusic("local_stream://moh") in effects


def test_who_came_back_for_a_bridge_that_fails_too_comes_back_again() -> None:
    flow = away_from_a_failed_bridge()
    flow.handle(ev.CallerReturned(), T + 4.01)
    effects = flow.handle(ev.AgentHungUp("leg-1002", "NORMAL_CLEARING"), T + 4.02)
    assert orders(effects) == [ev.ReportBridgeFailed("offer-1002", caller_gone=False)]
    flow.handle(ev.CallerTaken(), T + 4.03)
    assert ev.PlayMusic("local_stream://moh") in flow.handle(ev.CallerReturned(), T + 4.1)


def test_who_comes_back_from_a_bridge_that_failed_unheard_is_still_on_the_way_to_the_next_one() -> None:
    flow = bridging()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.02)
    flow.handle(ev.Offered(an_offer("1002")), T + 3.02)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 3.04)
    effects = flow.handle(ev.CallerReturned(), T + 3.04)
    assert orders(effects) == [ev.StopTimer(TIMER_RETURN)], "the order is on its way, and its variables"
    assert ev.ReportBridged("offer-1002") in flow.handle(ev.Bridged("leg-1002"), T + 3.09)


@pytest.mark.parametrize("settled", [ev.CallerTaken(), ev.TimerFired(TIMER_BRIDGE)])
def test_who_comes_back_after_the_second_agent_is_gone_too_is_not_taken_for_transferred(
    settled: ev.CallHappening,
) -> None:
    flow = away_from_a_failed_bridge()
    flow.handle(ev.AgentHungUp("leg-1002", "NORMAL_CLEARING"), T + 4.01)
    assert orders(flow.handle(ev.CallerReturned(), T + 4.02)) == [ev.StopTimer(TIMER_RETURN)]
    effects = flow.handle(settled, T + 4.03)
    if isinstance(settled, ev.CallerTaken):
        effects = flow.handle(ev.CallerReturned(), T + 6)
    assert ev.SetCallerVariables(waiting_variables(flow.record.arrival)) in effects
    assert ev.PlayMusic("local_stream://moh") in effects
    assert flow.stage is Stage.WAITING


def test_a_caller_who_came_back_proves_that_the_bridge_has_failed() -> None:
    flow = bridging()
    flow.handle(ev.CallerTaken(), T + 3.02)
    effects = flow.handle(ev.CallerReturned(), T + 3.1)
    assert ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL") in effects
    assert ev.PlayMusic("local_stream://moh") in effects
    assert flow.stage is Stage.WAITING


def test_the_late_refusal_of_one_bridge_does_not_end_the_next_one() -> None:
    flow = bridging()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.02)
    flow.handle(ev.Offered(an_offer("1002")), T + 3.02)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 3.1)
    assert flow.handle(ev.BridgeRefused("offer-1001", "-ERR"), T + 3.1) == []
    assert flow.stage is Stage.BRIDGING


@pytest.mark.parametrize(
    "hangup",
    [
        ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER, talk=ev.PastTalk("leg-1001")),
        ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", talk=ev.PastTalk("caller")),
    ],
    ids=["the caller's", "the agent's"],
)
def test_a_hangup_that_overtakes_the_news_of_the_bridge_tells_of_it(hangup: ev.CallHappening) -> None:
    flow = bridging()
    effects = flow.handle(hangup, T + 3.1)
    assert ev.ReportBridged("offer-1001") in effects
    assert flow.stage is Stage.PARTING
    assert (flow.record.reason, flow.record.bridged_at) == (Reason.BRIDGED, T + 3.1)
    assert flow.handle(ev.Bridged("leg-1001"), T + 3.2) == []


@pytest.mark.parametrize(
    "hangup",
    [
        ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER, ev.PastTalk("leg-1001", None, 4.0)),
        ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", 0.0, ev.PastTalk("caller", None, 4.0)),
    ],
)
def test_a_talk_of_which_only_the_hangup_was_heard_began_when_the_switch_says(
    hangup: ev.CallHappening,
) -> None:
    flow = bridging()
    flow.handle(hangup, T + 8)
    assert (flow.record.bridged_at, flow.record.ended_at) == (T + 4, T + 8)


STALLED = [
    # What is heard when; then when the talk began and ended. The agent answers at T + 3 in each.
    pytest.param(T + 13, T + 63, (T + 3.05, T + 63), id="the bridge was told late"),
    pytest.param(T + 3.05, T + 73, (T + 3.05, T + 63), id="the hangup was told late"),
    pytest.param(T + 73, T + 73, (T + 3.05, T + 63), id="both were told late"),
    pytest.param(T + 3.07, T + 63.02, (T + 3.07, T + 63.02), id="neither was"),
]


@pytest.mark.parametrize(("bridge_heard_at", "hangup_heard_at", "times"), STALLED)
@pytest.mark.parametrize("clock_of_switch", [0.0, -3600.0, 3600.0], ids=["exact", "slow", "fast"])
@pytest.mark.parametrize("whose", ["agent", "caller"])
def test_a_talk_has_its_true_times_though_a_switch_tells_of_it_late(
    bridge_heard_at: float,
    hangup_heard_at: float,
    times: tuple[float, float],
    clock_of_switch: float,
    whose: str,
) -> None:
    flow = bridging()
    flow.handle(ev.Bridged("leg-1001"), bridge_heard_at)
    began_at, seconds = T + 3.05 + clock_of_switch, 59.95
    if whose == "agent":
        flow.handle(
            ev.AgentHungUp("leg-1001", "NORMAL_CLEARING", 0.0, ev.PastTalk("caller", began_at, seconds)),
            hangup_heard_at,
        )
    else:
        talk = ev.PastTalk("leg-1001", began_at, seconds)
        flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER, talk), hangup_heard_at)
    both_late = bridge_heard_at == hangup_heard_at
    # With a wrong clock only the order is known: not before the answer, and as long as the switch says.
    inexact = {0.0: 0.0, -3600.0: 0.05, 3600.0: 10.0 if both_late else 0.05}[clock_of_switch]
    found = flow.record.bridged_at, flow.record.ended_at
    assert found == pytest.approx(times, abs=inexact + 0.001)


def test_what_a_hangup_says_of_an_earlier_talk_changes_nothing() -> None:
    flow = talking()
    before = flow.record.bridged_at
    talk = ev.PastTalk("leg-of-yesterday", T - 100, 500.0)
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER, talk), T + 60)
    assert (flow.record.bridged_at, flow.record.ended_at) == (before, T + 60)


def test_a_caller_who_talked_to_somebody_in_an_earlier_visit_did_not_do_so_in_this_one() -> None:
    flow = bridging()
    talk = ev.PastTalk("leg-of-yesterday")
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER, talk), T + 3.1)
    assert flow.record.reason is Reason.CALLER_HANGUP


def test_a_caller_gone_in_the_instant_of_the_bridge_leaves_no_leg_behind() -> None:
    flow = bridging()
    effects = flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 3.01)
    assert orders(effects) == [
        ev.StopTimer(TIMER_BRIDGE),
        ev.ReportBridgeFailed("offer-1001", caller_gone=True),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.LeaveQueue(abandoned=True),
        ev.End(),
    ]
    assert flow.record.outcome is Outcome.ABANDONED


def test_a_bridge_without_proof_is_settled_by_asking() -> None:
    flow = bridging()
    effects = flow.handle(ev.TimerFired(TIMER_BRIDGE), T + 6)
    assert orders(effects) == [ev.SettleBridge(an_offer())]
    assert flow.stage is Stage.BRIDGING


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.TIMEOUT, Outcome.OVERFLOWED),
        (Reason.NO_AGENT_TIMEOUT, Outcome.OVERFLOWED),
        (Reason.EMPTY, Outcome.REFUSED),
        (Reason.OVERFLOW, Outcome.OVERFLOWED),
    ],
)
def test_a_wait_that_is_over_gives_the_caller_back_to_the_dialplan(reason: Reason, outcome: Outcome) -> None:
    flow = ringing()
    effects = flow.handle(ev.WaitOver(reason, "voicemail:100"), T + 30)
    assert orders(effects) == [
        ev.LeaveQueue(abandoned=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.HandBack(hand_back_variables(reason, T + 30, target="voicemail:100")),
        ev.End(),
    ]
    assert (flow.record.reason, flow.record.outcome) == (reason, outcome)


def test_a_full_queue_gives_the_caller_back_at_once() -> None:
    flow = CallFlow(ARRIVAL, QUEUE)
    assert ev.HandBack(hand_back_variables(Reason.FULL, T)) in flow.refuse(Reason.FULL, T)
    assert flow.record.outcome is Outcome.REFUSED


def test_a_caller_who_is_transferred_away_is_let_go_without_breaking_off_what_follows() -> None:
    flow = ringing()
    effects = flow.handle(ev.CallerTaken(), T + 7)
    assert orders(effects) == [
        ev.SetCallerVariables({**KEYS_AS_USUAL, "callctl_call": ""}),
        ev.LeaveQueue(abandoned=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.End(),
    ]
    assert flow.record.reason is Reason.TRANSFERRED


@pytest.mark.fault(19.2)
def test_a_caller_who_begins_another_visit_has_left_this_one_when_that_began() -> None:
    flow = ringing()
    effects = flow.handle(ev.CallerElsewhere("queue second", T + 5), T + 7)
    assert orders(effects) == [
        ev.LeaveQueue(abandoned=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.End(),
    ], "nothing is set on a channel that is in the next visit"
    record = flow.record
    assert (record.reason, record.transferred_to) == (Reason.TRANSFERRED, "queue second")
    assert record.ended_at == T + 5


@pytest.mark.fault(19.2)
@pytest.mark.parametrize("has_talked", [True, False])
def test_a_caller_who_is_sent_on_in_the_instant_of_the_bridge_has_talked_if_the_channel_says_so(
    has_talked: bool,
) -> None:
    flow = ringing()
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    talked_with = "leg-1001" if has_talked else "another-leg"
    flow.handle(ev.CallerElsewhere("queue second", T + 3.2, talked_with), T + 4)
    reason = Reason.BRIDGED if has_talked else Reason.TRANSFERRED
    assert (flow.record.reason, flow.record.ended_at) == (reason, T + 3.2)
    assert flow.record.bridged_at == (T + 3.2 if has_talked else None)


def test_a_wait_that_a_transfer_ended_says_where_to() -> None:
    flow = ringing()
    flow.handle(ev.CallerTaken("announcement"), T + 7)
    assert (flow.record.reason, flow.record.transferred_to) == (Reason.TRANSFERRED, "announcement")


def test_an_agent_who_transfers_a_caller_to_the_own_wait_ends_that_by_a_transfer() -> None:
    flow = waiting()
    flow.handle(ev.CallerHungUp("ATTENDED_TRANSFER", HungUpBy.SWITCH), T + 7)
    assert flow.record.reason is Reason.TRANSFERRED


def test_a_lost_socket_keeps_the_place_until_the_caller_is_back() -> None:
    flow = waiting()
    effects = flow.handle(ev.SocketLost(), T + 10)
    assert orders(effects) == [ev.SettleCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
    assert orders(flow.handle(ev.CallerReturned(), T + 15)) == [
        ev.StopTimer(TIMER_RETURN),
        ev.SetCallerVariables(waiting_variables(flow.record.arrival)),
        ev.PrepareCaller(WaitMedia.ANSWER),
        ev.PlayMusic("local_stream://moh"),
    ]
    assert flow.record.arrival.joined_at == T


def test_a_caller_without_a_socket_who_does_not_come_back_is_fetched_once_and_then_waits_no_more() -> None:
    flow = waiting()
    flow.handle(ev.SocketLost(), T + 10)
    again = [ev.FetchCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
    assert flow.handle(ev.TimerFired(TIMER_RETURN), T + 40) == again
    flow.handle(ev.CallerReturned(), T + 41)
    flow.handle(ev.SocketLost(), T + 50)
    assert flow.handle(ev.TimerFired(TIMER_RETURN), T + 80) == again
    flow.handle(ev.TimerFired(TIMER_RETURN), T + 110)
    assert flow.record.reason is Reason.TRANSFERRED


def test_a_caller_of_whom_the_switch_says_nothing_is_fetched_later_and_goes_on_waiting() -> None:
    flow = waiting()
    flow.handle(ev.SocketLost(), T + 10)
    for passed in (40, 70, 100):
        again = [ev.FetchCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
        assert flow.handle(ev.TimerFired(TIMER_RETURN), T + passed) == again
        assert flow.handle(ev.CallerNotFetched(), T + passed + 10) == []
    flow.handle(ev.CallerReturned(), T + 110)
    assert (flow.stage, flow.record.arrival.joined_at) == (Stage.WAITING, T)


def test_a_place_that_the_queue_remembers_travels_with_the_call() -> None:
    flow = CallFlow(ARRIVAL, QUEUE)
    begun = flow.begin(Place(position=1, since=T - 100), T)
    assert flow.record.arrival.place_since == T - 100
    [kept] = [effect for effect in begun if isinstance(effect, ev.SetCallerVariables)]
    assert kept.variables[PLACE] == f"{ARRIVAL.call} {T - 100:.3f} "


def test_a_caller_of_before_a_restart_has_the_place_before_the_socket() -> None:
    arrival = evolve(ARRIVAL, resumes=1)
    known = CallRecord(arrival=ARRIVAL, state=CallState.RINGING, offers=2, position_at_entry=7)
    flow = CallFlow(arrival, QUEUE, known)
    effects = flow.begin_without_socket(Place(position=1), T + 60)
    assert orders(effects) == [ev.SettleCaller(), ev.StartTimer(TIMER_RETURN, RETURN_SECONDS)]
    assert flow.handle(ev.Offered(an_offer()), T + 61)[0] == ev.Ring(an_offer())
    assert ev.PlayMusic("local_stream://moh") in flow.handle(ev.CallerReturned(), T + 62)
    row = flow.record
    assert (row.arrival.joined_at, row.arrival.resumes) == (T, 1), "one restart is one resume"
    assert (row.offers, row.position_at_entry) == (3, 7)


def test_a_caller_whose_row_was_not_written_before_the_restart_has_a_position_all_the_same() -> None:
    flow = CallFlow(evolve(ARRIVAL, resumes=1), QUEUE)
    flow.begin(Place(position=4), T + 60)
    assert flow.record.position_at_entry == 4


def test_a_caller_without_a_socket_can_still_be_bridged() -> None:
    flow = ringing()
    flow.handle(ev.SocketLost(), T + 2)
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    flow.handle(ev.Bridged("leg-1001"), T + 3)
    assert flow.stage is Stage.TALKING


def test_a_lost_socket_in_the_talk_only_changes_where_we_look() -> None:
    flow = talking()
    assert orders(flow.handle(ev.SocketLost(), T + 10)) == [ev.SettleCaller()]
    assert flow.stage is Stage.TALKING


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.RINGING, Stage.BRIDGING])
def test_a_lost_switch_fails_whoever_waits(stage: Stage) -> None:
    flow = AT[stage]()
    flow.handle(ev.SwitchLost(), T + 10)
    assert (flow.record.reason, flow.record.outcome) == (Reason.SWITCH_LOST, Outcome.FAILED)


def test_a_lost_switch_ends_a_talk_that_was_handled() -> None:
    flow = talking()
    flow.handle(ev.SwitchLost(), T + 10)
    assert (flow.record.reason, flow.record.hung_up_by) == (Reason.BRIDGED, HungUpBy.SWITCH)


def test_a_person_who_hangs_up_a_waiting_call_is_named() -> None:
    flow = waiting()
    assert orders(flow.handle(ev.HangupOrdered("NORMAL_CLEARING"), T + 4)) == [
        ev.HangUpCaller("NORMAL_CLEARING")
    ]
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.SWITCH), T + 4.1)
    assert (flow.record.reason, flow.record.hung_up_by) == (Reason.WITHDRAWN, HungUpBy.CALLCTL)


def test_a_fault_of_the_switch_is_not_counted_as_the_callers_wish() -> None:
    flow = waiting()
    flow.handle(ev.CallerHungUp("DESTINATION_OUT_OF_ORDER", HungUpBy.SWITCH), T + 4)
    assert (flow.record.reason, flow.record.outcome) == (Reason.ERROR, Outcome.FAILED)


def test_an_exit_key_gives_the_caller_back_with_the_key() -> None:
    flow = waiting(QueueSettings(name="caller", exit_keys="90"))
    assert orders(flow.handle(ev.KeyPressed("5"), T + 2)) == []
    assert orders(flow.handle(ev.KeyPressed("9"), T + 3)) == [
        ev.LeaveQueue(abandoned=False),
        ev.HandBack(hand_back_variables(Reason.EXIT_WITH_KEY, T + 3, exit_key="9")),
        ev.End(),
    ]


def test_the_keys_of_the_call_go_over_those_of_the_queue() -> None:
    arrival = evolve(ARRIVAL, exit_keys="1")
    flow = waiting(QueueSettings(name="caller", exit_keys="90"), arrival)
    assert orders(flow.handle(ev.KeyPressed("9"), T + 3)) == []
    assert flow.handle(ev.KeyPressed("1"), T + 3)


@pytest.mark.parametrize(
    ("target", "order"),
    [
        ("queue:sales", ev.MoveToQueue("sales")),
        ("hangup:USER_BUSY", ev.HangUpCaller("USER_BUSY")),
        (
            "extension:100",
            ev.HandBack(hand_back_variables(Reason.OVERFLOW, T + 9, target="extension:100")),
        ),
    ],
)
@pytest.mark.fault(30)
def test_an_overflow_leads_where_the_queue_says(target: str, order: ev.Effect) -> None:
    flow = waiting()
    effects = flow.handle(ev.WaitOver(Reason.OVERFLOW, target), T + 9)
    assert orders(effects)[1] == order
    assert (flow.record.outcome, flow.record.target) == (Outcome.OVERFLOWED, target)
    assert ("ended", f"OVERFLOW, on to {target}") in notes(effects)


def recorded_talk() -> CallFlow:
    flow = waiting(QueueSettings(name="caller", record_template="/r/{agent}-{queue}.wav"))
    flow.handle(ev.Offered(an_offer()), T + 1)
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    assert ev.RecordTalk("/r/1001-caller.wav") in flow.handle(ev.Bridged("leg-1001"), T + 3)
    return flow


def test_a_talk_is_recorded_from_the_bridge_on_where_the_queue_says_so() -> None:
    flow = recorded_talk()
    assert flow.record.recording == "", "the switch has not said that it does"
    flow.handle(ev.RecordingBegan("/r/1001-caller.wav"), T + 3)
    assert flow.record.recording == "/r/1001-caller.wav"


@pytest.mark.fault(12)
def test_what_follows_a_talk_is_not_recorded() -> None:
    flow = recorded_talk()
    flow.handle(ev.RecordingBegan("/r/1001-caller.wav"), T + 3)
    effects = flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 9)
    assert ev.StopRecording("/r/1001-caller.wav") in effects


@pytest.mark.fault(12)
def test_a_recording_that_begins_when_the_talk_is_over_already_is_stopped() -> None:
    flow = recorded_talk()
    flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 3.1)
    effects = flow.handle(ev.RecordingBegan("/r/1001-caller.wav"), T + 3.2)
    assert ev.StopRecording("/r/1001-caller.wav") in effects


@pytest.mark.fault(12)
def test_what_a_caller_does_apart_from_the_agent_is_left_out_of_the_recording() -> None:
    flow = recorded_talk()
    flow.handle(ev.RecordingBegan("/r/1001-caller.wav"), T + 3)
    apart = flow.handle(ev.Unbridged("leg-1001"), T + 9)
    assert ev.PauseRecording("/r/1001-caller.wav", is_paused=True) in apart
    together = flow.handle(ev.Bridged("leg-1001"), T + 20)
    assert ev.PauseRecording("/r/1001-caller.wav", is_paused=False) in together


@pytest.mark.fault(12)
def test_a_recording_ends_with_its_caller_by_itself() -> None:
    flow = recorded_talk()
    flow.handle(ev.RecordingBegan("/r/1001-caller.wav"), T + 3)
    effects = flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 9)
    assert not [each for each in effects if isinstance(each, ev.StopRecording)]


def test_music_that_ends_begins_again() -> None:
    flow = waiting()
    effects = flow.handle(ev.MusicEnded(played=True), T + 180)
    assert orders(effects) == [ev.PlayMusic("local_stream://moh")]


def test_music_that_cannot_be_played_gives_way_to_a_ringing_tone() -> None:
    flow = waiting()
    effects = flow.handle(ev.MusicEnded(played=False), T + 180)
    assert orders(effects) == [
        ev.ReportUnplayable(ev.MediaKind.MUSIC, "local_stream://moh"),
        ev.PlayMusic(RINGING_TONE),
    ]
    assert ("music-failed", "local_stream://moh") in notes(effects)


@pytest.mark.fault(22)
def test_music_of_a_call_that_cannot_be_played_gives_way_to_the_queues() -> None:
    flow = CallFlow(evolve(ARRIVAL, moh_sound="/no/such.wav"), QUEUE)
    flow.begin(Place(position=1), T)
    assert ev.PlayMusic(QUEUE.moh_sound) in flow.handle(ev.MusicEnded(played=False), T + 0.02)
    assert ev.PlayMusic(RINGING_TONE) in flow.handle(ev.MusicEnded(played=False), T + 0.04)


@pytest.mark.fault(22)
def test_a_switch_that_can_play_nothing_at_all_is_not_asked_for_ever() -> None:
    flow = waiting()
    flow.handle(ev.MusicEnded(played=False), T + 0.02)
    effects = flow.handle(ev.MusicEnded(played=False), T + 0.04)
    assert orders(effects) == [ev.ReportUnplayable(ev.MediaKind.MUSIC, RINGING_TONE)]


@pytest.mark.fault(22)
def test_an_announcement_that_cannot_be_played_is_reported_each_time_and_noted_once() -> None:
    flow = waiting(QueueSettings(name="caller", greeting="hello.wav"))
    greeting = flow.handle(ev.SoundFailed("hello.wav"), T + 0.1)
    assert orders(greeting) == [ev.ReportUnplayable(ev.MediaKind.GREETING, "hello.wav")]
    assert notes(greeting) == [("greeting-failed", "hello.wav")]
    failed = ev.SoundFailed("phrase::callctl_position,1")
    first, again = flow.handle(failed, T + 30), flow.handle(failed, T + 60)
    report = ev.ReportUnplayable(ev.MediaKind.ANNOUNCEMENT, "phrase::callctl_position,1")
    assert orders(first) == orders(again) == [report]
    assert (len(notes(first)), len(notes(again))) == (1, 0)


def test_music_that_ends_almost_at_once_three_times_in_a_row_cannot_be_played() -> None:
    flow = waiting()
    music, tone = ev.PlayMusic("local_stream://moh"), ev.PlayMusic(RINGING_TONE)
    for at, follows in (
        (0.02, music),
        (0.04, music),
        (5.0, music),
        (5.02, music),
        (5.04, music),
        (5.06, tone),
    ):
        assert orders(flow.handle(ev.MusicEnded(played=True), T + at))[-1:] == [follows]


@pytest.mark.fault(5)
def test_music_that_a_key_has_ended_goes_on() -> None:
    flow = waiting()
    for number in range(10):
        effects = flow.handle(ev.MusicEnded(played=True, by_key=True), T + number * 0.1)
        assert orders(effects) == [ev.PlayMusic("local_stream://moh")]


def test_an_agent_whose_offer_was_taken_back_is_free_as_soon_as_the_leg_is_gone() -> None:
    flow = ringing()
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 5)
    gone = ev.AgentUnavailable("offer-1001", OfferResult.CANCELLED, "ORIGINATOR_CANCEL")
    assert orders(flow.handle(gone, T + 5.02)) == [
        ev.ReleaseOffer("offer-1001", OfferResult.CANCELLED, "ORIGINATOR_CANCEL")
    ]


def test_a_leg_that_answers_a_call_that_is_over_is_hung_up() -> None:
    flow = ended()
    effects = flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=False), T + 6)
    assert orders(effects) == [ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL")]


@pytest.mark.parametrize(("written", "offers"), [(2, 2), (0, 1)], ids=["known", "on a full disk"])
def test_a_talk_found_after_a_restart_is_followed_to_its_end(written: int, offers: int) -> None:
    known = CallRecord(arrival=ARRIVAL, state=CallState.BRIDGING, offers=written, answered_at=T + 3)
    flow = CallFlow(ARRIVAL, QUEUE, known)
    effects = flow.adopt(an_offer(), T + 3.05, T + 20)
    assert orders(effects) == [ev.SetCallerVariables(talk_variables(T + 20)), ev.SettleCaller()]
    flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 50)
    assert (flow.record.bridged_at, flow.record.ended_at, flow.record.offers) == (T + 3.05, T + 50, offers)


WITH_CALLBACK = QueueSettings(name="caller", callback_key="1", callback_attempts=2)
CALLED_BACK = evolve(ARRIVAL, uuid="", callback=True, caller_number="4930123")


def callback_whose_agent_answered() -> CallFlow:
    flow = CallFlow(CALLED_BACK, WITH_CALLBACK)
    flow.begin(Place(position=1), T)
    flow.handle(ev.Offered(an_offer()), T + 1)
    flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    return flow


def test_a_caller_who_presses_the_callback_key_hangs_up_and_keeps_the_place() -> None:
    flow = waiting(WITH_CALLBACK, evolve(ARRIVAL, caller_number="4930123"))
    variables = hand_back_variables(Reason.EXIT_WITH_KEY, T + 5, target=CALLBACK_TARGET, exit_key="1")
    assert orders(flow.handle(ev.KeyPressed("1"), T + 5)) == [
        ev.LeaveQueue(abandoned=False),
        ev.KeepForCallback(variables),
        ev.End(),
    ]


def test_a_caller_without_a_number_cannot_be_called_back() -> None:
    assert orders(waiting(WITH_CALLBACK).handle(ev.KeyPressed("1"), T + 5)) == []


@pytest.mark.parametrize("away", [0.0, 100.0])
def test_a_callback_waits_without_music_until_it_expires_counted_from_the_key(away: float) -> None:
    flow = CallFlow(CALLED_BACK, WITH_CALLBACK)
    begun = flow.begin_without_socket(Place(position=2), T + away)
    assert orders(begun) == [ev.StartTimer(TIMER_EXPIRY, WITH_CALLBACK.callback_expiry - away)]
    flow.handle(ev.TimerFired(TIMER_EXPIRY), T + WITH_CALLBACK.callback_expiry)
    assert (flow.record.reason, flow.record.hung_up_by) == (Reason.TIMEOUT, HungUpBy.CALLCTL)


@pytest.mark.parametrize("why", [Reason.WITHDRAWN, Reason.ERROR])
def test_a_callback_that_is_over_is_given_to_no_dialplan(why: Reason) -> None:
    flow = CallFlow(CALLED_BACK, WITH_CALLBACK)
    flow.begin_without_socket(Place(position=2), T)
    over = flow.handle(ev.WaitOver(why, "call:another"), T + 9)
    assert orders(over) == [ev.LeaveQueue(abandoned=False), ev.End()]


def test_a_callback_rings_the_agent_first_and_then_the_caller() -> None:
    flow = CallFlow(CALLED_BACK, WITH_CALLBACK)
    flow.begin(Place(position=1), T)
    assert orders(flow.handle(ev.Offered(an_offer()), T + 1)) == [ev.Ring(an_offer())]
    answered = flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 3)
    assert orders(answered) == [ev.CallBack(an_offer())]
    assert orders(flow.handle(ev.CallerReached("offer-1001", "new"), T + 8)) == [
        ev.SettleCaller(),
        ev.Bridge(an_offer(), bridge_variables(an_offer())),
        ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS),
    ]
    flow.handle(ev.Bridged("leg-1001"), T + 8)
    assert (flow.record.outcome, flow.record.arrival.uuid) == (Outcome.HANDLED, "new")


def test_a_caller_who_is_not_reached_is_tried_again_later_and_then_given_up() -> None:
    flow = callback_whose_agent_answered()
    effects = flow.handle(ev.CallerUnreached("offer-1001", "NO_ANSWER"), T + 30)
    assert orders(effects) == [
        ev.Postpone(WITH_CALLBACK.callback_retry_interval),  # or another agent is rung for an instant
        ev.ReportBridgeFailed("offer-1001", caller_gone=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
        ev.HangUpCaller("ORIGINATOR_CANCEL"),
        ev.StartTimer(TIMER_EXPIRY, WITH_CALLBACK.callback_expiry - 30),
    ]
    flow.handle(ev.Offered(an_offer("1002")), T + 400)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 402)
    given_up = flow.handle(ev.CallerUnreached("offer-1002", "NO_ANSWER"), T + 430)
    assert ev.End() in given_up
    assert ev.ReportBridgeFailed("offer-1002", caller_gone=True) in given_up
    # Nobody has hung up: the promise has run out.
    assert (flow.record.reason, flow.record.outcome) == (Reason.TIMEOUT, Outcome.OVERFLOWED)
    assert (flow.record.hung_up_by, flow.record.hangup_cause) == (HungUpBy.CALLCTL, "NO_ANSWER")


@pytest.mark.fault(20)
@pytest.mark.parametrize("cause", ["USER_BUSY", "CALL_REJECTED"])
def test_a_phone_that_is_busy_or_declines_is_tried_again(cause: str) -> None:
    flow = callback_whose_agent_answered()
    # The switch tells of the leg and of the order, in any order; it is one attempt.
    first = flow.handle(ev.CallerHungUp(cause, HungUpBy.CALLER), T + 5)
    assert ev.Postpone(WITH_CALLBACK.callback_retry_interval) in first
    assert orders(flow.handle(ev.CallerUnreached("offer-1001", cause), T + 5.1)) == []
    assert (flow.record.state, flow.record.reason) == (CallState.WAITING, None)
    flow.handle(ev.Offered(an_offer("1002")), T + 400)
    flow.handle(ev.AgentAnswered("offer-1002", "leg-1002", won=True), T + 402)
    flow.handle(ev.CallerReached("offer-1002", "new"), T + 405)
    flow.handle(ev.Bridged("leg-1002"), T + 405)
    assert flow.record.outcome is Outcome.HANDLED


def test_a_bridge_that_lapsed_in_the_queue_before_may_yet_take_the_caller() -> None:
    before = waiting()
    before.handle(ev.Offered(an_offer()), T + 1)
    before.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 2)
    before.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 2.01)
    before.handle(ev.WaitOver(Reason.OVERFLOW, "queue:second"), T + 2.02)
    flow = CallFlow(evolve(ARRIVAL, call="call-2", queue="second"), QUEUE)
    flow.follow_on(before)
    begun = flow.begin(Place(position=1), T + 2.03)
    # The way back that was set for the bridge stays until it is settled.
    assert ev.StartTimer(TIMER_BRIDGE, BRIDGE_PROOF_SECONDS) in begun
    assert not [effect for effect in begun if isinstance(effect, ev.SetCallerVariables)]
    taken = flow.handle(ev.CallerTaken(), T + 2.05)
    assert ev.LeaveSocket() in taken
    assert flow.stage is Stage.WAITING
    back = flow.handle(ev.CallerReturned(), T + 7)
    assert ev.SetCallerVariables(waiting_variables(flow.record.arrival)) in back


def test_an_agent_who_leaves_while_the_caller_is_rung_lets_the_caller_go() -> None:
    flow = callback_whose_agent_answered()
    effects = flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 5)
    assert ev.HangUpCaller("ORIGINATOR_CANCEL") in effects
    assert orders(flow.handle(ev.CallerReached("offer-1001", "new"), T + 6)) == [
        ev.HangUpLeg("new", "ORIGINATOR_CANCEL")
    ]


@pytest.mark.parametrize(
    "lost",
    [
        ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"),
        ev.SwitchLost(),
        ev.CallerHungUp("DESTINATION_OUT_OF_ORDER", HungUpBy.SWITCH),
    ],
)
def test_a_caller_who_was_reached_for_an_agent_who_is_gone_is_called_again(lost: ev.CallHappening) -> None:
    flow = callback_whose_agent_answered()
    flow.handle(ev.CallerReached("offer-1001", "new"), T + 5)
    assert flow.record.arrival.uuid == "new"
    assert ev.HangUpCaller("ORIGINATOR_CANCEL") in flow.handle(lost, T + 5.01)
    # Our own hangup of that leg, and the loss of its switch, end no wait.
    for said in (ev.CallerHungUp("ORIGINATOR_CANCEL", HungUpBy.SWITCH), ev.SwitchLost()):
        assert flow.handle(said, T + 5.1) == []
    assert (flow.stage, flow.record.arrival.uuid, flow.record.reason) == (Stage.WAITING, "", None)


def test_a_caller_who_was_called_back_and_hangs_up_before_the_bridge_wants_no_call() -> None:
    flow = callback_whose_agent_answered()
    flow.handle(ev.CallerReached("offer-1001", "new"), T + 5)
    assert ev.End() in flow.handle(ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER), T + 5.01)
    assert flow.record.reason is Reason.CALLER_HANGUP


@pytest.mark.parametrize("arrival", [ARRIVAL, CALLED_BACK], ids=["a caller", "a callback"])
def test_an_agent_whose_answer_is_told_after_the_hangup_gets_nobody(arrival: Arrival) -> None:
    flow = CallFlow(arrival, WITH_CALLBACK)
    flow.begin(Place(position=1), T)
    flow.handle(ev.Offered(an_offer()), T + 1)
    assert flow.handle(ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"), T + 2) == []
    answered = flow.handle(ev.AgentAnswered("offer-1001", "leg-1001", won=True), T + 2.1)
    assert orders(answered) == [
        ev.ReportBridgeFailed("offer-1001", caller_gone=False),
        ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL"),
    ]
    assert (flow.stage, flow.taken) == (Stage.WAITING, None)


def test_a_refused_bridge_leaves_a_callback_waiting() -> None:
    flow = callback_whose_agent_answered()
    flow.handle(ev.CallerReached("offer-1001", "new"), T + 5)
    refused = orders(flow.handle(ev.BridgeRefused("offer-1001", "-ERR"), T + 6))
    assert ev.HangUpCaller("ORIGINATOR_CANCEL") in refused
    assert not [effect for effect in refused if isinstance(effect, ev.SetCallerVariables | ev.PlayMusic)]
    assert flow.stage is Stage.WAITING


def test_a_lease_that_ends_lets_go_of_the_agent_and_of_the_caller_who_is_being_called_back() -> None:
    flow = callback_whose_agent_answered()
    assert orders(flow.handle(ev.LeaseExpired("offer-1002"), T + 30)) == []
    expired = orders(flow.handle(ev.LeaseExpired("offer-1001"), T + 30))
    assert ev.HangUpLeg("leg-1001", "ORIGINATOR_CANCEL") in expired
    assert ev.HangUpCaller("ORIGINATOR_CANCEL") in expired
    assert (flow.stage, flow.taken) == (Stage.WAITING, None)
    late = orders(flow.handle(ev.CallerReached("offer-1001", "new"), T + 31))
    assert late == [ev.HangUpLeg("new", "ORIGINATOR_CANCEL")]


EVERY_EVENT: list[ev.CallHappening] = [
    ev.Offered(an_offer()),
    ev.Offered(an_offer("1002")),
    ev.OfferWithdrawn("offer-1001", "LOSE_RACE"),
    ev.LeaseExpired("offer-1001"),
    ev.AgentAnswered("offer-1001", "leg-1001", won=True),
    ev.AgentAnswered("offer-1002", "leg-1002", won=False),
    ev.AgentUnavailable("offer-1001", OfferResult.BUSY, "USER_BUSY"),
    ev.AgentHungUp("leg-1001", "NORMAL_CLEARING"),
    ev.Bridged("leg-1001"),
    ev.Bridged("a stranger"),
    ev.BridgeRefused("offer-1001", "-ERR"),
    ev.Unbridged("leg-1001"),
    ev.Unbridged("leg-1001", caller_was_gone=True),
    ev.AgentTalksElsewhere("leg-1001"),
    ev.TalkSettled(Standing(partner_uuid="leg-1001"), Standing(partner_uuid="caller")),
    ev.TalkSettled(Standing(application="valet_park"), Standing(is_parked=True)),
    ev.TalkSettled(GONE, Standing(partner_uuid="colleague")),
    ev.TalkSettled(GONE, Standing(is_parked=True)),
    ev.TalkSettled(Standing(application="playback"), None),
    ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER),
    ev.CallerHungUp("SYSTEM_SHUTDOWN", HungUpBy.SWITCH),
    ev.CallerHungUp("", None),
    ev.CallerTaken(),
    ev.SocketLost(),
    ev.CallerReturned(),
    ev.SwitchLost(),
    ev.WaitOver(Reason.TIMEOUT),
    ev.HangupOrdered("NORMAL_CLEARING"),
    ev.MusicEnded(played=True),
    ev.SoundFailed("hello.wav"),
    ev.KeyPressed("1"),
    ev.PlaceTold(2, 90.0),
    ev.CallerReached("offer-1001", "caller"),
    ev.CallerUnreached("offer-1001", "NO_ANSWER"),
    ev.TimerFired(TIMER_BRIDGE),
    ev.TimerFired(TIMER_RETURN),
    ev.TimerFired(TIMER_APART),
    ev.TimerFired(TIMER_FAREWELL),
]


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_an_entry_for_every_event(stage: Stage) -> None:
    for event in EVERY_EVENT:
        assert type(event) in TABLE[stage]
        AT[stage]().handle(event, T + 100)


@example(  # another agent still rings when the talk begins and ends
    [
        ev.Offered(an_offer()),
        ev.Offered(an_offer("1002")),
        ev.AgentAnswered("offer-1001", "leg-1001", won=True),
        ev.Bridged("leg-1001"),
    ]
)
@given(st.lists(st.sampled_from(EVERY_EVENT), max_size=30))
def test_whatever_happens_a_call_ends_once_with_one_reason_and_no_leg_is_left(
    happenings: list[ev.CallHappening],
) -> None:
    flow = waiting()
    effects: list[ev.Effect] = []
    open_legs: set[str] = set()
    gone_legs: set[str] = set()
    now = T
    goodbye = [
        ev.CallerHungUp("NORMAL_CLEARING", HungUpBy.CALLER),
        ev.TalkSettled(GONE, Standing(is_parked=True)),
        ev.TalkSettled(GONE, GONE),
        ev.TimerFired(TIMER_FAREWELL),
    ]
    for event in [*happenings, *goodbye]:
        now += 1
        done = flow.handle(event, now)
        effects += done
        for effect in done:
            if isinstance(effect, ev.Ring):
                open_legs |= {effect.offer.leg_uuid} - gone_legs
            elif isinstance(effect, ev.HangUpLeg):
                open_legs.discard(effect.leg_uuid)
        if isinstance(event, ev.AgentHungUp):
            gone_legs.add(event.leg_uuid)  # no channel comes back
            open_legs -= gone_legs
        if isinstance(event, ev.AgentUnavailable):
            open_legs.discard("leg-1001")
    reasons = {
        effect.fact.reason
        for effect in effects
        if isinstance(effect, ev.Write) and isinstance(effect.fact, CallRecord)
    }
    assert effects.count(ev.End()) == 1
    assert flow.record.state is CallState.ENDED
    assert flow.record.ended_at is not None
    assert len(reasons - {None}) == 1
    assert not open_legs
