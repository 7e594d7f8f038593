"""Who gets whom through the distributor: strategies in use, queues, tiers, skills, reasons."""

from __future__ import annotations

import pytest

from callctl.model import AgentStatus, OfferResult, PassedOver, Strategy, Tier
from tests.acd.floorplan import Centre


def talk(centre: Centre, call: str, now: float, seconds: float = 1.0) -> str:
    """Have a call answered by whom it is offered, and talk; return the agent's name."""
    centre.join(call, now)
    offer = centre.offer()
    centre.answer(offer, now)
    centre.d.talk_ended(offer.id, now + seconds)
    centre.effects()
    return offer.agent


@pytest.mark.parametrize(
    ("strategy", "seconds", "expected"),
    [
        # Each talk lasts as long as given; anna, bert and cleo have positions 1, 2 and 3.
        (Strategy.LONGEST_IDLE_AGENT, (1, 1, 1, 1), "anna bert cleo anna"),
        (Strategy.AGENT_WITH_LEAST_TALK_TIME, (9, 2, 5, 2), "anna bert cleo bert"),
        (Strategy.AGENT_WITH_FEWEST_CALLS, (9, 2, 5, 2), "anna bert cleo anna"),
        (Strategy.ROUND_ROBIN, (9, 2, 5, 2), "anna bert cleo anna"),
        (Strategy.TOP_DOWN, (1, 1, 1, 1), "anna anna anna anna"),
        (Strategy.SEQUENTIALLY_BY_AGENT_ORDER, (1, 1, 1, 1), "anna anna anna anna"),
    ],
)
def test_one_call_after_the_other_goes_round_as_the_strategy_says(
    strategy: Strategy, seconds: tuple[float, ...], expected: str
) -> None:
    centre = Centre(strategy=strategy)
    for position, name in enumerate(("anna", "bert", "cleo"), start=1):
        centre.agent(name, position=position)
    agents = [talk(centre, f"c{n}", n * 100.0, length) for n, length in enumerate(seconds)]
    assert " ".join(agents) == expected


def test_top_down_goes_on_for_one_caller_and_starts_at_the_top_for_the_next() -> None:
    centre = Centre(strategy=Strategy.TOP_DOWN)
    for position, name in enumerate(("anna", "bert", "cleo"), start=1):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    for now, agent in ((10.0, "anna"), (20.0, "bert"), (30.0, "cleo"), (40.0, "anna")):
        offer = centre.offer()
        assert offer.agent == agent
        centre.fail(offer, "CALL_REJECTED", now)
    centre.d.leave("c1", 41.0)
    centre.effects()
    centre.d.advance(50.0)
    centre.join("c2", 50.0)
    assert centre.pairs() == [("c2", "anna")]


def test_sequentially_takes_whom_was_offered_longest_ago_among_equal_places() -> None:
    centre = Centre(strategy=Strategy.SEQUENTIALLY_BY_AGENT_ORDER)
    for name in ("anna", "bert"):
        centre.agent(name)
    assert [talk(centre, f"c{n}", n * 10.0) for n in range(4)] == ["anna", "bert", "anna", "bert"]


def test_over_several_queues_the_score_times_the_weight_decides() -> None:
    centre = Centre(weight=1)
    centre.queue("vip", weight=3)
    centre.join("c1", 0.0)
    centre.join("v1", 60.0, queue="vip")
    centre.join("v2", 66.0, queue="vip")
    # At 90 s: c1 has 90, v1 has 30 * 3 = 90 and joined later, v2 has 24 * 3 = 72.
    centre.agent("anna", 90.0, queues=("q", "vip"), status=AgentStatus.LOGGED_OUT)
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 91.0)
    # At 91 s: c1 has 91, v1 has 31 * 3 = 93.
    assert centre.pairs() == [("v1", "anna")]
    centre.agent("bert", 91.0, queues=("q", "vip"), status=AgentStatus.LOGGED_OUT)
    centre.d.set_status("bert", AgentStatus.AVAILABLE, 91.0)
    assert centre.pairs() == [("c1", "bert")]


