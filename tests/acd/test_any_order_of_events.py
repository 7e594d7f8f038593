"""Whatever happens in whatever order, the floor stays sound and its traces add up."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from callctl.acd.distributor import Distributor
from callctl.acd.effects import Noted, Offered, OfferWithdrawn, WaitOver
from callctl.errors import QueueEmpty, QueueFull
from callctl.ids import Ids
from callctl.model import (
    AgentRecord,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Arrival,
    Decision,
    Offer,
    OfferResult,
    OverflowRule,
    QueueSettings,
    Strategy,
    Tier,
)

AGENTS = ("anna", "bert", "cleo", "dora")
QUEUES = ("sales", "help")
SWITCHES = ("fs1", "fs2")
CAUSES = (
    "USER_BUSY",
    "CALL_REJECTED",
    "NO_ANSWER",
    "USER_NOT_REGISTERED",
    "LOSE_RACE",
    "DESTINATION_OUT_OF_ORDER",
    "",
)

queue_settings = st.builds(
    QueueSettings,
    name=st.sampled_from(QUEUES),
    strategy=st.sampled_from(Strategy),
    weight=st.sampled_from([0.5, 1.0, 3.0]),
    time_base_score=st.sampled_from(["queue", "system"]),
    tier_rules_apply=st.booleans(),
    tier_rule_wait_second=st.sampled_from([0.0, 7.0]),
    tier_rule_wait_multiply_level=st.booleans(),
    tier_rule_no_agent_no_wait=st.booleans(),
    max_callers=st.sampled_from([0, 4]),
    max_wait_time=st.sampled_from([0.0, 30.0]),
    max_wait_time_with_no_agent=st.sampled_from([0.0, 10.0]),
    ring_timeout=st.sampled_from([5.0, 20.0]),
    ring_progressively_delay=st.sampled_from([0.0, 4.0]),
    wrap_up_time=st.sampled_from([None, 0.0, 6.0]),
    agent_no_answer_status=st.sampled_from([AgentStatus.ON_BREAK, AgentStatus.LOGGED_OUT]),
    skip_agents_with_external_calls=st.booleans(),
    join_when_empty=st.booleans(),
    leave_when_empty=st.booleans(),
    abandoned_resume_allowed=st.booleans(),
    skill_relax_seconds=st.sampled_from([0.0, 9.0]),
    preferred_agent_seconds=st.sampled_from([0.0, 100.0]),
    overflow=st.sampled_from([(), (OverflowRule(to="hangup:USER_BUSY", waiting=3),)]),
)

agent_settings = st.builds(
    AgentSettings,
    name=st.sampled_from(AGENTS),
    contact=st.sampled_from(["user/a", "user/b", ""]),
    contacts=st.sampled_from([{}, {"fs2": "user/c"}, {"fs1": ""}]),
    max_no_answer=st.integers(0, 2),
    wrap_up_time=st.sampled_from([0.0, 5.0]),
    reject_delay_time=st.sampled_from([0.0, 8.0]),
    busy_delay_time=st.sampled_from([0.0, 8.0]),
    no_answer_delay_time=st.sampled_from([0.0, 8.0]),
    skills=st.sampled_from([{}, {"english": 3}, {"english": 1, "billing": 5}]),
)

# All times are exact in binary, so that they can be compared.
steps = st.sampled_from([0.0, 0.0, 0.125, 1.0, 3.0, 11.0])


class Floor(RuleBasedStateMachine):
    """A distributor, and what its effects tell about the calls, offers and agents."""

    calls: Bundle[str] = Bundle("calls")
    offers: Bundle[Offer] = Bundle("offers")

    @initialize(seed=st.integers(0, 9))
    def open(self, seed: int) -> None:
        self.now = 1000.0
        self.d = self.distributor(seed)
        self.joined = 0
        self.waiting: set[str] = set()
        self.live: dict[str, Offer] = {}
        self.spans: dict[tuple[str, float], AgentSpan] = {}
        self.records: dict[str, AgentRecord] = {}
        for name in QUEUES:
            self.d.put_queue(QueueSettings(name=name), self.now)
        for name in AGENTS:
            self.d.put_agent(AgentSettings(name=name, contact=f"user/{name}"), self.now)
            self.d.put_tier(Tier(queue="sales", agent=name), self.now)
            self.d.set_status(name, AgentStatus.AVAILABLE, self.now)
        self._take()

    def distributor(self, seed: int) -> Distributor:
        return Distributor(ids=Ids(random.Random(seed)), random=random.Random(seed))

    # --- what happens ---

    @rule(step=steps)
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(settings=queue_settings)
    def configure_queue(self, settings: QueueSettings) -> None:
        self._do(lambda: self.d.put_queue(settings, self.now))

    @rule(name=st.sampled_from(QUEUES))
    def remove_and_return_queue(self, name: str) -> None:
        self._do(lambda: self.d.remove_queue(name, self.now))
        self._do(lambda: self.d.put_queue(QueueSettings(name=name), self.now))

    @rule(settings=agent_settings)
    def configure_agent(self, settings: AgentSettings) -> None:
        self._do(lambda: self.d.put_agent(settings, self.now))

    @rule(name=st.sampled_from(AGENTS))
    def remove_and_return_agent(self, name: str) -> None:
        self._do(lambda: self.d.remove_agent(name, self.now))
        self.now += 0.5
        self._do(lambda: self.d.put_agent(AgentSettings(name=name, contact="user/new"), self.now))

    @rule(
        queue=st.sampled_from(QUEUES),
        agent=st.sampled_from(AGENTS),
        level=st.integers(1, 3),
        position=st.integers(1, 3),
    )
    def put_tier(self, queue: str, agent: str, level: int, position: int) -> None:
        tier = Tier(queue=queue, agent=agent, level=level, position=position)
        self._do(lambda: self.d.put_tier(tier, self.now))

    @rule(
        agent=st.sampled_from(AGENTS), status=st.sampled_from(AgentStatus), pause=st.sampled_from([None, 5.0])
    )
    def set_status(self, agent: str, status: AgentStatus, pause: float | None) -> None:
        until = self.now + pause if pause is not None and status is AgentStatus.ON_BREAK else None
        self._do(lambda: self.d.set_status(agent, status, self.now, "why", until))

    @rule(agent=st.sampled_from(AGENTS), busy=st.booleans())
    def set_external_call(self, agent: str, busy: bool) -> None:
        self._do(lambda: self.d.set_external_call(agent, busy, self.now))

    @rule(agent=st.sampled_from(AGENTS), registered=st.sampled_from([True, False, None]))
    def set_registered(self, agent: str, registered: bool | None) -> None:
        self._do(lambda: self.d.set_registered(agent, registered, self.now))

    @rule(agent=st.sampled_from(AGENTS))
    def end_wrap_up(self, agent: str) -> None:
        self._do(lambda: self.d.end_wrap_up(agent, self.now))

    @rule(
        target=calls,
        queue=st.sampled_from(QUEUES),
        switch=st.sampled_from(SWITCHES),
        number=st.sampled_from(["", "030123", "040456"]),
        score=st.sampled_from([0.0, 0.0, 50.0, -20.0]),
        waited=st.sampled_from([0.0, 0.0, 12.0]),
        skills=st.sampled_from([{}, {}, {"english": 2}, {"billing": 5}]),
        callback=st.sampled_from([False, False, True]),
    )
    def join(
        self,
        queue: str,
        switch: str,
        number: str,
        score: float,
        waited: float,
        skills: dict[str, int],
        callback: bool,
    ) -> str:
        self.joined += 1
        call = f"c{self.joined}"
        arrival = Arrival(
            call=call,
            uuid=call,
            switch=switch,
            queue=queue,
            arrived_at=self.now - waited,
            joined_at=self.now - waited,
            caller_number=number,
            base_score=score,
            skills=skills,
            callback=callback,
        )
        self.waiting.add(call)
        try:
            self._do(lambda: self.d.join(arrival, self.now))
        except (QueueFull, QueueEmpty):
            self.waiting.discard(call)
            self._take()
        return call

    @rule(call=calls, abandoned=st.booleans())
    def leave(self, call: str, abandoned: bool) -> None:
        self.waiting.discard(call)
        self._do(lambda: self.d.leave(call, self.now, abandoned=abandoned))

    @rule(call=calls, score=st.sampled_from([0.0, 100.0]))
    def set_base_score(self, call: str, score: float) -> None:
        if call in self.waiting:
            self._do(lambda: self.d.set_base_score(call, score, self.now))

    @rule(call=calls)
    def postpone(self, call: str) -> None:
        if call in self.waiting:
            self._do(lambda: self.d.postpone(call, self.now + 6.0, self.now))

    @rule(data=st.data())
    def ring(self, data: st.DataObject) -> None:
        if offer := self._some_offer(data):
            self._do(lambda: self.d.offer_ringing(offer.id, self.now))

    @rule(data=st.data(), is_bridged=st.booleans(), caller_gone=st.booleans())
    def answer(self, data: st.DataObject, is_bridged: bool, caller_gone: bool) -> None:
        offer = self._some_offer(data)
        if offer is None:
            return
        won = self.d.offer_answered(offer.id, self.now)
        self._take()
        if won:
            assert offer.call in self.waiting
            if is_bridged:
                self.waiting.discard(offer.call)
                self._do(lambda: self.d.bridged(offer.id, self.now))
            elif caller_gone:
                self.waiting.discard(offer.call)
                self._do(lambda: self.d.bridge_failed(offer.id, self.now, caller_gone=True))
                self.live.pop(offer.id, None)

    @rule(
        data=st.data(),
        result=st.sampled_from(OfferResult),
        cause=st.sampled_from(CAUSES),
        reached=st.booleans(),
    )
    def fail(self, data: st.DataObject, result: OfferResult, cause: str, reached: bool) -> None:
        if offer := self._some_offer(data):
            self._do(lambda: self.d.offer_failed(offer.id, result, cause, self.now, reached=reached))

    @rule(data=st.data(), caller_gone=st.booleans())
    def fail_bridge(self, data: st.DataObject, caller_gone: bool) -> None:
        if offer := self._some_offer(data):
            gone = {view.call for view in self.d.members(self.now)}
            self._do(lambda: self.d.bridge_failed(offer.id, self.now, caller_gone=caller_gone))
            self.waiting -= gone - {view.call for view in self.d.members(self.now)}

    @rule(data=st.data())
    def end_talk(self, data: st.DataObject) -> None:
        if offer := self._some_offer(data):
            self._do(lambda: self.d.talk_ended(offer.id, self.now))

    @rule(agent=st.sampled_from(AGENTS), queue=st.sampled_from(QUEUES))
    def adopt(self, agent: str, queue: str) -> None:
        self.joined += 1
        call = f"c{self.joined}"
        arrival = Arrival(
            call=call, uuid=call, switch="fs1", queue=queue, arrived_at=self.now, joined_at=self.now
        )
        offer = self.d.adopt_talk(arrival, agent, "leg", self.now - 5.0, self.now)
        self.live[offer.id] = offer
        self._take()

    # --- what must be true ---

    @invariant()
    def nothing_is_violated(self) -> None:
        if not hasattr(self, "d"):
            return
        self._do(lambda: self.d.advance(self.now))
        assert self.d.check_invariants(self.now) == []

    @invariant()
    def nobody_waits_whom_we_do_not_know_of(self) -> None:
        if hasattr(self, "d"):
            assert {view.call for view in self.d.members(self.now)} == self.waiting

    @invariant()
    def the_next_deadline_lies_ahead(self) -> None:
        if hasattr(self, "d"):
            deadline = self.d.next_deadline()
            assert deadline is None or deadline > self.now

    @invariant()
    def the_written_trace_shows_every_agent_as_it_stands(self) -> None:
        if not hasattr(self, "d"):
            return
        for view in self.d.agents(self.now):
            record = self.records[view.name]
            assert (record.status, record.state, record.misses) == (view.status, view.state, view.misses)
            spans = sorted(
                (span for (agent, _), span in self.spans.items() if agent == view.name),
                key=lambda span: span.started_at,
            )
            for before, after in pairwise(spans):
                assert before.ended_at is not None
                assert before.ended_at <= after.started_at
                if before.ended_at < after.started_at:
                    assert after.started_at - before.ended_at == 0.5  # The agent was removed for this long.
            last = spans[-1]
            assert (last.ended_at, last.status, last.state) == (None, view.status, view.state)

    @invariant()
    def an_agent_is_on_one_leg_at_most(self) -> None:
        if hasattr(self, "d"):
            agents = [view.offer.agent for view in self.d.agents(self.now) if view.offer is not None]
            assert len(agents) == len(set(agents))
            for view in self.d.agents(self.now):
                on_a_leg = view.state in (
                    AgentState.RESERVED,
                    AgentState.RECEIVING,
                    AgentState.IN_A_QUEUE_CALL,
                )
                assert (view.offer is not None) == on_a_leg

    # --- how it is done ---

    def _some_offer(self, data: st.DataObject) -> Offer | None:
        return self.live[data.draw(st.sampled_from(sorted(self.live)))] if self.live else None

    def _do(self, action: Callable[[], object]) -> None:
        action()
        self._take()

    def _take(self) -> None:
        for effect in self.d.take_effects():
            match effect:
                case Offered(offer):
                    assert offer.call in self.waiting
                    assert offer.contact
                    self.live[offer.id] = offer
                case OfferWithdrawn(offer, _):
                    assert offer.id in self.live
                case WaitOver(call, _, _):
                    self.waiting.remove(call)
                case Noted(AgentSpan() as span):
                    self.spans[span.agent, span.started_at] = span
                case Noted(AgentRecord() as record):
                    self.records[record.settings.name] = record
                case Noted(Decision() as decision):
                    assert set(decision.chosen) <= set(decision.order)


Floor.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrderOfEvents = Floor.TestCase
