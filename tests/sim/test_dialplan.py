"""The dialplans of the stand-in, and the applications that they run."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from callctl.sim.dialplan import Dialplan, Extension, house_dialplan
from callctl.sim.people import Caller
from tests.sim.harness import Client, quiet, world

EVENTS = "event json CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP_COMPLETE PLAYBACK_STOP"


def ran(client: Client, uuid: str) -> list[str]:
    return [event.get("Application") for event in client.events("CHANNEL_EXECUTE", uuid)]


async def test_a_call_brings_its_variables_and_keeps_those_of_the_trunk(autojump_clock: MockClock) -> None:
    async with world() as here:
        uuid = here.switch.place_call(Caller(variables={"queue": "sales", "account_id": "7"}))
        socket = await here.socket()
        await socket.say("connect")
        data = await socket.event("CHANNEL_DATA")
        found = {name: data.variable(name) for name in ("queue", "account_id", "widget_id", "caller_uuid")}
        assert found == {"queue": "sales", "account_id": "7", "widget_id": "default", "caller_uuid": uuid}
        assert data.variable("socket_resume") == "true"


async def test_while_nobody_listens_the_caller_hears_music_and_comes_back(autojump_clock: MockClock) -> None:
    async with world(dialplan=house_dialplan(music_seconds=5)) as here:
        here.is_listening = False
        here.switch.place_call(Caller())
        await quiet(42)
        here.is_listening = True
        began = here.switch.now()
        await here.socket()
        assert here.switch.now() - began < 6


async def test_waiting_for_callctl_has_a_bound_and_a_last_resort(autojump_clock: MockClock) -> None:
    async with world(dialplan=house_dialplan(music_seconds=5, rounds=4)) as here:
        here.is_listening = False
        inbound = await here.client(EVENTS)
        began = here.switch.now()
        uuid = here.switch.place_call(Caller())
        ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        assert ended.get("Hangup-Cause") == "NORMAL_TEMPORARY_FAILURE"
        assert ran(inbound, uuid).count("socket") == 4
        assert 20 < here.switch.now() - began < 22


async def test_a_caller_given_back_goes_on_where_the_reason_says(autojump_clock: MockClock) -> None:
    dialplan = house_dialplan(hand_back=[("playback", "voicemail.wav"), ("hangup", "NORMAL_CLEARING")])
    async with world(dialplan=dialplan) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller())
        socket = await here.socket()
        await socket.say("connect")
        await socket.event("CHANNEL_DATA")
        await inbound.ask(f"api uuid_setvar_multi {uuid} callctl_reason=TIMEOUT;socket_resume=true")
        await socket.ask("exit")
        await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        assert ran(inbound, uuid)[-2:] == ["playback", "hangup"]


async def test_a_number_that_nobody_has_is_no_route(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="nowhere"))
        ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        assert ended.get("Hangup-Cause") == "NO_ROUTE_DESTINATION"


@pytest.mark.parametrize(
    ("before", "sound", "seconds", "response"),
    [
        ([], "tone_stream://%(300,200,800);loops=3", 1.5, "FILE PLAYED"),
        ([], "silence_stream://700", 0.7, "FILE PLAYED"),
        ([], "hello.wav", 2.0, "FILE PLAYED"),
        ([], "file_string://hello.wav!silence_stream://500", 2.5, "FILE PLAYED"),
        ([], "/no/such/file.wav", 0.0, "FILE NOT FOUND"),
        ([("set", "playback_timeout_sec=4")], "local_stream://moh", 4.0, "FILE PLAYED"),
    ],
)
async def test_each_sound_has_its_length(
    before: list[tuple[str, str]], sound: str, seconds: float, response: str, autojump_clock: MockClock
) -> None:
    actions = [("answer", ""), *before, ("playback", sound), ("sleep", "1000")]
    async with world(dialplan=Dialplan([Extension("play", actions)])) as here:
        inbound = await here.client(EVENTS)
        here.switch.place_call(Caller(destination="play"))
        await quiet(10)
        start, *_ = [
            event for event in inbound.events("CHANNEL_EXECUTE") if event.get("Application") == "playback"
        ]
        end, *_ = [
            event
            for event in inbound.events("CHANNEL_EXECUTE_COMPLETE")
            if event.get("Application") == "playback"
        ]
        took = (int(end.get("Event-Date-Timestamp")) - int(start.get("Event-Date-Timestamp"))) / 1e6
        assert took == pytest.approx(seconds, abs=0.03)
        assert end.get("Application-Response") == response


@pytest.mark.parametrize(("terminators", "stops"), [("", True), ("none", False), ("5", False)])
async def test_a_star_ends_what_is_played_unless_told_otherwise(
    terminators: str, stops: bool, autojump_clock: MockClock
) -> None:
    before = [("set", f"playback_terminators={terminators}")] if terminators else []
    actions = [("answer", ""), *before, ("playback", "local_stream://moh")]
    async with world(dialplan=Dialplan([Extension("play", actions)])) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="play", presses=((1.0, "*"),)))
        await quiet(5)
        assert bool(inbound.events("PLAYBACK_STOP", uuid)) is stops
