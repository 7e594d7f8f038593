"""The small parts: timers, delays, estimates, and the checks of queues and agents."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callctl.acd.check import check_agents, check_queues
from callctl.acd.delays import Consequence, consequence
from callctl.acd.estimate import Waits, rounded
from callctl.acd.timers import Key, Timers, Wakes
from callctl.model import AgentSettings, OfferResult, OpeningHours, OverflowRule, QueueSettings


def key(name: str) -> Key:
    return Key(Wakes.AGENT, name)


def test_timers_fall_due_in_order_and_each_once() -> None:
    timers = Timers()
    timers.set(key("b"), 2.0)
    timers.set(key("a"), 1.0)
    assert timers.next() == 1.0
    assert timers.pop_due(0.999) is None
    assert [timers.pop_due(2.0), timers.pop_due(2.0), timers.pop_due(2.0)] == [key("a"), key("b"), None]
    assert timers.next() is None


def test_a_timer_that_is_moved_or_cancelled_does_not_fall_due_at_its_old_moment() -> None:
    timers = Timers()
    timers.set(key("a"), 1.0)
    timers.set(key("a"), 5.0)
    timers.set(key("b"), 2.0)
    timers.cancel(key("b"))
    timers.cancel(key("unknown"))
    assert (timers.next(), timers.at(key("a")), timers.at(key("b"))) == (5.0, 5.0, None)
    assert timers.pop_due(4.9) is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.integers(0, 50)), max_size=300))
def test_timers_do_what_a_plain_table_of_moments_would(changes: list[tuple[str, int | None]]) -> None:
    timers = Timers()
    table: dict[str, int] = {}
    for name, at in changes:
        if at is None:
            timers.cancel(key(name))
            table.pop(name, None)
        else:
            timers.set(key(name), float(at))
            table[name] = at
        assert timers.next() == min(table.values(), default=None)
    due = []
    while (popped := timers.pop_due(100.0)) is not None:
        due.append(table[popped.name])
    assert due == sorted(table.values())


def test_timers_that_are_moved_for_ever_do_not_grow() -> None:
    timers = Timers()
    for moment in range(10_000):
        timers.set(key("a"), float(moment))
    assert len(timers._heap) < 100


SETTINGS = AgentSettings(name="a", busy_delay_time=1, reject_delay_time=2, no_answer_delay_time=3)


@pytest.mark.parametrize(
    ("result", "cause", "delay", "is_miss", "until_registered"),
    [
        (OfferResult.BUSY, "USER_BUSY", 1, False, False),
        (OfferResult.FAILED, "NORMAL_CIRCUIT_CONGESTION", 1, False, False),
        (OfferResult.REJECTED, "CALL_REJECTED", 2, False, False),
        (OfferResult.UNREACHABLE, "USER_NOT_REGISTERED", 5, False, True),
        (OfferResult.FAILED, "SUBSCRIBER_ABSENT", 5, False, True),
        (OfferResult.CANCELLED, "NORMAL_CLEARING", 0, False, False),
        (OfferResult.FAILED, "ORIGINATOR_CANCEL", 0, False, False),
        (OfferResult.FAILED, "LOSE_RACE", 0, False, False),
        (OfferResult.UNKNOWN, "", 0, False, False),
        (OfferResult.NO_ANSWER, "NO_ANSWER", 3, True, False),
        (OfferResult.FAILED, "INVALID_GATEWAY", 3, True, False),
        (OfferResult.BUSY, "", 1, False, False),
        (OfferResult.REJECTED, "", 2, False, False),
        (OfferResult.UNREACHABLE, "", 5, False, True),
        (OfferResult.NO_ANSWER, "", 3, True, False),
        (OfferResult.FAILED, "", 3, True, False),
    ],
)
def test_the_cause_decides_what_follows_and_the_result_where_there_is_none(
    result: OfferResult, cause: str, delay: float, is_miss: bool, until_registered: bool
) -> None:
    follows = consequence(SETTINGS, result, cause)
    assert isinstance(follows, Consequence)
    assert (follows.delay_seconds, follows.is_miss, follows.until_registered) == (
        delay,
        is_miss,
        until_registered,
    )


def test_an_estimate_needs_three_waits_of_the_last_half_hour_and_takes_the_last_twenty() -> None:
    waits = Waits()
    waits.add(100.0, 30.0, 1)
    waits.add(200.0, 50.0, 2)
    assert waits.expected(1, 200.0) is None
    waits.add(300.0, 40.0, 1)
    assert waits.expected(1, 300.0) == 30.0  # 120 s for 4 places.
    assert waits.expected(4, 300.0) == 120.0
    assert waits.expected(1, 1900.0) is None
    for number in range(20):
        waits.add(400.0 + number, 7.0, 1)
    assert waits.expected(2, 500.0) == 14.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, 0), (1, 10), (10, 10), (31, 40), (60, 60), (61, 120), (120, 120), (599, 600)]
)
def test_a_wait_is_said_in_tens_of_seconds_and_then_in_minutes(seconds: float, said: float) -> None:
    assert rounded(seconds) == said


def queue(name: str, *rules: OverflowRule, **settings: str) -> QueueSettings:
    return QueueSettings(name=name, overflow=rules, **settings)  # type: ignore[arg-type]  # texts alone here


def test_sound_queues_have_no_problems() -> None:
    rules = (OverflowRule(to="queue:b", waited=9), OverflowRule(to="voicemail:1", nobody_there=True))
    assert check_queues([queue("a", *rules, closed_target="extension:closed"), queue("b")]) == []


def test_each_problem_of_a_queue_is_said_with_its_name() -> None:
    broken = QueueSettings(
        name="a",
        overflow=(
            OverflowRule(to="queue:x", waited=9),
            OverflowRule(to="somewhere", waited=9),
            OverflowRule(to="hangup:", waited=9),
            OverflowRule(to="hangup:BUSY"),
        ),
        hours=OpeningHours(open=("never",)),
    )
    assert check_queues([broken]) == [
        "queue 'a': cannot read the opening hours 'never': write them as \"Mon-Fri 09:00-17:00\"",
        "queue 'a': the overflow to 'hangup:BUSY' has no condition",
        "queue 'a': there is no queue 'x' to overflow to",
        "queue 'a': 'somewhere' is no target; targets are queue:…, extension:…, voicemail:…, hangup:…",
        "queue 'a': 'hangup:' is no target; targets are queue:…, extension:…, voicemail:…, hangup:…",
    ]


def test_each_loop_of_overflows_is_found_once() -> None:
    queues = [
        queue("a", OverflowRule(to="queue:b", waited=1)),
        queue("b", OverflowRule(to="queue:c", waited=1), OverflowRule(to="queue:b", waited=1)),
        queue("c", closed_target="queue:a"),
        queue("d", OverflowRule(to="queue:a", waited=1)),
    ]
    random.Random(1).shuffle(queues)
    assert check_queues(queues) == [
        "the overflows of the queues go round in a loop: a > b > c > a",
        "the overflows of the queues go round in a loop: b > b",
    ]


def test_agents_who_share_a_contact_are_named() -> None:
    agents = [
        AgentSettings(name="bert", contact="user/1"),
        AgentSettings(name="anna", contact="user/2", contacts={"fs2": "user/1"}),
        AgentSettings(name="cleo", contact="user/3", contacts={"fs2": "user/3"}),
        AgentSettings(name="none"),
        AgentSettings(name="nobody"),
    ]
    assert check_agents(agents) == ["the agents anna, bert share the contact 'user/1'"]


@pytest.mark.parametrize(
    "contact", ["user/1,user/2", "user/1|sofia/gateway/g/2", "{a=1,b=2}[c=3,d=4]user/1,user/2"]
)
def test_a_contact_of_several_phones_is_told(contact: str) -> None:
    [told] = check_agents([AgentSettings(name="bert", contact=contact)])
    assert told.startswith(f"the contact {contact!r} of bert names several phones")


@pytest.mark.parametrize(
    "contact",
    ["user/1", "{a=1,b=2}user/1", "[a=1,b=2|3]user/1", "{a=${g},b={c,d},e=f}user/1"],
)
def test_a_contact_of_one_phone_is_not(contact: str) -> None:
    assert check_agents([AgentSettings(name="bert", contact=contact)]) == []
