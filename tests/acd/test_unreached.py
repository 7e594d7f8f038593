"""Offers that reach no phone: whether the agent waits or the caller, and that others are served meanwhile."""

from __future__ import annotations

import heapq
from itertools import count

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from callctl.acd.delays import back_off_seconds
from callctl.acd.effects import CallerSteppedBack, Offered
from callctl.model import AgentStatus, CallEvent, Offer, OfferResult, Strategy
from tests.acd.floorplan import Centre

DEAD = "DESTINATION_OUT_OF_ORDER"


def reach_nobody(centre: Centre, offer: Offer, now: float, cause: str = DEAD) -> None:
    centre.d.offer_failed(offer.id, OfferResult.FAILED, cause, now, reached=False)


def stepped_back(centre: Centre) -> list[CallerSteppedBack]:
    centre.effects()
    return [effect for effect in centre.seen if isinstance(effect, CallerSteppedBack)]


def test_the_back_off_doubles_up_to_a_minute() -> None:
    seconds = [back_off_seconds(times) for times in (1, 2, 3, 4, 5, 6, 100_000)]
    assert seconds == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize("cause", [DEAD, "NO_ANSWER", "NORMAL_TEMPORARY_FAILURE", "INVALID_GATEWAY"])
def test_an_offer_that_reached_no_phone_is_no_miss(cause: str) -> None:
    centre = Centre()
    centre.agent("anna", max_no_answer=1, no_answer_delay_time=300)
    centre.join("c1", 0.0)
    reach_nobody(centre, centre.offer(), 2.0, cause)
    view = centre.view("anna", 2.0)
    assert (view.status, view.misses) == (AgentStatus.AVAILABLE, 0)
    assert view.why_not_free == f"not offered a call for 5 s more, after {cause}, which reached no phone"


def test_a_dead_phone_is_rung_ever_more_rarely_until_an_offer_reaches_it() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    now = 0.0
    for delay in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        reach_nobody(centre, centre.offer(), now)
        centre.d.advance(now + delay - 0.001)
        assert centre.offers() == []
        now += delay
        centre.d.advance(now)
    centre.fail(centre.offer(), "NO_ANSWER", now + 20.0, OfferResult.NO_ANSWER)
    assert centre.view("anna").misses == 1
    reach_nobody(centre, centre.offer(), now + 21.0)
    assert centre.d.next_deadline() == now + 26.0


@pytest.mark.parametrize("cause", ["USER_BUSY", "CALL_REJECTED", "ORIGINATOR_CANCEL"])
def test_a_phone_that_says_no_is_there(cause: str) -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    centre.d.advance(5.0)
    centre.fail(centre.offer(), cause, 7.0)
    reach_nobody(centre, centre.offer(), 7.5)
    assert centre.d.next_deadline() == 12.5


