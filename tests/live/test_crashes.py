"""callctl dies, or loses what connects it: no caller loses the place, and no talk is cut.

It dies here as a process that is killed, with nothing closed, said or written any more; the next one starts
on the same database. Cancelling the server is a gentler death, in which the history is written to its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.live.centre import IS_OVER, CallCentre, open_centre
from tests.live.configuration import AWAY_SECONDS
from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until


@pytest.fixture
async def mortal(freeswitch: FreeSwitch, tmp_path: Path) -> AsyncIterator[CallCentre]:
    """A call centre in which an agent is known; callctl is to be started by the test."""
    async with open_centre(freeswitch, tmp_path) as centre:
        await centre.start()
        centre.agent("1001", "ring1000")
        await centre.stop()
        yield centre
        await centre.check_all_is_over()


async def test_a_waiting_caller_keeps_the_place_when_callctl_is_killed(mortal: CallCentre) -> None:
    await mortal.start()
    mortal.agent("1001", "noanswer", delay_seconds=60)
    await mortal.stop()
    await mortal.spawn()
    caller = await mortal.call()
    joined = await mortal.row(caller, "state = 'waiting' AND offers = 1")
    await mortal.kill()
    await trio.sleep(1.5 * AWAY_SECONDS)
    assert await mortal.is_on_the_line(caller), "the dialplan keeps the caller"
    await mortal.start()
    mortal.agent("1001", "ring200")
    talking = await mortal.row(caller, "state = 'talking'")
    assert (talking["id"], talking["joined_at"]) == (joined["id"], joined["joined_at"])
    assert talking.seconds("resumes") >= 1
    await mortal.hang_up(caller)
    row = await mortal.row(caller)
    assert row.seconds("wait_seconds") > 1.5 * AWAY_SECONDS, "the wait goes on through the crash"


async def test_the_order_of_those_who_wait_outlives_callctl(mortal: CallCentre) -> None:
    await mortal.start()
    mortal.agent("1001", "noanswer", delay_seconds=60)
    await mortal.stop()
    await mortal.spawn()
    callers = []
    for position in range(1, 4):
        callers.append(await mortal.call())
        await mortal.row(callers[-1], f"position_at_entry = {position}")
    await mortal.kill()
    await mortal.start()
    for caller in callers:
        await mortal.row(caller, "resumes > 0 AND state IN ('waiting', 'ringing')")
    mortal.agent("1001", "ring100talk300")
    rows = [await mortal.row(caller) for caller in callers]
    bridged = [row.text("bridged_at") for row in rows]
    assert bridged == sorted(bridged)


async def test_a_talk_outlives_callctl_and_ends_with_its_whole_time(mortal: CallCentre) -> None:
    await mortal.spawn()
    caller = await mortal.call()
    talking = await mortal.row(caller, "state = 'talking'")
    await mortal.kill()
    await trio.sleep(1)
    assert await mortal.is_on_the_line(caller)
    await mortal.start()
    assert "adopted" in await timeline_with(mortal, caller.number, "adopted")
    await trio.sleep(1)
    assert await mortal.is_on_the_line(caller)
    await mortal.hang_up(caller)
    row = await mortal.row(caller)
    assert (row["reason"], row["agent"], row["hung_up_by"]) == ("BRIDGED", "1001", "caller")
    assert row["bridged_at"] == talking["bridged_at"]
    assert 2 < row.seconds("talk_seconds") < 6
    assert mortal.offers(caller) == [("1001", "answered")]


async def test_a_talk_that_ended_while_callctl_was_dead_is_closed_in_the_history(mortal: CallCentre) -> None:
    await mortal.spawn()
    caller = await mortal.call()
    await mortal.row(caller, "state = 'talking'")
    await mortal.kill()
    await mortal.hang_up(caller)
    await until(mortal.has_no_channels)
    await mortal.start()
    row = await mortal.row(caller, "state = 'ended'")
    assert (row["reason"], row["agent"]) == ("BRIDGED", "1001")


async def test_a_caller_who_was_just_being_called_back_when_callctl_was_killed_is_called_again(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    phone = "ring1500talk1500"
    dialstring = f"[callback_to={{number}}]{freeswitch.phone(phone)}"
    settings = f'[queue.caller]\ncallback-key = "2"\ncallback-dialstring = "{dialstring}"\n'
    async with open_centre(freeswitch, tmp_path, settings) as centre:
        await centre.start()
        centre.agent("1001", "ring1000")
        await centre.stop()
        await centre.spawn()
        caller = await centre.call()
        await centre.row(caller, "state IN ('waiting', 'ringing')")
        await centre.press(caller, "2")
        promised = await centre.row(caller, "callback = 1")
        await until(partial(rings, centre, phone))
        await centre.kill()
        await centre.start()
        row = await centre.row(caller, f"callback = 1 AND {IS_OVER}")
        assert (row["id"], row["joined_at"]) == (promised["id"], promised["joined_at"])
        assert (row["reason"], row["agent"]) == ("BRIDGED", "1001")
        assert [event for event in centre.timeline(caller) if event == "healed"], "who rang for nobody"
        await centre.check_all_is_over()


async def rings(centre: CallCentre, phone: str) -> bool:
    """Say whether this phone rings, or was answered."""
    return any(channel["dest"] == phone for channel in await centre.console.channels())


@pytest.mark.fault(23)
async def test_a_caller_who_hung_up_while_callctl_was_dead_ended_unseen(mortal: CallCentre) -> None:
    await mortal.start()
    mortal.agent("1001", "noanswer", delay_seconds=60)
    await mortal.stop()
    await mortal.spawn()
    caller = await mortal.call()
    await mortal.row(caller, "state = 'waiting' AND offers = 1")
    await mortal.kill()
    await mortal.hang_up(caller)
    await until(mortal.has_no_channels)
    await mortal.start()
    row = await mortal.row(caller, "state = 'ended'")
    assert (row["reason"], row["outcome"], row["bridged_at"]) == ("UNSEEN", "failed", None)


async def test_a_phone_that_rang_for_a_killed_callctl_rings_for_nobody_else(mortal: CallCentre) -> None:
    await mortal.spawn()
    caller = await mortal.call()
    await mortal.row(caller, "state = 'ringing'")
    await trio.sleep(0.3)
    leg = rung_leg(mortal)
    assert await mortal.console.exists(leg)
    await mortal.kill()
    await mortal.start()
    await until(lambda: is_gone(mortal, leg), 1)
    await mortal.row(caller, "state = 'talking'")
    await mortal.hang_up(caller)
    row = await mortal.row(caller)
    assert (row["reason"], row["offers"]) == ("BRIDGED", 2)
    assert mortal.offers(caller)[-1] == ("1001", "answered")


async def test_a_cancelled_callctl_leaves_the_caller_to_the_next_one(mortal: CallCentre) -> None:
    await mortal.start()
    caller = await mortal.call()
    await mortal.row(caller, "state = 'ringing'")
    await mortal.cancel()
    await mortal.start()
    await mortal.row(caller, "state = 'talking'")
    await mortal.hang_up(caller)
    assert (await mortal.row(caller))["reason"] == "BRIDGED"


async def test_a_callctl_that_is_stopped_lets_the_phones_ring_out_and_keeps_the_place(
    mortal: CallCentre,
) -> None:
    await mortal.start()
    caller = await mortal.call()
    joined = await mortal.row(caller, "state = 'ringing'")
    leg = rung_leg(mortal)
    await mortal.stop()
    assert await is_gone(mortal, leg)
    await mortal.start()
    talking = await mortal.row(caller, "state = 'talking'")
    assert talking["joined_at"] == joined["joined_at"]
    await mortal.hang_up(caller)
    assert (await mortal.row(caller))["reason"] == "BRIDGED"


def rung_leg(centre: CallCentre) -> str:
    """Return the channel that rings the only agent."""
    [row] = centre.rows("SELECT leg_uuid FROM offers WHERE result = 'ringing'")
    return str(row["leg_uuid"])


async def is_gone(centre: CallCentre, uuid: str) -> bool:
    return not await centre.console.exists(uuid)


async def timeline_with(centre: CallCentre, number: str, event: str) -> list[str]:
    def events() -> list[str]:
        rows = centre.rows(
            "SELECT event FROM call_events JOIN calls ON calls.id = call_id WHERE caller_number = ?", number
        )
        return [row["event"] for row in rows]

    await until(lambda: event in events())
    return events()
