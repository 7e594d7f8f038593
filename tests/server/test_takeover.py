"""After a login a switch is taken over, whatever it answers, and however many channels others have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from callctl.esl import commands
from callctl.esl.inbound import SwitchLink
from callctl.sim import api
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS

FOREIGN = 200
LOOK_MESSAGES = 60
"""More than one look at a switch takes: login, filters, the tables, and the channels that are ours."""


async def dial_foreign_leg(link: SwitchLink, number: int, **variables: str) -> None:
    order = commands.originate(
        leg_uuid=f"{number:08x}-0000-4000-8000-000000000000",
        dialstring="user/9000",
        timeout=10,
        variables=variables,
    )
    await link.job(order, timeout_seconds=20)


async def drop_and_wait(t, is_over: Callable[[], bool]) -> None:
    """Cut the connection to the switch, and wait for what comes of the next one."""
    t.stage.switch.drop_connections()
    await t.until(lambda: not t.stage.server.switches["fs1"].is_ready)
    await t.until(is_over)


@pytest.mark.fault(27)
async def test_the_legs_of_others_cost_no_order_each(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        t.stage.switch.add_endpoint("user/9000", Endpoint(answer_after=0.01))
        switch = t.stage.server.switches["fs1"]
        async with trio.open_nursery() as nursery:
            for number in range(FOREIGN):
                nursery.start_soon(dial_foreign_leg, switch.link, number)
        t.stage.switch.place_call(Caller(talk_seconds=30))
        await t.until(lambda: "bridged" in t.seen)
        assert len(t.stage.switch.channels()) == FOREIGN + 2
        await drop_and_wait(t, lambda: switch.is_ready)
        connection = switch.link.statistics().connection
        assert connection is not None
        assert connection.messages < LOOK_MESSAGES
        [session] = t.stage.server.reception.sessions.values()
        assert session.record.agent == "1001", "our own talk is followed all the same"


@pytest.mark.fault(27)
@pytest.mark.parametrize("command", ["show", "uptime"])
async def test_a_damaged_answer_at_the_takeover_is_one_line_and_the_next_one_counts(
    theatre, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    async with theatre() as t:
        switch = t.stage.server.switches["fs1"]
        with monkeypatch.context() as damage:
            damage.setitem(api._API, command, lambda _switch, _argument: "uuid<|>dire")  # type: ignore[index]
            await drop_and_wait(t, lambda: "could not be taken over" in switch.link.last_error)
        await t.until(lambda: switch.is_ready)
    said = capsys.readouterr().out
    assert "could not be taken over" in said
    assert "Traceback" not in said