def test_equal_weighted_scores_go_by_who_joined_first() -> None:
    centre = Centre(weight=1)
    centre.queue("vip", weight=3)
    centre.join("c1", 0.0)
    centre.join("v1", 60.0, queue="vip")
    centre.agent("anna", 80.0, queues=("q", "vip"), status=AgentStatus.LOGGED_OUT)
    centre.d.set_status("anna", AgentStatus.AVAILABLE, 90.0)
    assert centre.pairs() == [("c1", "anna")]


def test_a_caller_whom_the_free_agent_cannot_serve_does_not_hold_up_the_next() -> None:
    centre = Centre()
    centre.join("c1", 0.0, skills={"english": 1})
    centre.join("c2", 1.0)
    centre.agent("anna", 2.0)
    assert centre.pairs() == [("c2", "anna")]


def test_a_higher_tier_is_rung_only_after_the_wait() -> None:
    centre = Centre(tier_rules_apply=True, tier_rule_wait_second=30)
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert offer.agent == "anna"
    centre.answer(offer, 1.0)
    centre.join("c2", 5.0)
    assert centre.offers() == []
    assert centre.d.next_deadline() == 35.0
    centre.d.advance(34.999)
    assert centre.offers() == []
    centre.d.advance(35.0)
    assert centre.pairs() == [("c2", "bert")]


def test_a_tier_opens_at_once_when_the_last_agent_below_goes_on_a_break() -> None:
    centre = Centre(tier_rules_apply=True, tier_rule_wait_second=30)
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.join("c1", 0.0)
    centre.answer(centre.offer(), 1.0)
    centre.join("c2", 5.0)
    assert centre.offers() == []
    centre.d.set_status("anna", AgentStatus.ON_BREAK, 6.0)
    assert centre.pairs() == [("c2", "bert")]


def test_a_caller_is_offered_to_lower_levels_first_whatever_the_strategy() -> None:
    centre = Centre()
    centre.agent("anna", level=2)
    centre.agent("bert", level=1)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "bert")]


def test_a_changed_tier_counts_from_the_next_decision_on() -> None:
    centre = Centre()
    centre.agent("anna", position=1)
    centre.agent("bert", position=2)
    centre.d.put_tier(Tier(queue="q", agent="bert", level=1, position=0), 0.0)
    centre.join("c1", 0.0)
    assert centre.pairs() == [("c1", "bert")]
    centre.d.remove_tier("q", "anna", 1.0)
    centre.join("c2", 1.0)
    assert centre.pairs() == []


def test_a_skill_is_needed_at_its_level_and_relaxed_over_time() -> None:
    centre = Centre(skill_relax_seconds=10)
    centre.agent("anna", skills={"english": 3})
    centre.agent("bert", skills={"english": 2, "billing": 9})
    centre.agent("cleo")
    centre.join("c1", 0.0, skills={"english": 4, "billing": 1})
    assert centre.offers() == []
    # After 10 s english:3 and no billing any more: anna. Bert's english:2 would need 20 s.
    centre.d.advance(9.999)
    assert centre.offers() == []
    assert centre.d.next_deadline() == 10.0
    centre.d.advance(10.0)
    offer = centre.offer()
    assert offer.agent == "anna"
    centre.fail(offer, "USER_NOT_REGISTERED", 15.0)
    assert centre.offers() == []
    centre.d.set_status("anna", AgentStatus.LOGGED_OUT, 15.0)
    centre.d.advance(20.0)
    assert centre.pairs() == [("c1", "bert")]


def test_skills_are_never_relaxed_unless_the_queue_says_so() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0, skills={"english": 1})
    centre.d.advance(100_000.0)
    assert centre.offers() == []
    assert centre.d.next_deadline() is None


