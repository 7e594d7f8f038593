"""Phones that register with the switch, and the calls of their own that agents have."""

from __future__ import annotations

import json

from trio.testing import MockClock

from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import quiet, world


async def test_registrations_are_told_and_listed(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint())
        here.switch.add_endpoint("user/1002@example.com", Endpoint.unregistered())
        inbound = await here.client("event json BACKGROUND_JOB CUSTOM sofia::register sofia::unregister")
        rows = json.loads(await inbound.ask("api show registrations as json"))["rows"]
        assert [(row["reg_user"], row["realm"]) for row in rows] == [("1001", "127.0.0.1")]
        here.switch.directory.unregister("user/1001")
        assert await inbound.ask("api show registrations as json") == '{"row_count": 0}\n'
        await inbound.say("bgapi originate user/1001 &park()")
        assert (await inbound.event("BACKGROUND_JOB")).body == "-ERR USER_NOT_REGISTERED\n"
        here.switch.directory.register("user/1001")
        await quiet(1)
        told = [(event.get("Event-Subclass"), event.get("from-user")) for event in inbound.events("CUSTOM")]
        assert told == [("sofia::unregister", "1001"), ("sofia::register", "1001")]


async def test_a_user_may_have_several_phones(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint())
        inbound = await here.client("event json CUSTOM sofia::register sofia::unregister sofia::expire")
        assert await inbound.ask("api sofia_contact */1001@127.0.0.1") == "sofia/internal/sip:1001@127.0.0.1"
        directory = here.switch.directory
        directory.register("user/1001", "sip:1001@192.0.2.9")
        both = "sofia/internal/sip:1001@127.0.0.1,sofia/internal/sip:1001@192.0.2.9"
        assert await inbound.ask("api sofia_contact */1001") == both
        directory.unregister("user/1001")
        assert await inbound.ask("api sofia_contact */1001") == "sofia/internal/sip:1001@192.0.2.9"
        directory.expire("user/1001", "sip:1001@192.0.2.9")
        assert await inbound.ask("api sofia_contact */1001") == "sofia/internal/sip:1001@192.0.2.9"
        await quiet(1)
        assert await inbound.ask("api sofia_contact */1001") == "error/user_not_registered"
        assert await inbound.ask("api sofia_contact */1001@b.example") == "error/user_not_registered"
        told = [(event.get("from-host"), event.get("host")) for event in inbound.events("CUSTOM")]
        assert told == [("127.0.0.1", ""), ("127.0.0.1", ""), ("", "127.0.0.1")]


async def test_a_filter_in_slashes_is_a_regular_expression(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client("filter Channel-Presence-ID /./", "event json CHANNEL_CREATE")
        here.switch.place_call(Caller())
        own = here.switch.place_call(Caller(variables={"presence_id": "1001@127.0.0.1"}))
        await quiet(1)
        assert [event.uuid for event in inbound.events("CHANNEL_CREATE")] == [own]


async def test_a_negative_filter_keeps_away_what_another_lets_through(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client(
            "filter Call-Direction inbound",
            "filter Caller-Caller-ID-Number -/^49/",
            "event json CHANNEL_CREATE",
        )
        here.switch.place_call(Caller(number="4930"))
        other = here.switch.place_call(Caller(number="3120"))
        await quiet(1)
        assert [event.uuid for event in inbound.events("CHANNEL_CREATE")] == [other]
