"""The connections between callctl and FreeSWITCH: one breaks, or was never right."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from callctl.model import AgentState
from tests.live.centre import QUEUES, CallCentre, open_centre
from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until

FOREIGN = 150
"""Far more channels than a look at a switch takes messages; the test's switch takes 200 in a second."""


def drop_inbound(centre: CallCentre) -> None:
    """Break the inbound connection as a network would."""
    connection = centre.server.switches["live"].link._connection
    assert connection is not None
    connection.close("the test broke it")


async def test_a_talk_goes_on_while_the_inbound_connection_is_lost(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    drop_inbound(centre)
    await until(lambda: centre.server.switches["live"].is_ready)
    await trio.sleep(0.5)
    assert await centre.is_on_the_line(caller)
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"], row["resumes"]) == ("BRIDGED", "caller", 0)


@pytest.mark.fault(27)
async def test_hundreds_of_outbound_legs_of_others_cost_no_order_each(centre: CallCentre) -> None:
    await centre.console.api("load mod_loopback")
    order = "originate {null_enable_auto_answer=true}null/somebody &park()"
    async with trio.open_nursery() as nursery:
        for _ in range(FOREIGN):
            nursery.start_soon(centre.console.job, order)
    await trio.sleep(1)
    centre.agent("1001", "ring100")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    switch = centre.server.switches["live"]
    drop_inbound(centre)
    await until(lambda: not switch.is_ready)
    await until(lambda: switch.is_ready)
    connection = switch.link.statistics().connection
    assert connection is not None
    assert connection.messages < 60
    assert len(await centre.console.channels()) >= FOREIGN
    assert await centre.is_on_the_line(caller)
    await centre.console.api("hupall")
    await centre.row(caller)


async def test_an_agent_who_hangs_up_while_the_inbound_connection_is_lost_is_free_again(
    centre: CallCentre,
) -> None:
    centre.agent("1001", "ring100talk800")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    drop_inbound(centre)
    row = await centre.row(caller)
    assert row["reason"] == "BRIDGED"
    await until(lambda: centre.agent_view("1001").state is AgentState.WAITING)


async def test_an_answer_that_was_lost_with_the_inbound_connection_is_found_by_asking(
    centre: CallCentre,
) -> None:
    centre.agent("1001", "ring500")
    caller = await centre.call()
    await centre.row(caller, "state = 'ringing'")
    await trio.sleep(0.2)
    drop_inbound(centre)
    talking = await centre.row(caller, "state = 'talking'")
    assert talking["offers"] == 1
    await centre.hang_up(caller)
    assert (await centre.row(caller))["reason"] == "BRIDGED"


async def test_who_waits_is_served_when_the_inbound_connection_is_back(centre: CallCentre) -> None:
    caller = await centre.call()
    await centre.row(caller, "state = 'waiting'")
    drop_inbound(centre)
    centre.agent("1001", "ring100")
    talking = await centre.row(caller, "state = 'talking'")
    assert talking["resumes"] == 0
    await centre.hang_up(caller)
    await centre.row(caller)


async def test_a_restart_of_freeswitch_loses_its_calls_and_frees_their_agents(
    centre: CallCentre, freeswitch: FreeSwitch
) -> None:
    centre.agent("1001", "ring100")
    talking = await centre.call()
    await centre.row(talking, "state = 'talking'")
    waiting = await centre.call()
    await centre.row(waiting, "state = 'waiting'")
    await trio.to_thread.run_sync(freeswitch.kill)
    freeswitch.start()
    await freeswitch.wait_ready()
    lost = await centre.row(waiting)
    assert (lost["reason"], lost["outcome"], lost["hung_up_by"]) == ("SWITCH_LOST", "failed", "switch")
    cut = await centre.row(talking)
    assert (cut["reason"], cut["hung_up_by"]) == ("BRIDGED", "switch")
    await until(lambda: centre.agent_view("1001").state is AgentState.WAITING)
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    await centre.hang_up(caller)
    await centre.row(caller)


@pytest.mark.fault(13)
async def test_a_freeswitch_that_is_gone_frees_its_agents_and_leaves_talks_as_long_as_they_were(
    centre: CallCentre, freeswitch: FreeSwitch
) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    await trio.sleep(3)
    await trio.to_thread.run_sync(freeswitch.kill)
    try:
        await until(lambda: centre.agent_view("1001").state is AgentState.WAITING, 60)
        cut = await centre.row(caller)
        assert (cut["reason"], cut["hung_up_by"]) == ("BRIDGED", "switch")
        assert cut.seconds("talk_seconds") < 4.5
        await trio.sleep(20)  # The next attempt to connect may be half a minute away by now.
    finally:
        freeswitch.start()
        await freeswitch.wait_ready()
    caller = await centre.call()
    await until(lambda: centre.server.switches["live"].is_ready, 4)
    await centre.row(caller, "state = 'talking'")
    await centre.hang_up(caller)
    await centre.row(caller)


@pytest.mark.parametrize("destination", ["not-full", "not-async"])
async def test_a_socket_that_is_not_async_full_is_refused_with_what_to_write(
    centre: CallCentre, destination: str, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = await centre.call(destination, wait=False)
    said = ""

    def has_said_so() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "socket host:port async full" in said

    await until(has_said_so)
    await until(lambda: is_behind(centre))
    assert centre.rows("SELECT * FROM calls") == []
    await centre.hang_up(caller)


async def is_behind(centre: CallCentre) -> bool:
    """Say whether a call has come past the socket, to what stands behind it."""
    places = [
        await centre.console.variable(row["uuid"], "live_place") for row in await centre.console.channels()
    ]
    return "behind" in places


async def test_a_wrong_password_is_said_in_one_line(
    freeswitch: FreeSwitch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_centre(freeswitch, tmp_path) as centre:
        centre.configure(QUEUES, password="wrong")
        await centre.start()
        lines = [line for line in capsys.readouterr().out.splitlines() if "refused the password" in line]
        assert lines
        assert all("wrong" not in line.replace("invalid", "") for line in lines)


@pytest.mark.parametrize("queue", ["brief", "quiet"])
async def test_who_waited_too_long_is_handed_back_without_the_inbound_connection(
    centre: CallCentre, queue: str
) -> None:
    caller = await centre.call(f"visit-{queue}", wait=False)
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    await trio.sleep(1.7)
    drop_inbound(centre)
    assert (await centre.row(caller))["reason"] == "TIMEOUT"
    assert not centre.server.switches["live"].is_ready
    await until(lambda: centre.is_at(place, "timed-out"), 2)
    assert await centre.console.variable(place, "callctl_reason") == "TIMEOUT"
    await centre.hang_up(caller)
