"""The instant of the bridge, in which either side may be gone: whoever is left keeps what is theirs.

FreeSWITCH carries out the orders of one connection one after the other, so a hangup that is sent in the same
write as the bridge, before or after it, hits that instant every time. The phones that answer and hang up
by themselves hit it as it comes.
"""

from __future__ import annotations

import pytest
import trio

from callctl.esl.connection import PendingReply
from tests.live.centre import IS_OVER, CallCentre
from tests.live.patience import until


def hang_up_at_the_bridge(
    centre: CallCentre, monkeypatch: pytest.MonkeyPatch, who: str, *, before: bool, delay_seconds: float = 0
) -> None:
    """Have the first bridge that callctl orders meet the hangup of its `caller` or its `agent`."""
    link = centre.server.switches["live"].link
    post_api = link.post_api

    def post_with_hangup(*orders: str) -> list[PendingReply]:
        bridge = next((order for order in orders if order.startswith("uuid_bridge")), None)
        if bridge is None:
            return post_api(*orders)
        monkeypatch.setattr(link, "post_api", post_api)
        _, caller_uuid, leg_uuid = bridge.split()
        kill = f"uuid_kill {leg_uuid if who == 'agent' else caller_uuid} NORMAL_CLEARING"
        if before:
            return post_api(kill, *orders)[1:]
        return post_api(*orders, kill)[:-1]

    monkeypatch.setattr(link, "post_api", post_with_hangup)


@pytest.mark.parametrize("before", [True, False], ids=["just before", "just after"])
async def test_a_caller_keeps_the_place_when_the_agent_is_gone_in_the_instant_of_the_bridge(
    centre: CallCentre, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    centre.agent("1001", "ring100", delay_seconds=60)
    hang_up_at_the_bridge(centre, monkeypatch, "agent", before=before)
    caller = await centre.call()
    joined = await centre.row(caller, "joined_at IS NOT NULL")
    row = await centre.row(caller, "offers = 2 AND state = 'talking'")
    assert row["joined_at"] == joined["joined_at"]
    await trio.sleep(1.5)
    assert await centre.is_on_the_line(caller)
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"], row["agent"]) == ("BRIDGED", "caller", "1001")
    assert [result for _, result in centre.offers(caller)] == ["failed", "answered"]


@pytest.mark.parametrize("before", [True, False], ids=["just before", "just after"])
async def test_the_agent_is_free_at_once_when_the_caller_is_gone_in_the_instant_of_the_bridge(
    centre: CallCentre, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    centre.agent("1001", "ring100")
    hang_up_at_the_bridge(centre, monkeypatch, "caller", before=before)
    caller = await centre.call()
    row = await centre.row(caller)
    assert row["reason"] in ("CALLER_HANGUP", "BRIDGED")
    await until(centre.has_no_channels, 1)
    second = await centre.call()
    assert (await centre.row(second, "state = 'talking'"))["agent"] == "1001"
    await centre.hang_up(second)
    await centre.row(second)


@pytest.mark.parametrize("phone", ["blink", *(f"ring50talk{ms}" for ms in (10, 20, 30, 40, 60, 100))])
async def test_a_caller_outlives_an_agent_who_answers_and_hangs_up_at_once(
    centre: CallCentre, phone: str
) -> None:
    centre.agent("1001", phone)
    caller = await centre.call()
    await centre.row(caller, "offers > 0 AND state IN ('talking', 'ended') OR offers > 2")
    centre.agent("1001", "ring50")
    row = await centre.row(caller, f"state = 'talking' OR {IS_OVER}")
    has_talked = row["state"] != "talking"  # the two heard each other, and the agent ended it
    if has_talked:
        assert (row["reason"], row["hung_up_by"]) == ("BRIDGED", "agent")
    await trio.sleep(0.5)
    # After so short a talk the caller may still have the way back to the queue, and be on a second visit.
    if await centre.is_on_the_line(caller):
        await centre.hang_up(caller)
    if not has_talked:
        assert (await centre.row(caller))["reason"] == "BRIDGED"


@pytest.mark.parametrize("milliseconds", [0, 10, 20, 30, 50, 80])
async def test_a_caller_who_leaves_about_when_the_agent_answers_leaves_nothing_behind(
    centre: CallCentre, milliseconds: int
) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call()
    await centre.row(caller, "state = 'bridging' OR state = 'talking' OR state = 'ringing'")
    await trio.sleep(0.06 + milliseconds / 1000)
    await centre.hang_up(caller)
    row = await centre.row(caller)
    assert (row["reason"], row["hung_up_by"]) in (("CALLER_HANGUP", "caller"), ("BRIDGED", "caller"))
    await until(centre.has_no_channels, 1)
