"""Whole calls: the real server, the real database and the stand-in switch, joined by real sockets."""

from __future__ import annotations

import json

import pytest
import trio

from callctl.model import AgentSettings, OverflowRule, QueueSettings, Strategy, WaitMedia
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, HANGS_UP


async def test_an_answered_call_is_in_the_history_with_all_that_the_dialplan_said(theatre) -> None:
    variables = {
        "lead_number": "4930987",
        "account": "acme",
        "account_id": "acme",
        "widget_id": "w7",
        "call_type": "callback",
        "direction": "incoming",
        "source": "web",
        "cc_export_vars": "campaign",
        "campaign": "spring; 'drop' {it}",
    }
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller(number="4930123", name="Ada 'Ü' Caller", variables=variables))
    [call] = t.rows("calls")
    expected = {
        "reason": "BRIDGED",
        "outcome": "handled",
        "hung_up_by": "agent",
        "agent": "1001",
        "queue": "caller",
        "switch": "fs1",
        "lead_number": "4930987",
        "account": "default",  # the queue's, whatever the dialplan says
        "account_id": "acme",
        "widget_id": "w7",
        "call_type": "callback",
        "direction": "incoming",
        "source": "web",
        "caller_number": "4930123",
        "caller_name": "Ada 'Ü' Caller",
        "offers": 1,
        "position_at_entry": 1,
    }
    assert {key: call[key] for key in expected} == expected
    assert json.loads(call["variables"]) == {"campaign": "spring; 'drop' {it}"}
    assert call["original_uuid"] == call["uuid"]
    assert call["arrived_at"] <= call["joined_at"] <= call["answered_at"] <= call["bridged_at"]
    assert call["talk_seconds"] == pytest.approx(0.1, abs=0.1)
    [offer] = t.rows("offers")
    assert (offer["agent"], offer["result"]) == ("1001", "answered")
    events = [row["event"] for row in t.rows("call_events")]
    assert events == ["joined", "offered", "agent-answered", "bridged", "ended"]