def test_the_agent_whom_the_caller_talked_to_last_comes_first_for_a_time() -> None:
    centre = Centre(preferred_agent_seconds=1000)
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0, caller_number="030123")
    offer = centre.offer()
    assert offer.agent == "anna"
    centre.answer(offer, 1.0)
    centre.d.talk_ended(offer.id, 10.0)
    centre.join("c2", 20.0, caller_number="030123")
    offer = centre.offer()
    assert offer.agent == "anna"
    assert centre.decisions()[-1].passed_over == (
        PassedOver(agent="bert", why="anna is preferred, having talked to this caller last"),
    )
    centre.fail(offer, "CALL_REJECTED", 30.0)
    centre.effects()
    centre.d.leave("c2", 31.0)
    centre.effects()
    centre.d.advance(40.0)
    centre.join("c3", 1010.5, caller_number="030123")
    assert centre.pairs() == [("c3", "bert")]


def test_a_preferred_agent_given_with_the_call_comes_first_over_every_level() -> None:
    centre = Centre()
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.join("c1", 0.0, preferred_agent="bert")
    assert centre.pairs() == [("c1", "bert")]


def test_a_preferred_agent_who_is_busy_is_not_waited_for() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert", status=AgentStatus.ON_BREAK)
    centre.join("c1", 0.0, preferred_agent="bert")
    assert centre.pairs() == [("c1", "anna")]


STARVING = [
    Strategy.LONGEST_IDLE_AGENT,
    Strategy.AGENT_WITH_LEAST_TALK_TIME,
    Strategy.AGENT_WITH_FEWEST_CALLS,
    Strategy.SEQUENTIALLY_BY_AGENT_ORDER,
]
"""The strategies by which an agent who never answers comes first for ever."""


@pytest.mark.fault(16)
@pytest.mark.parametrize("strategy", STARVING)
def test_an_agent_who_misses_a_caller_is_passed_over_for_it_while_another_is_free(strategy: Strategy) -> None:
    centre = Centre(strategy=strategy)
    centre.agent("anna", position=1)
    centre.agent("bert", position=2)
    centre.join("c1", 0.0)
    offer = centre.offer()
    assert offer.agent == "anna"
    centre.fail(offer, "NO_ANSWER", 20.0, OfferResult.NO_ANSWER)
    assert centre.pairs() == [("c1", "bert")]
    assert centre.decisions()[-1].passed_over == (
        PassedOver(agent="anna", why="has just missed this caller, and others of its level are free"),
    )


@pytest.mark.fault(16)
def test_a_caller_whom_several_miss_goes_round_among_them() -> None:
    centre = Centre()
    for position, name in enumerate(("anna", "bert", "cleo"), start=1):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    rung = []
    for number in range(1, 7):
        offer = centre.offer()
        rung.append(offer.agent)
        centre.fail(offer, "NO_ANSWER", 20.0 * number, OfferResult.NO_ANSWER)
    assert rung == ["anna", "bert", "cleo"] * 2
    assert (
        PassedOver(agent="bert", why="anna missed this caller longer ago")
        in centre.decisions()[-1].passed_over
    )


@pytest.mark.fault(16)
@pytest.mark.parametrize("end", ["CALL_REJECTED", "USER_BUSY", "bridge"])
def test_whoever_declines_or_is_gone_before_the_bridge_is_passed_over_as_well(end: str) -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0)
    offer = centre.offer()
    if end == "bridge":
        centre.d.offer_answered(offer.id, 2.0)
        centre.d.bridge_failed(offer.id, 3.0, caller_gone=False)
    else:
        centre.fail(offer, end, 3.0)
    assert centre.pairs() == [("c1", "bert")]


@pytest.mark.fault(16)
def test_a_preferred_agent_who_misses_its_caller_is_preferred_no_longer() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert")
    centre.join("c1", 0.0, preferred_agent="anna")
    centre.fail(centre.offer(), "NO_ANSWER", 20.0, OfferResult.NO_ANSWER)
    assert centre.pairs() == [("c1", "bert")]


