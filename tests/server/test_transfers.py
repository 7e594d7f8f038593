"""Callers who are transferred into a queue, or out of one: the real server and the stand-in switch."""

from __future__ import annotations

import pytest
import trio

from callctl.model import QueueSettings
from callctl.sim.channel import Channel, State
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, CALLER, HANGS_UP, Theatre

SECOND = QueueSettings(name="second", ring_timeout=2)
UNDISTURBED_SECONDS = 1.0
"""How long a new visit is watched; what breaks one off does so within milliseconds."""


def place(t: Theatre, caller: Caller) -> Channel:
    """Let a call come in, and return the caller's channel."""
    uuid = t.stage.switch.place_call(caller)
    channel = t.stage.switch.locate(uuid)
    assert channel is not None
    return channel


async def check_hears_callctl(channel: Channel) -> None:
    """See for a while that a caller hears what callctl plays, and is kept if callctl dies."""
    for _ in range(10):
        await trio.sleep(UNDISTURBED_SECONDS / 10)
        assert channel.state is State.EXECUTE
        assert (channel.application, channel.profile.destination) == ("playback", "callctl-wait")
        assert channel.is_true("socket_resume")


def inbound(t: Theatre) -> list:
    return [each for each in t.stage.switch.events.listeners if not each.is_outbound]


@pytest.mark.fault(19.1)
@pytest.mark.fault(19.2)
@pytest.mark.parametrize("queue", ["caller", "second"])
async def test_a_waiting_caller_who_is_sent_into_a_queue_has_one_visit_there(theatre, queue: str) -> None:
    async with theatre(CALLER, SECOND) as t:
        channel = place(t, Caller())
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        channel.transfer(f"enter-{queue}", "default")
        await t.until(lambda: channel.variable("queue") == queue and channel.application == "playback")
        await check_hears_callctl(channel)
        t.hire("1001", HANGS_UP, queue=queue)
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    before, visit = t.rows("calls", order="joined_at, ended_at")
    assert (before["queue"], before["reason"], before["resumes"]) == ("caller", "TRANSFERRED", 0)
    assert (visit["queue"], visit["reason"], visit["resumes"]) == (queue, "BRIDGED", 0)
    assert (visit["previous_visit"], visit["transferred_by"]) == (before["id"], "")
    assert before["ended_at"] <= visit["joined_at"]


@pytest.mark.fault(19.1)
async def test_a_talking_caller_who_is_sent_into_a_queue_has_one_visit_there(theatre) -> None:
    async with theatre(CALLER, SECOND) as t:
        t.hire("1001", Endpoint(answer_after=0.05))
        channel = place(t, Caller())
        await t.until(lambda: channel.partner is not None)
        await trio.sleep(0.2)
        channel.transfer("enter-second", "default")
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        await check_hears_callctl(channel)
        t.hire("1002", HANGS_UP, queue="second")
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    before, visit = t.rows("calls", order="joined_at, ended_at")
    assert (before["reason"], before["agent"]) == ("BRIDGED", "1001")
    assert (visit["queue"], visit["agent"]) == ("second", "1002")
    assert (visit["previous_visit"], visit["transferred_by"]) == (before["id"], "1001")


@pytest.mark.fault(19.1)
@pytest.mark.parametrize("late_seconds", [0.1, 1.0])
async def test_a_new_visit_does_not_depend_on_events_that_are_late(theatre, late_seconds: float) -> None:
    async with theatre(CALLER, SECOND) as t:
        faults = t.stage.switch.faults
        channel = place(t, Caller())
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        faults.late_events, faults.late_seconds = 1.0, late_seconds
        for queue in ("second", "caller", "caller"):
            channel.transfer(f"enter-{queue}", "default")
            await trio.sleep(0.3)
        await check_hears_callctl(channel)
        faults.late_events = 0.0
        await trio.sleep(late_seconds)
        channel.hang_up()
        with trio.fail_after(20):
            await t.stage.server.reception.wait_empty()
    rows = t.rows("calls", order="joined_at, ended_at")
    assert [(row["queue"], row["reason"]) for row in rows] == [
        ("caller", "TRANSFERRED"),
        ("second", "TRANSFERRED"),
        ("caller", "TRANSFERRED"),
        ("caller", "CALLER_HANGUP"),
    ]


@pytest.mark.fault(19.4)
async def test_a_caller_who_is_sent_elsewhere_without_the_inbound_connection_is_not_left_in_reset(
    theatre,
) -> None:
    async with theatre() as t:
        channel = place(t, Caller())
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        for listener in inbound(t):
            listener.kill(None)
        channel.transfer("answer", "default")
        await t.until(lambda: t.waiting() == 0)
        await trio.sleep(2)
        assert channel.state is State.EXECUTE
        assert (channel.application, channel.profile.destination) == ("playback", "answer")
        channel.hang_up()
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    [row] = t.rows("calls")
    assert (row["reason"], row["transferred_to"]) == ("TRANSFERRED", "answer XML default")


@pytest.mark.fault(19.3)
async def test_a_caller_without_a_socket_who_was_sent_elsewhere_is_not_rung_for(theatre) -> None:
    async with theatre() as t:
        channel = place(t, Caller())
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        # Both at once: callctl hears of the transfer by no event of the socket.
        for listener in list(channel.listeners):
            listener.kill(None)
        channel.transfer("answer", "default")
        await t.until(lambda: t.waiting() == 0)
        t.hire("1001", ANSWERS)
        await trio.sleep(1)
        assert channel.profile.destination == "answer"
        channel.hang_up()
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    assert [row["reason"] for row in t.rows("calls")] == ["TRANSFERRED"]
    assert t.rows("offers") == []


async def test_a_channel_that_the_end_of_two_sockets_has_stranded_goes_on(theatre) -> None:
    """A switch may cut the sockets of two visits in one moment: the second one takes the channel out."""
    async with theatre() as t:
        channel = place(t, Caller())
        await t.until(lambda: t.waiting() == 1 and channel.application == "playback")
        for listener in list(channel.listeners):
            listener.kill(None)
        await t.until(lambda: channel.profile.destination == "callctl-pause")
        channel.set_state(State.RESET)
        await t.until(lambda: channel.state is State.EXECUTE)
        await t.until(lambda: channel.profile.destination == "callctl-wait")
        t.hire("1001", HANGS_UP)
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()
    [row] = t.rows("calls")
    assert (row["reason"], row["resumes"]) == ("BRIDGED", 1)