async def test_a_caller_who_hangs_up_in_the_talk_is_named(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        await t.call(Caller(talk_seconds=0.1))
    [call] = t.rows("calls")
    assert (call["reason"], call["hung_up_by"]) == ("BRIDGED", "caller")


async def test_a_caller_who_gives_up_is_abandoned(theatre) -> None:
    async with theatre() as t:
        await t.call(Caller(patience=0.2))
    [call] = t.rows("calls")
    assert (call["reason"], call["outcome"], call["offers"]) == ("CALLER_HANGUP", "abandoned", 0)


@pytest.mark.parametrize(
    "instant", ["call-placed", "leg-ringing", "leg-answered", "bridged"], ids=lambda name: name
)
async def test_a_caller_may_hang_up_in_any_instant(theatre, instant: str) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        t.stage.switch.place_call(Caller(hang_up_when=instant, patience=3))
        await t.until(lambda: not t.stage.switch.channels())
        await t.stage.server.reception.wait_empty()
    calls = t.rows("calls")
    assert all(call["reason"] in ("CALLER_HANGUP", "BRIDGED") for call in calls)
    assert all(call["state"] == "ended" for call in calls)


@pytest.mark.parametrize(
    ("phone", "result"),
    [
        (Endpoint.busy(), "busy"),
        (Endpoint.rejecting(after=0.05), "rejected"),
        (Endpoint.unregistered(), "unreachable"),
    ],
    ids=["busy", "rejecting", "unregistered"],
)
async def test_an_agent_who_cannot_be_had_is_passed_over_for_the_next(theatre, phone, result) -> None:
    delays = {"busy_delay_time": 60, "reject_delay_time": 60, "no_answer_delay_time": 60}
    async with theatre() as t:
        t.hire("1001", phone, **delays)
        t.hire("1002", Endpoint(answer_after=0.2, talk_seconds=0.1), **delays)
        await t.call(Caller())
    assert [(row["agent"], row["result"]) for row in t.rows("offers")] == [
        ("1001", result),
        ("1002", "answered"),
    ]
    [call] = t.rows("calls")
    assert (call["agent"], call["offers"], call["outcome"]) == ("1002", 2, "handled")


async def test_an_agent_who_does_not_answer_loses_nobodys_call(theatre) -> None:
    async with theatre(QueueSettings(name="caller", ring_timeout=1)) as t:
        t.hire("1001", Endpoint.silent(), max_no_answer=1)
        t.hire("1002", Endpoint(answer_after=0.1, talk_seconds=0.1))
        await t.call(Caller())
    assert [row["result"] for row in t.rows("offers")] == ["no-answer", "answered"]
    [missed] = [row for row in t.rows("agents") if row["name"] == "1001"]
    assert missed["status"] == "On Break"


async def test_an_agent_who_is_gone_before_the_bridge_costs_the_caller_no_place(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", Endpoint(answer_after=0.05, hang_up_after=0.0), no_answer_delay_time=60)
        t.hire("1002", Endpoint(answer_after=0.3, talk_seconds=0.1))
        await t.call(Caller())
    [call] = t.rows("calls")
    assert call["outcome"] == "handled"


async def test_a_queue_that_nobody_serves_gives_the_caller_back_if_it_says_so(theatre) -> None:
    async with theatre(QueueSettings(name="caller", join_when_empty=False)) as t:
        await t.call(Caller())
    [call] = t.rows("calls")
    assert (call["reason"], call["outcome"]) == ("EMPTY", "refused")


async def test_a_full_queue_gives_the_caller_back(theatre) -> None:
    async with theatre(QueueSettings(name="caller", max_callers=1)) as t:
        t.stage.switch.place_call(Caller(patience=0.5))
        await t.call(Caller(patience=0.5))
    assert sorted(row["reason"] for row in t.rows("calls")) == ["CALLER_HANGUP", "FULL"]


async def test_an_agent_without_a_contact_is_never_rung_and_the_decision_says_why(theatre) -> None:
    async with theatre() as t:
        t.stage.hire(AgentSettings(name="1001"), "caller")
        t.hire("1002", HANGS_UP)
        await t.call(Caller())
    assert [row["agent"] for row in t.rows("offers")] == ["1002"]
    assert "contact" in str(t.rows("decisions")[0])


async def test_a_wait_ends_at_its_limit_also_while_an_agent_rings(theatre) -> None:
    async with theatre(QueueSettings(name="caller", max_wait_time=0.5)) as t:
        t.hire("1001", Endpoint.silent())
        await t.call(Caller())
    [call] = t.rows("calls")
    assert (call["reason"], call["outcome"]) == ("TIMEOUT", "overflowed")
    assert call["wait_seconds"] == pytest.approx(0.5, abs=0.1)


async def test_an_exit_key_ends_the_wait(theatre) -> None:
    async with theatre(QueueSettings(name="caller", exit_keys="9")) as t:
        await t.call(Caller(presses=((0.2, "5"), (0.4, "9"))))
    [call] = t.rows("calls")
    assert call["reason"] == "EXIT_WITH_KEY"
    assert call["wait_seconds"] > 0.3


async def test_an_overflow_to_another_queue_is_a_second_visit_with_the_place_kept(theatre) -> None:
    rule = OverflowRule(to="queue:second", waited=0.3)
    queues = QueueSettings(name="first", overflow=(rule,)), QueueSettings(name="second")
    async with theatre(*queues) as t:
        t.hire("1001", HANGS_UP, queue="second")
        await t.call(Caller(variables={"queue": "first"}))
    first, second = t.rows("calls")
    assert (first["queue"], first["reason"]) == ("first", "OVERFLOW")
    assert (second["queue"], second["reason"]) == ("second", "BRIDGED")
    assert first["uuid"] == second["uuid"]


async def test_a_caller_whose_socket_is_lost_is_served_by_the_next_queue_all_the_same(theatre) -> None:
    rule = OverflowRule(to="queue:second", waited=0.3)
    queues = QueueSettings(name="first", overflow=(rule,)), QueueSettings(name="second")
    async with theatre(*queues) as t:
        t.hire("1001", HANGS_UP, queue="second")
        t.stage.switch.place_call(Caller(variables={"queue": "first"}))
        await t.until(lambda: t.waiting() == 1)
        for listener in list(t.stage.switch.events.listeners):
            if listener.is_outbound:
                listener.kill(None)
        await t.until(lambda: not t.stage.switch.channels())
        await t.stage.server.reception.wait_empty()
    assert [(row["queue"], row["reason"]) for row in t.rows("calls")] == [
        ("first", "OVERFLOW"),
        ("second", "BRIDGED"),
    ]


@pytest.mark.parametrize("media", list(WaitMedia))
async def test_a_caller_is_bridged_whatever_the_wait_was_like(theatre, media: WaitMedia) -> None:
    async with theatre(QueueSettings(name="caller", wait_media=media)) as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller())
    [call] = t.rows("calls")
    assert call["outcome"] == "handled"


async def test_with_ring_all_the_first_to_answer_wins_and_the_others_are_let_go(theatre) -> None:
    async with theatre(QueueSettings(name="caller", strategy=Strategy.RING_ALL)) as t:
        t.hire("1001", Endpoint(answer_after=0.5))
        t.hire("1002", Endpoint(answer_after=0.1, talk_seconds=0.2), max_no_answer=1)
        t.hire("1003", Endpoint.silent(), max_no_answer=1)
        await t.call(Caller())
    results = {row["agent"]: row["result"] for row in t.rows("offers")}
    assert results == {"1001": "cancelled", "1002": "answered", "1003": "cancelled"}
    assert all(row["status"] == "Available" for row in t.rows("agents"))


async def test_a_caller_who_asks_for_a_callback_is_called_when_an_agent_is_there(theatre) -> None:
    queue = QueueSettings(
        name="caller", callback_key="1", callback_dialstring="trunk/{number}", callback_retry_interval=0.1
    )
    async with theatre(queue) as t:
        answers = iter([Endpoint.busy(), Endpoint(answer_after=0.1, talk_seconds=0.1)])
        t.stage.switch.add_endpoint("trunk/4930123", lambda: next(answers))
        t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),)))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await t.until(lambda: not t.stage.switch.channels())
        t.hire("1001", Endpoint(answer_after=0.05))
        await t.stage.server.reception.wait_empty()
        assert not t.stage.server.switches["fs1"].listened(), "not even the leg that was busy"
    asked, called = t.rows("calls")
    assert (called["previous_visit"], asked["target"]) == (asked["id"], "callback")
    assert (asked["reason"], asked["outcome"]) == ("EXIT_WITH_KEY", "overflowed")
    assert (called["reason"], called["callback"], called["agent"]) == ("BRIDGED", 1, "1001")
    assert [row["result"] for row in t.rows("offers")] == ["failed", "answered"]
    assert called["hung_up_by"] in ("caller", "agent")