def test_an_agent_who_missed_a_caller_comes_before_those_of_a_higher_level() -> None:
    centre = Centre()
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.join("c1", 0.0)
    centre.fail(centre.offer(), "NO_ANSWER", 20.0, OfferResult.NO_ANSWER)
    assert centre.pairs() == [("c1", "anna")]


def test_the_next_caller_is_offered_to_the_agent_who_missed_the_last_one() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.agent("bert", status=AgentStatus.ON_BREAK)
    centre.join("c1", 0.0)
    offer = centre.offer()
    centre.d.leave("c1", 19.0)
    centre.fail(offer, "NO_ANSWER", 20.0, OfferResult.NO_ANSWER)
    centre.effects()
    centre.d.set_status("bert", AgentStatus.AVAILABLE, 20.0)
    centre.join("c2", 21.0)
    assert centre.pairs() == [("c2", "anna")]


def test_each_decision_names_the_order_and_why_everybody_else_was_passed_over() -> None:
    centre = Centre(wrap_up_time=30, tier_rules_apply=True, tier_rule_wait_second=60)
    centre.agent("wrap", level=1)
    centre.join("c0", 0.0)
    offer = centre.offer()
    centre.answer(offer, 1.0)
    centre.d.talk_ended(offer.id, 2.0)
    centre.agent("busy", 2.0, busy_delay_time=20)
    centre.join("c1", 2.0)
    centre.fail(centre.offer(), "USER_BUSY", 4.0)
    centre.d.leave("c1", 4.0)
    centre.agent("talk", 4.0)
    centre.join("c2", 4.0)
    centre.answer(centre.offer(), 5.0)
    centre.agent("ring", 5.0)
    centre.join("c3", 5.0)
    centre.offer()
    centre.agent("anna", 6.0)
    centre.agent("bert", 6.0, position=2)
    centre.agent("away", 6.0)
    centre.d.set_registered("away", False, 6.0)
    centre.agent("call", 6.0)
    centre.d.set_external_call("call", True, 6.0)
    centre.agent("high", 6.0, level=2)
    centre.agent("none", 6.0, contact="")
    centre.agent("out", 6.0, status=AgentStatus.LOGGED_OUT)
    centre.agent("eat", 6.0, status=AgentStatus.AVAILABLE)
    centre.d.set_status("eat", AgentStatus.ON_BREAK, 6.0, "lunch")
    centre.join("c4", 6.0)
    decision = centre.decisions()[-1]
    assert (decision.call, decision.queue, decision.strategy) == ("c4", "q", Strategy.LONGEST_IDLE_AGENT)
    assert decision.chosen == ("anna",)
    assert decision.order == ("anna", "bert")
    assert {passed.agent: passed.why for passed in decision.passed_over} == {
        "wrap": "in wrap-up for 26 s more",
        "busy": "not offered a call for 18 s more, after USER_BUSY",
        "talk": "in a queue call",
        "ring": "is being offered another call",
        "bert": "anna has been idle longer",
        "away": "its phone is not registered",
        "call": "is on a call of its own",
        "high": "level 2 is not open to this caller yet",
        "none": "has no contact",
        "out": "Logged Out",
        "eat": "On Break (lunch)",
    }


def test_an_eligible_agent_of_a_higher_level_is_passed_over_for_the_level() -> None:
    centre = Centre()
    centre.agent("anna", level=1)
    centre.agent("bert", level=2)
    centre.join("c1", 0.0)
    assert centre.decisions()[-1].passed_over == (PassedOver(agent="bert", why="anna is on a lower level"),)


def test_a_skill_that_is_missing_is_said() -> None:
    centre = Centre()
    centre.agent("anna", skills={"english": 2})
    centre.join("c1", 0.0, skills={"english": 3})
    assert centre.decisions()[-1].passed_over == (
        PassedOver(agent="anna", why="lacks the skill english at level 3"),
    )


