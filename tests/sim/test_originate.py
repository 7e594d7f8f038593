"""How an originate is read, and what it does beyond what the recordings show."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.originate import parse_originate
from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import quiet, world


def test_variables_dial_strings_and_application_are_told_apart() -> None:
    order = parse_originate("{a=1,b='two',c=x\\,y}user/1,user/2|user/3 '&playback(x y.wav)'")
    assert order.variables == {"a": "1", "b": "two", "c": "x,y"}
    assert order.attempts == (("user/1", "user/2"), ("user/3",))
    assert order.applications == (("playback", "x y.wav"),)


def test_an_extension_may_stand_in_place_of_an_application() -> None:
    order = parse_originate("user/1 callctl XML public")
    assert (order.extension, order.context) == ("callctl", "public")


async def test_a_bar_goes_on_to_the_next_when_nobody_answered(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint.busy())
        here.switch.add_endpoint("user/1002", Endpoint(answer_after=1))
        inbound = await here.client("event json BACKGROUND_JOB")
        await inbound.say("bgapi originate user/1001|user/1002 &park()")
        assert (await inbound.event("BACKGROUND_JOB")).body.startswith("+OK ")


async def test_a_caller_without_media_is_bridged_the_other_way_round(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1))
        inbound = await here.client("event json BACKGROUND_JOB CHANNEL_BRIDGE")
        caller = here.switch.place_call(Caller(destination="noanswer"))
        await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
        await inbound.event("BACKGROUND_JOB")
        assert await inbound.ask(f"api uuid_bridge {caller} leg") == "+OK leg\n"
        assert (await inbound.event("CHANNEL_BRIDGE")).get("Bridge-A-Unique-ID") == "leg"


async def test_neither_side_with_media_cannot_be_bridged(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client()
        one, two = (here.switch.place_call(Caller(destination="noanswer")) for _ in range(2))
        await quiet(1)
        assert await inbound.ask(f"api uuid_bridge {one} {two}") == "-ERR Invalid uuid\n"


@pytest.mark.parametrize(
    "command",
    [
        "uuid_kill",
        "uuid_bridge",
        "uuid_transfer",
        "uuid_setvar x",
        "uuid_setvar_multi x",
        "uuid_getvar x",
        "show",
    ],
)
async def test_a_command_without_its_arguments_says_how_it_is_used(
    command: str, autojump_clock: MockClock
) -> None:
    async with world() as here:
        inbound = await here.client()
        assert (await inbound.ask(f"api {command}")).startswith("-USAGE")


async def test_events_are_numbered_without_gap(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client("event json ALL")
        here.switch.place_call(Caller(destination="answer"))
        await quiet(1)
        numbers = [event.sequence for event in inbound.events()]
        assert numbers == list(range(1, len(numbers) + 1))