@pytest.mark.fault(20)
async def test_a_phone_that_is_never_reached_was_hung_up_by_nobody(theatre) -> None:
    queue = QueueSettings(
        name="caller",
        callback_key="1",
        callback_dialstring="trunk/{number}",
        callback_retry_interval=0.1,
        callback_attempts=2,
    )
    async with theatre(queue) as t:
        t.stage.switch.add_endpoint("trunk/4930123", Endpoint.busy)
        t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),)))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await t.until(lambda: not t.stage.switch.channels())
        t.hire("1001", Endpoint(answer_after=0.05))
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    _, called = t.rows("calls")
    assert (called["reason"], called["hung_up_by"], called["hangup_cause"]) == (
        "TIMEOUT",
        "callctl",
        "USER_BUSY",
    )
    assert (called["offers"], called["outcome"]) == (2, "overflowed")
    assert sum(row["offered"] for row in t.rows("queue_intervals", "interval")) == 1


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("dialstring", "shown"),
    [("trunk/{number}", "4930999"), ("{origination_caller_id_number=4930555}trunk/{number}", "4930555")],
)
async def test_a_callback_shows_the_number_that_was_dialled(theatre, dialstring: str, shown: str) -> None:
    queue = QueueSettings(name="caller", callback_key="1", callback_dialstring=dialstring)
    numbers: list[str] = []
    async with theatre(queue) as t:
        t.stage.switch.add_endpoint("trunk/4930123", lambda: Endpoint(answer_after=0.3, talk_seconds=0.1))
        variables = {"callctl_dialled_number": "+49 30 999", "queue": "caller"}
        t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),), variables=variables))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await t.until(lambda: not t.stage.switch.channels())
        t.hire("1001", Endpoint(answer_after=0.05))

        def rings() -> bool:
            legs = [each for each in t.stage.switch.channels() if each.variable("cc_side") == "member"]
            numbers[:] = [each.profile.caller_id_number for each in legs]
            return bool(legs)

        await t.until(rings)
        await t.stage.server.reception.wait_empty()
    assert numbers == [shown.replace("4930999", "+4930999")]


