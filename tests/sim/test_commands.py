"""What Event Socket answers beyond what the recordings show."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.faults import Faults
from callctl.sim.people import Caller
from tests.sim.harness import Client, World, quiet, world


async def take_call(here: World, *commands: str) -> tuple[str, Client]:
    uuid = here.switch.place_call(Caller(destination="sock", patience=10))
    socket = await here.socket()
    await socket.say("connect", *commands)
    await socket.until(lambda: len(socket.replies()) == len(commands))
    return uuid, socket


async def test_resume_is_a_flag_that_no_variable_takes_back(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        uuid, socket = await take_call(here, "resume")
        inbound = await here.client("event json CHANNEL_HANGUP_COMPLETE")
        await inbound.ask(f"api uuid_setvar {uuid} socket_resume false")
        await socket.say(
            "sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: local_stream://moh"
        )
        await quiet(1)
        await socket.drop()
        # It is broken off, and behind the `socket` of this extension there is nothing.
        ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        assert ended.get("Hangup-Cause") == "NORMAL_CLEARING"


@pytest.mark.parametrize(
    ("commands", "notices"),
    [
        (["linger"], ["linger"]),
        (["linger 3"], ["linger", "disconnect"]),
        (["linger 3", "nolinger"], ["disconnect"]),
    ],
)
async def test_lingering_is_for_ever_for_a_time_or_not_at_all(
    commands: list[str], notices: list[str], autojump_clock: MockClock
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        _, socket = await take_call(here, *commands)
        await quiet(3600)
        assert socket.notices() == notices
        assert socket.is_closed is (notices[-1] == "disconnect")


async def test_a_long_variable_is_cut_in_a_reply(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        uuid, socket = await take_call(here)
        inbound = await here.client()
        await inbound.ask(f"api uuid_setvar {uuid} long {'x' * 1000}")
        assert await socket.ask("getvar long") == "x" * 511
        assert await inbound.ask(f"api uuid_getvar {uuid} long") == "x" * 1000


async def test_myevents_of_an_unknown_channel_delivers_those_of_all(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client("myevents nobody")
        uuid = here.switch.place_call(Caller(destination="sock"))
        await inbound.event("CHANNEL_CREATE", uuid)


async def test_nothing_is_delivered_while_a_command_is_half_sent(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client("event json CHANNEL_CREATE")
        await inbound.stream.send_all(b"api status\n")
        here.switch.place_call(Caller(destination="sock"))
        await quiet(60)
        assert not inbound.events()
        await inbound.stream.send_all(b"\n")
        await inbound.event("CHANNEL_CREATE")


async def test_a_slow_api_command_holds_up_its_connection_only(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan(), faults=Faults(api_seconds=30)) as here:
        slow, other = (
            await here.client("event json CHANNEL_CREATE"),
            await here.client("event json CHANNEL_CREATE"),
        )
        await slow.say("api status")
        await quiet(1)
        here.switch.place_call(Caller(destination="sock"))
        await quiet(10)
        assert (len(slow.events()), len(other.events())) == (0, 1)
        await slow.event("CHANNEL_CREATE")


async def test_a_header_block_with_reload_and_the_module_reloads_it(autojump_clock: MockClock) -> None:
    async with world() as here:
        one, two = await here.client(), await here.client()
        await one.say("api uuid_setvar x y reload mod_event_socket")
        await two.until(lambda: two.is_closed)


async def test_an_answer_to_a_job_can_be_asked_for_on_the_callers_own_socket(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        _, socket = await take_call(here, "myevents json", "event json BACKGROUND_JOB")
        await socket.ask("bgapi status\nJob-UUID: job-1")
        assert (await socket.event("BACKGROUND_JOB")).get("Job-UUID") == "job-1"


async def test_a_message_may_be_sent_to_any_channel_over_any_connection(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        uuid, _ = await take_call(here)
        inbound = await here.client("event json CHANNEL_HANGUP_COMPLETE")
        assert await inbound.ask("sendmsg nobody\ncall-command: hangup") == "-ERR invalid session id [nobody]"
        await inbound.ask(f"sendmsg {uuid}\ncall-command: hangup\nhangup-cause: USER_BUSY")
        ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        assert ended.get("Hangup-Cause") == "USER_BUSY"


async def test_an_argument_may_stand_in_the_body(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        uuid, socket = await take_call(here)
        inbound = await here.client()
        order = "sendmsg\ncall-command: execute\nexecute-app-name: set\n"
        body = "content-type: text/plain\ncontent-length: 9\n\na=b\nc: d\n"
        await socket.stream.send_all(f"{order}{body}".encode())
        await quiet(1)
        assert await inbound.ask(f"api uuid_getvar {uuid} a") == "b\nc: d\n"
