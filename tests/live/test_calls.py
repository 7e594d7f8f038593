"""The ways of a call through a real FreeSWITCH: who answers, who does not, who hangs up."""

from __future__ import annotations

import pytest
import trio

from tests.live.centre import CallCentre
from tests.live.configuration import AWAY_SECONDS
from tests.live.patience import until


async def test_an_answered_call_that_the_caller_ends_is_handled(centre: CallCentre) -> None:
    centre.agent("1001", "ring200")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    await trio.sleep(1)
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"], row["agent"]) == ("BRIDGED", "caller", "1001")
    assert 0.2 < row.seconds("wait_seconds") < 2
    assert 0.9 < row.seconds("talk_seconds") < 2
    assert centre.offers(caller) == [("1001", "answered")]


async def test_an_answered_call_that_the_agent_ends_hangs_the_caller_up(centre: CallCentre) -> None:
    centre.agent("1001", "ring200talk1000")
    caller = await centre.call()
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "agent")
    assert 0.8 < row.seconds("talk_seconds") < 2
    await until(centre.has_no_channels, 1)


async def test_a_caller_who_hangs_up_while_waiting_has_abandoned(centre: CallCentre) -> None:
    caller = await centre.call()
    await centre.row(caller, "state = 'waiting'")
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"], row["offers"]) == ("CALLER_HANGUP", "caller", 0)


async def test_the_phone_stops_ringing_when_the_caller_hangs_up(centre: CallCentre) -> None:
    centre.agent("1001", "noanswer")
    caller = await centre.call()
    await centre.row(caller, "state = 'ringing'")
    await trio.sleep(0.3)
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert row["reason"] == "CALLER_HANGUP"
    assert centre.offers(caller) == [("1001", "cancelled")]
    await until(centre.has_no_channels, 1)


@pytest.mark.parametrize(
    ("phone", "result"), [("noanswer", "no-answer"), ("busy", "busy"), ("reject", "rejected")]
)
async def test_the_next_agent_gets_whom_the_first_did_not_take(
    centre: CallCentre, phone: str, result: str
) -> None:
    centre.agent("1001", phone, delay_seconds=60)
    caller = await centre.call()
    await centre.row(caller, "state = 'waiting' AND offers = 1")
    centre.agent("1002", "ring200")
    await centre.row(caller, "state = 'talking'")
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["agent"], row["offers"]) == ("BRIDGED", "1002", 2)
    assert centre.offers(caller) == [("1001", result), ("1002", "answered")]


async def test_an_agent_without_a_registered_phone_is_unreachable(centre: CallCentre) -> None:
    centre.agent_at("1001", "user/away@127.0.0.1")
    caller = await centre.call()
    await centre.row(caller, "state = 'waiting' AND offers = 1")
    assert centre.offers(caller) == [("1001", "unreachable")]
    centre.agent("1002", "answer")
    await centre.row(caller, "state = 'talking'")
    await centre.hang_up(caller)
    assert (await centre.row(caller))["agent"] == "1002"


async def test_a_caller_who_waited_too_long_goes_on_in_the_dialplan(centre: CallCentre) -> None:
    caller = await centre.call("visit-brief")
    row = await centre.row(caller)
    assert row["reason"] == "TIMEOUT"
    assert 1.9 < row.seconds("wait_seconds") < 3
    place = row.text("uuid")
    await until(lambda: centre.is_at(place, "timed-out"), 2)
    assert await centre.console.variable(place, "callctl_reason") == "TIMEOUT"
    await centre.hang_up(caller)


async def test_who_is_transferred_away_while_waiting_is_left_alone(centre: CallCentre) -> None:
    caller = await centre.call()
    row = await centre.row(caller, "state = 'waiting'")
    place = row.text("uuid")
    await centre.console.api(f"uuid_transfer {place} elsewhere XML public")
    assert (await centre.row(caller))["reason"] == "TRANSFERRED"
    await until(lambda: not centre.server.reception.sessions)
    await trio.sleep(2)
    assert await centre.is_on_the_line(caller)
    [channel] = [c for c in await centre.console.channels() if c["uuid"] == place]
    assert (channel["dest"], channel["application"]) == ("elsewhere", "endless_playback")
    await centre.hang_up(caller)


async def test_twenty_calls_at_once_are_all_handled_by_five_agents(centre: CallCentre) -> None:
    for agent in range(1001, 1006):
        centre.agent(str(agent), "ring100talk400")
    callers = [await centre.call(wait=False) for _ in range(20)]
    rows = [await centre.row(caller) for caller in callers]
    assert {row["reason"] for row in rows} == {"BRIDGED"}
    assert {row["agent"] for row in rows} == {"1001", "1002", "1003", "1004", "1005"}
    assert {row["hung_up_by"] for row in rows} == {"agent"}


async def test_a_wait_that_ends_while_the_dialplan_has_the_caller_is_not_begun_anew(
    centre: CallCentre,
) -> None:
    caller = await centre.call("visit-brief")
    waiting = await centre.row(caller, "state = 'waiting'")
    await trio.sleep(1)
    [session] = centre.server.reception.sessions.values()
    session._caller.leave_socket()
    assert (await centre.row(caller))["reason"] == "TIMEOUT"
    place = waiting.text("uuid")
    await until(lambda: centre.is_at(place, "timed-out"), 2 * AWAY_SECONDS)
    await centre.hang_up(caller)
    assert len(centre.rows("SELECT * FROM calls")) == 1