@pytest.mark.fault(4)
@pytest.mark.parametrize("number", ["anonymous", "unavailable", "0000000000", "1" * 25])
async def test_a_caller_who_cannot_be_called_back_is_not_let_go_for_it(theatre, number: str) -> None:
    queue = QueueSettings(
        name="caller",
        callback_key="1",
        callback_dialstring="trunk/{number}",
        callback_offer="tone_stream://%(1,1,700)",
        callback_offer_after=0.05,
    )
    async with theatre(queue) as t:
        t.stage.switch.place_call(Caller(number=number, presses=((0.2, "1"),), talk_seconds=0.1))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await trio.sleep(0.6)
        t.hire("1001", Endpoint(answer_after=0.05))
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["reason"], call["agent"]) == ("BRIDGED", "1001")
    assert "callback-refused" in [row["event"] for row in t.rows("call_events")]


@pytest.mark.fault(4)
async def test_a_number_with_brackets_and_hyphens_is_called_back(theatre) -> None:
    queue = QueueSettings(name="caller", callback_key="1", callback_dialstring="trunk/{number}")
    async with theatre(queue) as t:
        t.stage.switch.add_endpoint("trunk/2125550100", lambda: Endpoint(answer_after=0.1, talk_seconds=0.1))
        t.stage.switch.place_call(Caller(number="(212) 555-0100", presses=((0.2, "1"),)))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await t.until(lambda: not t.stage.switch.channels())
        t.hire("1001", Endpoint(answer_after=0.05))
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    asked, called = t.rows("calls")
    assert (asked["reason"], called["reason"], called["callback"]) == ("EXIT_WITH_KEY", "BRIDGED", 1)


async def test_a_caller_who_calls_in_meanwhile_takes_the_place_of_the_callback(theatre) -> None:
    queue = QueueSettings(name="caller", callback_key="1", callback_dialstring="trunk/{number}")
    async with theatre(queue) as t:
        t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),)))
        await t.until(lambda: len(t.stage.switch.channels()) > 0)
        await t.until(lambda: not t.stage.switch.channels())
        t.hire("1001", Endpoint(answer_after=0.3, talk_seconds=0.1))
        await t.call(Caller(number="4930123"))
    assert sorted((row["reason"], row["callback"]) for row in t.rows("calls")) == [
        ("BRIDGED", 0),
        ("EXIT_WITH_KEY", 0),
        ("WITHDRAWN", 1),
    ]


async def test_a_caller_who_asks_for_a_callback_twice_keeps_the_place_of_the_first_call(theatre) -> None:
    queue = QueueSettings(name="caller", callback_key="1", callback_dialstring="trunk/{number}")
    async with theatre(queue) as t:
        for _ in range(2):
            t.stage.switch.place_call(Caller(number="4930123", presses=((0.2, "1"),)))
            await t.until(lambda: len(t.stage.switch.channels()) > 0)
            await t.until(lambda: not t.stage.switch.channels())
        [waits] = t.stage.server.dispatcher.ask(lambda d, now: d.members(now))
        assert waits.arrival.callback
    first, *_, last = t.rows("calls")
    assert last["callback"] == 1
    assert last["place_since"] == first["joined_at"]


async def test_a_blind_transfer_by_the_agent_ends_a_handled_call(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", Endpoint(answer_after=0.05, transfer_after=0.1))
        await t.call(Caller(patience=5))
    [call] = t.rows("calls")
    assert (call["outcome"], call["reason"]) == ("handled", "BRIDGED")


async def test_a_hundred_calls_at_once_all_end_and_add_up(theatre) -> None:
    async with theatre() as t:
        for number in range(50):
            t.hire(str(number), Endpoint(answer_after=0.05, talk_seconds=0.3))
        for number in range(100):
            t.stage.switch.place_call(Caller(number=f"49{number:05d}"))
        await t.until(lambda: len(t.stage.server.reception.sessions) == 100)
        with trio.fail_after(20):
            await t.stage.server.reception.wait_empty()
    calls = t.rows("calls")
    assert len(calls) == 100
    assert {row["outcome"] for row in calls} == {"handled"}


@pytest.mark.parametrize(
    ("contact", "cause"),
    [("nosuch/1001", "CHAN_NOT_IMPLEMENTED"), ("user/1001\napi shutdown", "may not hold")],
    ids=["unknown to the switch", "not to be sent at all"],
)
async def test_a_contact_that_is_refused_costs_no_call(theatre, contact: str, cause: str) -> None:
    async with theatre() as t:
        t.stage.hire(AgentSettings(name="1001", contact=contact, no_answer_delay_time=60), "caller")
        t.hire("1002", Endpoint(answer_after=0.2, talk_seconds=0.1))
        await t.call(Caller())
    first, second = t.rows("offers")
    assert (first["agent"], first["result"], second["result"]) == ("1001", "failed", "answered")
    assert cause in first["cause"]