def test_that_nobody_was_eligible_is_noted_once_until_the_needs_change() -> None:
    centre = Centre(skill_relax_seconds=10)
    centre.agent("anna", skills={"english": 1})
    centre.join("c1", 0.0, skills={"english": 3})
    centre.agent("bert", 1.0)
    centre.d.set_status("bert", AgentStatus.ON_BREAK, 2.0)
    assert [(d.at, d.chosen) for d in centre.decisions()] == [(0.0, ())]
    centre.d.advance(10.0)
    centre.d.advance(20.0)
    assert [(d.at, d.chosen) for d in centre.decisions()] == [(0.0, ()), (10.0, ()), (20.0, ("anna",))]


def test_a_waiting_call_can_be_explained_at_any_time_without_a_note() -> None:
    centre = Centre()
    centre.agent("anna", status=AgentStatus.ON_BREAK)
    centre.join("c1", 0.0)
    noted = len(centre.decisions())
    explained = centre.d.explain("c1", 5.0)
    assert (explained.at, explained.chosen) == (5.0, ())
    assert explained.passed_over == (PassedOver(agent="anna", why="On Break"),)
    assert len(centre.decisions()) == noted


def test_in_a_queue_of_fifty_agents_everyone_is_named() -> None:
    centre = Centre()
    for number in range(50):
        centre.agent(f"a{number:02}")
    centre.join("c1", 0.0)
    decision = centre.decisions()[-1]
    assert len(decision.order) == 50
    assert decision.passed_over == tuple(
        PassedOver(agent=name, why="a00 has been idle longer") for name in decision.order[1:]
    )


def test_of_very_many_agents_the_next_ones_are_named_and_the_rest_are_counted_by_reason() -> None:
    centre = Centre(wrap_up_time=30)
    for number in range(60):
        centre.agent(f"a{number:02}", busy_delay_time=60, skills={"english": 2} if number >= 35 else {})
    for number in range(10):
        centre.d.set_status(f"a{number:02}", AgentStatus.LOGGED_OUT, 0.0)
    for number in range(10, 14):
        centre.d.set_status(f"a{number:02}", AgentStatus.ON_BREAK, 0.0, f"reason {number}")
    centre.d.set_registered("a14", False, 0.0)
    for number in range(5):
        centre.join(f"c{number}", 0.0)
    ringing, talking, wrapping_up, failed, _ = centre.offers()
    centre.answer(talking, 0.0)
    centre.answer(wrapping_up, 0.0)
    centre.d.talk_ended(wrapping_up.id, 0.0)
    centre.d.offer_ringing(ringing.id, 0.0)
    centre.fail(failed, "USER_BUSY", 0.0)
    centre.join("c5", 0.0, skills={"english": 1})
    decision = centre.decisions()[-1]
    assert decision.chosen == ("a35",)
    assert decision.order == tuple(f"a{number}" for number in range(35, 45))
    assert decision.passed_over[:-1] == tuple(
        PassedOver(agent=f"a{number}", why="a35 has been idle longer") for number in range(36, 45)
    )
    assert decision.passed_over[-1] == PassedOver(
        agent="50 others",
        why="eligible too, but behind those named (15), lacks the skill english at level 1 (14), "
        "Logged Out (10), On Break (4), is being offered another call (3), its phone is not registered (1), "
        "in a queue call (1), in wrap-up (1), not offered a call for a while (1)",
    )


def test_of_very_many_agents_a_caller_with_nobody_is_told_how_many_there_are_of_each_reason() -> None:
    centre = Centre()
    for number in range(51):
        centre.agent(f"a{number:02}")
    centre.d.set_status("a00", AgentStatus.ON_BREAK, 0.0)
    centre.d.set_switch_ready("fs1", False, 0.0)
    centre.join("c1", 0.0)
    (decision,) = centre.decisions()
    assert decision.passed_over == (
        PassedOver(agent="51 others", why="the caller's switch fs1 is not connected (50), On Break (1)"),
    )