def test_a_phone_that_was_rung_when_the_offer_was_taken_back_is_there() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("c1", 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    centre.d.advance(5.0)
    offer = centre.offer()
    centre.d.leave("c1", 8.0)
    centre.d.offer_failed(offer.id, OfferResult.CANCELLED, "ORIGINATOR_CANCEL", 8.1, reached=True)
    centre.join("c2", 9.0)
    centre.effects()
    reach_nobody(centre, centre.seen_offers()[-1], 9.0)
    assert centre.d.next_deadline() == 14.0


def test_a_caller_who_fails_with_everybody_steps_back_and_nothing_is_held_against_the_agents() -> None:
    centre = Centre()
    for name in ("anna", "bert"):
        centre.agent(name, max_no_answer=1)
    centre.join("poison", 0.0)
    reach_nobody(centre, centre.offer(), 0.1)
    reach_nobody(centre, centre.offer(), 0.2)
    assert stepped_back(centre) == [CallerSteppedBack("poison", 5.0, ("anna", "bert"))]
    notes = [fact.detail for fact in centre.facts(CallEvent) if fact.event == "stepped-back"]
    assert notes == ["for 5 s: no phone was reached of anna, bert"]
    assert {centre.view(name).status for name in ("anna", "bert")} == {AgentStatus.AVAILABLE}
    centre.join("good", 1.2)
    assert centre.pairs() == [("good", "anna")]


def test_the_caller_who_steps_back_is_tried_again_ever_later() -> None:
    centre = Centre()
    for name in ("anna", "bert"):
        centre.agent(name)
    centre.join("poison", 0.0)
    now = 0.0
    reach_nobody(centre, centre.offer(), now)
    for delay in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        offers = [effect.offer for effect in centre.effects() if isinstance(effect, Offered)]
        reach_nobody(centre, offers[0], now)
        assert stepped_back(centre)[-1].seconds == delay
        explained = {passed.why for passed in centre.d.explain("poison", now + 2.0).passed_over}
        assert f"this caller steps back for {delay - 2:.0f} s: no phone was reached for it" in explained
        now += delay
        centre.d.advance(now)


def test_two_dead_phones_do_not_hold_a_caller_back_while_a_third_is_free() -> None:
    centre = Centre()
    for position, name in enumerate(("anna", "bert", "cleo")):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    reach_nobody(centre, centre.offer(), 0.1)
    reach_nobody(centre, centre.offer(), 0.2)
    assert centre.pairs() == [("c1", "cleo")]
    assert stepped_back(centre) == []


def test_phones_that_were_dead_for_others_too_are_no_reason_to_step_back() -> None:
    centre = Centre()
    for position, name in enumerate(("anna", "bert", "cleo", "dora", "emma")):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    for _ in range(2):
        reach_nobody(centre, centre.offer(), 0.0)
    offer = centre.offer()
    assert offer.agent == "cleo"
    centre.answer(offer, 0.0)
    centre.d.advance(6.0)
    centre.join("c2", 6.0)
    for agent in ("anna", "bert"):
        offer = centre.offer()
        assert offer.agent == agent
        reach_nobody(centre, offer, 6.0)
    assert [centre.view(name, 6.0).why_not_free.split(" s more")[0][-2:] for name in ("anna", "bert")] == [
        "10",
        "10",
    ]
    offer = centre.offer()
    assert offer.agent == "dora"
    reach_nobody(centre, offer, 6.0)
    assert centre.pairs() == [("c2", "emma")]
    assert stepped_back(centre) == []


def test_a_caller_for_whom_a_phone_is_reached_was_not_the_reason() -> None:
    centre = Centre()
    for position, name in enumerate(("anna", "bert", "cleo", "dora")):
        centre.agent(name, position=position)
    centre.join("c1", 0.0)
    for number in range(3):
        reach_nobody(centre, centre.seen_offers()[number], 0.0)
    assert [effect.agents for effect in stepped_back(centre)] == [("anna", "bert", "cleo")]
    centre.d.advance(5.0)
    offer = centre.seen_offers()[-1]
    assert offer.agent == "dora", "those who failed come last"
    centre.d.offer_failed(offer.id, OfferResult.NO_ANSWER, "NO_ANSWER", 25.0, reached=True)
    for name in ("anna", "bert", "cleo"):
        assert centre.view(name, 25.0).why_not_free.startswith("not offered a call for 5 s more"), name


def test_an_agent_who_comes_free_meanwhile_takes_the_caller_if_nobody_else_waits() -> None:
    centre = Centre()
    for position, name in enumerate(("anna", "bert")):
        centre.agent(name, position=position)
    centre.agent("dora", status=AgentStatus.ON_BREAK)
    centre.agent("cleo", status=AgentStatus.ON_BREAK, skills={"english": 1})
    centre.join("c1", 0.0, skills={"english": 0})
    reach_nobody(centre, centre.offer(), 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    assert [effect.seconds for effect in stepped_back(centre)] == [5.0]
    centre.join("c2", 0.5, skills={"english": 1})
    centre.d.set_status("cleo", AgentStatus.AVAILABLE, 2.0)
    assert centre.pairs() == [("c2", "cleo")], "others go first"
    centre.d.set_status("dora", AgentStatus.AVAILABLE, 3.0)
    assert centre.pairs() == [("c1", "dora")]


def test_with_one_agent_another_caller_shows_which_of_the_two_it_was() -> None:
    centre = Centre()
    centre.agent("anna")
    centre.join("poison", 0.0)
    centre.join("good", 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    centre.d.advance(5.0)
    offer = centre.offer()
    assert offer.call == "good"
    centre.answer(offer, 6.0)
    centre.join("next", 20.0)
    centre.d.talk_ended(offer.id, 30.0)
    offer = centre.offer()
    assert offer.call == "poison", "it has its place again"
    reach_nobody(centre, offer, 30.0)
    centre.d.advance(31.0)
    assert [(effect.call, effect.seconds) for effect in stepped_back(centre)] == [("poison", 5.0)]
    assert centre.seen_offers()[-1].call == "next"


def test_everybody_who_is_rung_at_once_has_failed_before_the_caller_steps_back() -> None:
    centre = Centre(strategy=Strategy.RING_ALL)
    for name in ("anna", "bert", "cleo", "dora"):
        centre.agent(name)
    centre.join("poison", 0.0)
    offers = centre.offers()
    for offer in offers[:3]:
        reach_nobody(centre, offer, 0.5)
    assert centre.offers() == []
    reach_nobody(centre, offers[3], 0.5)
    assert [effect.agents for effect in stepped_back(centre)] == [("anna", "bert", "cleo", "dora")]
    centre.join("good", 1.5)
    assert sorted(offer.agent for offer in centre.offers()) == ["anna", "bert", "cleo", "dora"]


def test_a_callback_steps_back_like_a_caller() -> None:
    centre = Centre()
    for name in ("anna", "bert"):
        centre.agent(name)
    centre.join("poison", 0.0, callback=True, caller_number="0301")
    reach_nobody(centre, centre.offer(), 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    assert [effect.seconds for effect in stepped_back(centre)] == [5.0]
    centre.d.advance(5.0)
    assert len(centre.seen_offers()) == 3


def test_who_comes_back_to_the_same_wait_is_not_tried_anew() -> None:
    centre = Centre()
    for name in ("anna", "bert"):
        centre.agent(name)
    centre.join("poison", 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    reach_nobody(centre, centre.offer(), 0.0)
    centre.effects()
    centre.join("poison", 2.0, resumes=1)
    assert centre.offers() == []


class Day:
    """A centre whose dead phones and whose poisonous callers are known to the test alone."""

    def __init__(self, strategy: Strategy, alive: int, dead: int) -> None:
        self.centre = Centre(strategy=strategy)
        self.names = [f"dead{n}" for n in range(dead)] + [f"live{n}" for n in range(alive)]
        for position, name in enumerate(self.names):
            self.centre.agent(name, position=position, max_no_answer=1)
        self.now = 0.0
        self.offered: dict[str, list[float]] = {name: [] for name in self.names}
        self.answered: dict[str, float] = {}
        self._due: list[tuple[float, int, str, Offer]] = []
        self._numbers = count()

    def run(self, until: float) -> None:
        """Let every phone that is reached answer after 2 s, and every talk last 5 s."""
        while True:
            for effect in self.centre.effects():
                if isinstance(effect, Offered):
                    offer = effect.offer
                    self.offered[offer.agent].append(self.now)
                    fails = offer.agent.startswith("dead") or offer.call.startswith("poison")
                    self._later(0.25, "fail", offer) if fails else self._later(2.0, "answer", offer)
            deadline = self.centre.d.next_deadline()
            moments = [at for at in (deadline, self._due[0][0] if self._due else None) if at is not None]
            if not moments or min(moments) > until:
                return
            self.now = min(moments)
            if self._due and self._due[0][0] <= self.now:
                _, _, what, offer = heapq.heappop(self._due)
                self._do(what, offer)
            else:
                self.centre.d.advance(self.now)
            assert self.centre.d.check_invariants(self.now) == []

    def _do(self, what: str, offer: Offer) -> None:
        d = self.centre.d
        match what:
            case "fail":
                d.offer_failed(offer.id, OfferResult.FAILED, DEAD, self.now, reached=False)
            case "answer":
                if d.offer_answered(offer.id, self.now):
                    d.bridged(offer.id, self.now)
                    self.answered[offer.call] = self.now
                    self._later(5.0, "end", offer)
                else:
                    d.offer_failed(offer.id, OfferResult.CANCELLED, "LOSE_RACE", self.now, reached=True)
            case "end":
                d.talk_ended(offer.id, self.now)

    def _later(self, seconds: float, what: str, offer: Offer) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), what, offer))


@settings(max_examples=100, deadline=None)
@given(
    strategy=st.sampled_from(Strategy),
    alive=st.integers(1, 3),
    dead=st.integers(0, 4),
    callers=st.lists(st.booleans(), min_size=1, max_size=8),
)
def test_nobody_is_kept_from_a_phone_that_works(
    strategy: Strategy, alive: int, dead: int, callers: list[bool]
) -> None:
    """However many callers poison their legs, whoever stands behind them, and however many phones are dead.

    Where one phone alone works, nobody can tell whether it is the phone: each such caller costs a back-off.
    """
    day = Day(strategy, alive, dead)
    for number, is_poison in enumerate(callers):
        day.centre.join(f"{'poison' if is_poison else 'good'}{number}", number / 1024)
    day.run(600.0)
    good = [f"good{number}" for number, is_poison in enumerate(callers) if not is_poison]
    assert sorted(day.answered) == good
    # Seven seconds for each caller before it, and what dead phones and other callers may cost.
    worst = 60.0 * (len(callers) - len(good)) if alive == 1 else 0.0
    assert max(day.answered.values(), default=0.0) <= 7.25 * len(callers) + worst + 30.0
    for name in day.names:
        view = day.centre.view(name, day.now)
        assert (view.status, view.misses) == (AgentStatus.AVAILABLE, 0)
        if name.startswith("dead"):
            # Ten minutes hold 14 tries that wait 5, 10, 20, 40, 60, 60, … seconds for each other.
            assert len(day.offered[name]) <= 14 * (len(callers) + 1)
