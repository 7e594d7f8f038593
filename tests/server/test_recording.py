"""Talks are recorded from their beginning to their end, and the history names the file."""

from __future__ import annotations

import pytest
import trio

from callctl.model import QueueSettings
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import HANGS_UP

TEMPLATE = "/rec/{agent}-{caller_name}.wav"


@pytest.mark.fault(12)
async def test_a_talk_is_recorded_into_the_file_that_the_template_names(theatre) -> None:
    async with theatre(QueueSettings(name="caller", record_template=TEMPLATE)) as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller(name="../Ada"))
        assert "records /rec/1001-___Ada.wav" in t.seen
    assert [row["recording"] for row in t.rows("calls")] == ["/rec/1001-___Ada.wav"]
    assert [row["detail"] for row in t.rows("call_events") if row["event"] == "recording"] == [
        "/rec/1001-___Ada.wav"
    ]


@pytest.mark.fault(12)
async def test_what_a_caller_does_after_the_talk_is_not_recorded(theatre) -> None:
    async with theatre(QueueSettings(name="caller", record_template=TEMPLATE)) as t:
        t.hire("1001", Endpoint(answer_after=0.05, transfer_after=0.3, transfer_to="answer"))
        uuid = t.stage.switch.place_call(Caller(name="Ada"))
        await t.until(lambda: "recorded /rec/1001-Ada.wav" in t.seen)
        channel = t.stage.switch.locate(uuid)
        assert channel is not None
        assert channel.recordings == set()
        await trio.sleep(0.5)
        assert t.stage.switch.locate(uuid) is not None, "the caller lives on"
        channel.hang_up()
        with trio.fail_after(10):
            await t.stage.server.reception.wait_empty()


async def test_a_recording_that_the_switch_refuses_is_in_no_history(theatre, monkeypatch) -> None:
    from callctl.sim import api

    monkeypatch.setitem(api._API, "uuid_record", lambda switch, text: "-ERR Cannot record session!\n")
    async with theatre(QueueSettings(name="caller", record_template=TEMPLATE)) as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller())
    [call] = t.rows("calls")
    assert (call["reason"], call["recording"]) == ("BRIDGED", "")
