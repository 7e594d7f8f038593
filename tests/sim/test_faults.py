"""What goes wrong on purpose: each fault of the stand-in does what it says."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from callctl.sim import listener as listeners
from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.faults import Faults
from callctl.sim.people import Caller, Endpoint
from callctl.sim.switch import GIVE_UP_SENDING_SECONDS
from tests.sim.harness import Client, World, quiet, world

EVENTS = (
    "event json BACKGROUND_JOB CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_BRIDGE "
    "CHANNEL_HANGUP_COMPLETE"
)


async def originate(here: World, inbound: Client) -> None:
    here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
    await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
    await quiet(5)


async def test_a_lost_job_runs_but_is_not_told(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(lost_jobs=1)) as here:
        inbound = await here.client(EVENTS)
        await originate(here, inbound)
        assert not inbound.events("BACKGROUND_JOB")
        assert await inbound.ask("api uuid_exists leg") == "true"


async def test_lost_events_are_not_told(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(lost_events=1)) as here:
        inbound = await here.client(EVENTS)
        await originate(here, inbound)
        assert [event.name for event in inbound.events()] == ["BACKGROUND_JOB"]


async def test_late_events_come_out_of_order_and_keep_their_numbers(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(late_events=0.5), dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        here.switch.place_call(Caller(destination="sock"))
        await quiet(5)
        numbers = [event.sequence for event in inbound.events()]
        assert numbers != sorted(numbers)
        assert len(numbers) == len(set(numbers)) == 15


async def test_a_completion_may_never_come(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(missing_completions=1), dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        here.switch.place_call(Caller(destination="answer"))
        await quiet(5)
        assert inbound.events("CHANNEL_EXECUTE")
        assert not inbound.events("CHANNEL_EXECUTE_COMPLETE")


async def test_a_bridge_may_fail_after_its_ok(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(failed_bridges=1), dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        caller = here.switch.place_call(Caller(destination="answer"))
        await originate(here, inbound)
        assert await inbound.ask(f"api uuid_bridge {caller} leg") == "+OK leg\n"
        await inbound.event("CHANNEL_HANGUP_COMPLETE", "leg")
        assert not inbound.events("CHANNEL_BRIDGE")


async def test_a_command_may_find_its_connection_cut(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client(EVENTS)
        here.switch.faults.broken_connections = 1
        await inbound.say("api status")
        await inbound.until(lambda: inbound.is_closed)
        assert len(inbound.replies()) == 2


async def test_originate_may_be_refused_with_any_cause(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(refuse_originate="NORMAL_CIRCUIT_CONGESTION")) as here:
        inbound = await here.client(EVENTS)
        await originate(here, inbound)
        assert inbound.events("BACKGROUND_JOB")[0].body == "-ERR NORMAL_CIRCUIT_CONGESTION\n"


async def test_everything_can_come_one_byte_at_a_time(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(one_byte_at_a_time=True)) as here:
        inbound = await here.client(EVENTS)
        await originate(here, inbound)
        assert inbound.events("BACKGROUND_JOB")[0].body == "+OK leg\n"


async def test_an_address_can_be_refused_as_the_access_list_does(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(refuse_by_acl=True)) as here:
        ours, theirs = memory_stream_pair()
        client = Client(ours)
        here.nursery.start_soon(here.switch.serve_inbound, theirs)
        await client.listen()
        assert [(m.content_type, m.body) for m in client.messages] == [
            ("text/rude-rejection", b"Access Denied, go away.\n")
        ]


async def test_a_password_can_be_refused(autojump_clock: MockClock) -> None:
    async with world(faults=Faults(refuse_login=True)) as here:
        client = await here.client()
        await client.until(lambda: client.is_closed)
        assert client.replies()[0].headers["Reply-Text"] == "-ERR invalid"


async def test_a_stalled_switch_says_nothing_and_then_everything(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client(EVENTS)
        here.switch.stall()
        await inbound.say("api status")
        await originate(here, inbound)
        assert len(inbound.messages) == 3
        here.switch.go_on()
        await inbound.event("BACKGROUND_JOB")
        assert len(inbound.replies()) == 4


async def test_a_lost_network_delays_everything_until_it_is_found(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        here.switch.lose_network()
        await inbound.say("api status")
        here.switch.place_call(Caller(destination="sock"))
        await quiet(60)
        assert not here.sockets
        assert len(inbound.replies()) == 2
        here.switch.find_network()
        await here.socket()
        await inbound.until(lambda: len(inbound.replies()) == 3)


async def test_a_crash_cuts_everybody_off_and_a_restart_comes_up_empty(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        here.switch.place_call(Caller(destination="sock"))
        socket = await here.socket()
        here.switch.crash()
        await inbound.until(lambda: inbound.is_closed)
        await socket.until(lambda: socket.is_closed)
        assert (inbound.notices(), socket.notices()) == ([], [])
        assert here.switch.channels() == []
        assert not here.switch.is_running
        here.switch.restart()
        await quiet(1)
        again = await here.client(EVENTS)
        assert await again.ask("api show channels as json") == '{"row_count": 0}\n'


async def test_a_crash_goes_through_a_lost_network_and_a_stall(autojump_clock: MockClock) -> None:
    async with world() as here:
        inbound = await here.client(EVENTS)
        here.switch.stall()
        here.switch.lose_network()
        await inbound.say("api status")
        here.switch.crash()
        await inbound.until(lambda: inbound.is_closed)


async def test_a_shutdown_hangs_up_and_says_goodbye(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="answer"))
        await quiet(1)
        assert await inbound.ask("api shutdown now") == "+OK\n"
        assert (await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)).get("Hangup-Cause") == "SYSTEM_SHUTDOWN"
        await inbound.until(lambda: inbound.is_closed)
        assert inbound.messages[-1].body == b"The system is being shut down.\n"


async def test_dropped_connections_cost_no_call(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="answer"))
        await quiet(1)
        here.switch.drop_connections()
        await inbound.until(lambda: inbound.is_closed)
        assert here.switch.locate(uuid) is not None


class DeafStream(trio.abc.Stream):
    """A client's end that takes a few bytes and then reads no more, until it hears again."""

    def __init__(self, inner: trio.abc.Stream, room: int) -> None:
        self._inner = inner
        self._room = room
        self.hears = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._room -= len(data)
        if self._room < 0:
            await self.hears.wait()
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("hears_again", [True, False])
async def test_a_reader_that_stalls_freezes_event_socket_for_all(
    hears_again: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MAX_QUEUED_EVENTS", 20)
    monkeypatch.setattr(listeners, "MAX_LOST_EVENTS", 5)
    async with world(dialplan=recorded_dialplan()) as here:
        other = await here.client()
        ours, theirs = memory_stream_pair()
        deaf, stream = Client(ours), DeafStream(theirs, 400)
        here.nursery.start_soon(here.switch.serve_inbound, stream)
        here.nursery.start_soon(deaf.listen)
        await deaf.ask("auth ClueCon")
        await deaf.ask("event json ALL")
        for _ in range(10):
            here.switch.place_call(Caller(destination="answer"))
            await quiet(1)
        await other.say("api status")
        await quiet(500)
        assert len(other.replies()) == 1
        if hears_again:
            stream.hears.set()
            await quiet(1)
        else:
            await quiet(GIVE_UP_SENDING_SECONDS - 500)
        assert len(other.replies()) == 2
        assert deaf.is_closed


async def test_the_same_seed_makes_the_same_calls(autojump_clock: MockClock) -> None:
    async def run(seed: int) -> list[tuple[str, str]]:
        async with world(seed=seed, dialplan=recorded_dialplan()) as here:
            for index in range(5):
                here.switch.place_call(Caller(destination="answer", patience=1.0 + index))
            await quiet(20)
            return here.observed

    assert sorted(await run(7)) == sorted(await run(7))
    assert sorted(await run(7)) != sorted(await run(8))
