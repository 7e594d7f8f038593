"""The link to a switch: login, refusal, filters, jobs, signs of life, and coming back."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from structlog.testing import capture_logs

from callctl.errors import CommandRefused, ConnectionLost, ReplyTimeout
from callctl.esl.inbound import SwitchLink
from callctl.esl.wire import Event
from callctl.ids import Ids
from tests.esl.peer import GREETING, REJECTION, Peer, api_response, event, notice, reply, stream_pair

FILTERS = (("Event-Name", "BACKGROUND_JOB"), ("Event-Name", "HEARTBEAT"))


class Network:
    """Where the link connects to: hands out one peer for each connection, or refuses."""

    def __init__(self) -> None:
        self.attempts: list[float] = []
        self.refuses = False
        self._send, self._receive = trio.open_memory_channel[Peer](100)

    async def open(self, host: str, port: int) -> trio.abc.Stream:
        assert (host, port) == ("switch", 8021)
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.refuses:
            raise ConnectionRefusedError("refused")
        stream, peer = stream_pair()
        self._send.send_nowait(peer)
        return stream

    async def accepted(self) -> Peer:
        """The peer of the link's next connection, before anything was said."""
        return await self._receive.receive()

    async def logged_in(self) -> Peer:
        """The peer of the link's next connection, after a login and subscription that went well."""
        peer = await self.accepted()
        await peer.say(GREETING)
        await peer.expect("auth ClueCon", reply("+OK accepted"))
        for name, value in FILTERS:
            await peer.expect(f"filter {name} {value}", reply("+OK filter added."))
        await peer.expect("event json BACKGROUND_JOB HEARTBEAT", reply("+OK event listener enabled json"))
        return peer


class Owner:
    """What the link told its owner."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ups = 0
        self.downs: list[str] = []

    async def on_up(self, link: SwitchLink) -> None:
        await trio.lowlevel.checkpoint()
        assert link.up
        self.ups += 1


@asynccontextmanager
async def linked(
    on_up: Callable[[SwitchLink], Awaitable[None]] | None = None,
) -> AsyncIterator[tuple[SwitchLink, Network, Owner]]:
    network, owner = Network(), Owner()
    link = SwitchLink(
        name="fs1",
        host="switch",
        port=8021,
        password="ClueCon",
        on_event=owner.events.append,
        on_up=on_up or owner.on_up,
        on_down=owner.downs.append,
        ids=Ids(random.Random(1)),
        random=random.Random(1),
        open_stream=network.open,
        filters=FILTERS,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link, network, owner
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.fault(27)
async def test_events_that_nobody_asked_for_are_counted_together():
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        for number in range(20):
            await peer.say(event(f"INVENTED_{number}"))
        await peer.say(event("HEARTBEAT"), event("CUSTOM"))
        await settle()
        assert link.statistics().events == {"(other)": 20, "HEARTBEAT": 1, "CUSTOM": 1}
        assert len(owner.events) == 22


# --- login ---


async def test_the_link_logs_in_filters_subscribes_and_then_has_its_owner_reconcile():
    async with linked() as (link, network, owner):
        assert not link.up
        await network.logged_in()
        await link.wait_up()
        await settle()
        assert (link.up, owner.ups, owner.downs, link.reconnects) == (True, 1, [], 0)


async def test_filters_and_subscription_go_out_in_one_write_and_the_filters_first():
    async with linked() as (_, network, _):
        peer = await network.accepted()
        await peer.say(GREETING)
        await peer.expect("auth ClueCon", reply("+OK accepted"))
        assert await peer.stream.receive_some() == (
            b"filter Event-Name BACKGROUND_JOB\n\nfilter Event-Name HEARTBEAT\n\n"
            b"event json BACKGROUND_JOB HEARTBEAT\n\n"
        )


async def test_nothing_is_said_before_the_greeting_and_without_one_the_link_tries_again(autojump_clock):
    async with linked() as (link, network, owner):
        peer = await network.accepted()
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() == 10
        await network.accepted()
        assert "no greeting of FreeSWITCH within 10 s" in link.last_error
        assert owner.downs == []


async def test_a_refused_password_is_said_without_telling_it_and_tried_again_later(autojump_clock):
    async with linked() as (link, network, owner):
        with capture_logs() as logs:
            peer = await network.accepted()
            await peer.say(GREETING)
            await peer.expect("auth ClueCon", reply("-ERR invalid"), notice())
            await network.logged_in()
        assert "refused the password: -ERR invalid" in link.last_error
        assert "ClueCon" not in str(logs) + link.last_error
        await link.wait_up()
        assert owner.downs == []


async def test_an_address_that_freeswitch_does_not_allow_is_said_and_tried_again(autojump_clock):
    async with linked() as (link, network, _):
        peer = await network.accepted()
        await peer.say(REJECTION)
        await peer.close()
        await network.logged_in()
        assert link.last_error == (
            "switch:8021: FreeSWITCH refused our address (apply-inbound-acl in event_socket.conf)"
        )


async def test_a_refused_subscription_ends_the_attempt(autojump_clock):
    async with linked() as (link, network, _):
        peer = await network.accepted()
        await peer.say(GREETING)
        await peer.expect("auth ClueCon", reply("+OK accepted"))
        await peer.expect("filter Event-Name BACKGROUND_JOB", reply("-ERR permission denied"))
        await network.accepted()
        assert "permission denied" in link.last_error


async def test_a_port_that_is_no_event_socket_is_said_so(autojump_clock):
    async with linked() as (link, network, _):
        await (await network.accepted()).say(b"SSH-2.0-OpenSSH_9.6\r\n")
        await network.accepted()
        assert "not Event Socket: 'SSH-2.0-OpenSSH_9.6" in link.last_error


# --- orders ---


async def test_api_returns_the_answer_and_raises_for_an_error():
    async with linked() as (link, network, _), trio.open_nursery() as nursery:
        peer = await network.logged_in()
        await link.wait_up()
        nursery.start_soon(peer.expect, "api uuid_exists x", api_response("true"))
        assert await link.api("uuid_exists x") == "true"
        nursery.start_soon(peer.expect, "api uuid_kill x", api_response("-ERR No such channel!\n"))
        with pytest.raises(CommandRefused, match="No such channel"):
            await link.api("uuid_kill x")


async def test_posted_apis_go_out_in_one_write_and_in_order():
    async with linked() as (link, network, _):
        peer = await network.logged_in()
        await link.wait_up()
        slots = link.post_api("one", "two")
        assert await peer.stream.receive_some() == b"api one\n\napi two\n\n"
        await peer.say(api_response("1"), api_response("2"))
        assert [(await slot.wait()).text for slot in slots] == ["1", "2"]


async def test_an_order_while_the_link_is_down_ends_at_once():
    async with linked() as (link, _, _):
        with pytest.raises(ConnectionLost, match="switch fs1 is not connected"):
            await link.api("status")
        with pytest.raises(ConnectionLost):
            await link.job("originate x", timeout_seconds=5)
        assert link.statistics().jobs == 0


async def test_filters_can_be_added_and_removed():
    async with linked() as (link, network, _), trio.open_nursery() as nursery:
        peer = await network.logged_in()
        await link.wait_up()
        nursery.start_soon(peer.expect, "filter Unique-ID u", reply("+OK filter added."))
        await link.add_filter("Unique-ID", "u")
        nursery.start_soon(peer.expect, "filter delete Unique-ID u", reply("+OK filter deleted."))
        await link.remove_filter("Unique-ID", "u")


# --- jobs ---


@pytest.mark.parametrize("event_first", [False, True])
async def test_a_job_is_known_by_its_own_uuid_in_whichever_order_reply_and_result_come(event_first):
    async with linked() as (link, network, owner), trio.open_nursery() as nursery:
        peer = await network.logged_in()
        await link.wait_up()

        async def answer() -> None:
            command = await peer.command()
            assert command.line == "bgapi originate user/1 &park()"
            job_uuid = command.headers["job-uuid"]
            words = [
                reply(f"+OK Job-UUID: {job_uuid}"),
                event("BACKGROUND_JOB", Job_UUID="another", _body="+OK not ours\n"),
                event("BACKGROUND_JOB", Job_UUID=job_uuid, _body="+OK u-7\n"),
            ]
            await peer.say(*(reversed(words) if event_first else words))

        nursery.start_soon(answer)
        result = await link.job("originate user/1 &park()", timeout_seconds=5)
        assert (result.text, result.ok) == ("+OK u-7", True)
        assert owner.events == []
        assert link.statistics().jobs == 0


async def test_a_job_that_fails_is_a_result_and_one_that_never_began_is_refused():
    async with linked() as (link, network, _), trio.open_nursery() as nursery:
        peer = await network.logged_in()
        await link.wait_up()
        failed = event("BACKGROUND_JOB", Job_UUID="j-1", _body="-ERR USER_BUSY\n")
        nursery.start_soon(peer.expect, "bgapi x", reply(), failed)
        result = await link.job("x", timeout_seconds=5, job_uuid="j-1")
        assert (result.text, result.ok) == ("-ERR USER_BUSY", False)
        nursery.start_soon(peer.expect, "bgapi y", reply("-ERR permission denied"))
        with pytest.raises(CommandRefused, match="permission denied"):
            await link.job("y", timeout_seconds=5)


async def test_a_job_whose_result_never_comes_ends_at_its_deadline_and_a_late_result_harms_nobody(
    autojump_clock,
):
    async with linked() as (link, network, _):
        peer = await network.logged_in()
        await link.wait_up()
        await peer.say(reply())
        with pytest.raises(ReplyTimeout, match=r"no result of 'bgapi x' within 7 s"):
            await link.job("x", timeout_seconds=7, job_uuid="j-1")
        await peer.say(event("BACKGROUND_JOB", Job_UUID="j-1", _body="+OK\n"))
        await settle()
        assert link.up
        assert link.statistics().jobs == 0


async def test_a_job_ends_as_lost_with_its_connection(autojump_clock):
    async with linked() as (link, network, _), trio.open_nursery() as nursery:
        peer = await network.logged_in()
        await link.wait_up()

        async def drop() -> None:
            await peer.expect("bgapi x", reply())
            await peer.close()

        nursery.start_soon(drop)
        with pytest.raises(ConnectionLost, match="FreeSWITCH closed the connection"):
            await link.job("x", timeout_seconds=100)
        assert trio.current_time() == 0


async def test_all_events_but_jobs_go_to_the_owner_and_all_are_counted():
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        await link.wait_up()
        await peer.say(event("HEARTBEAT"), event("CHANNEL_BRIDGE"), event("BACKGROUND_JOB", Job_UUID="x"))
        await settle()
        assert [item.name for item in owner.events] == ["HEARTBEAT", "CHANNEL_BRIDGE"]
        assert link.statistics().events == {"HEARTBEAT": 1, "(other)": 1, "BACKGROUND_JOB": 1}


# --- coming back ---


async def test_a_lost_connection_is_told_once_and_made_again(autojump_clock):
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        await link.wait_up()
        await settle()
        await peer.close()
        await settle()
        assert not link.up
        assert owner.downs == ["FreeSWITCH closed the connection"]
        await network.logged_in()
        await link.wait_up()
        await settle()
        assert (owner.ups, len(owner.downs), link.reconnects) == (2, 1, 1)


async def test_pauses_grow_at_random_from_one_second_to_thirty(autojump_clock):
    async with linked() as (link, network, _):
        network.refuses = True
        await trio.sleep(400)
        pauses = [after - before for before, after in pairwise(network.attempts)]
        assert all(1 <= pause <= 30 for pause in pauses)
        assert pauses[0] <= 2
        assert pauses[1] <= 4
        assert pauses[2] <= 8
        assert max(pauses) > 15
        assert len(set(pauses)) == len(pauses)
        assert "cannot connect to switch:8021: refused" in link.last_error


async def test_after_a_stable_minute_the_pause_is_short_again(autojump_clock):
    async with linked() as (_, network, _):
        network.refuses = True
        await trio.sleep(200)
        network.refuses = False
        peer = await network.logged_in()
        for _ in range(7):
            await trio.sleep(10)
            await peer.say(event("HEARTBEAT"))
        await peer.close()
        lost_at = trio.current_time()
        await network.logged_in()
        assert network.attempts[-1] - lost_at <= 2


async def test_a_host_that_swallows_packets_does_not_hold_the_link_up_for_long(autojump_clock):
    network = Network()

    async def open_never(host: str, port: int) -> trio.abc.Stream:
        network.attempts.append(trio.current_time())
        await trio.sleep_forever()
        raise AssertionError

    link = SwitchLink(
        name="fs1",
        host="switch",
        port=8021,
        password="",
        on_event=print,
        on_up=Owner().on_up,
        on_down=print,
        ids=Ids(),
        random=random.Random(1),
        open_stream=open_never,
    )
    with trio.move_on_after(13):
        await link.run()
    assert len(network.attempts) == 2
    assert "does not answer within 10 s" in link.last_error


async def test_silence_is_probed_and_a_switch_that_answers_stays_connected(autojump_clock):
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        await link.wait_up()
        await peer.expect("api uptime", api_response("123"))
        assert trio.current_time() == 45
        await peer.expect("api uptime", api_response("168"))
        assert trio.current_time() == 90
        assert (link.up, owner.downs) == (True, [])


class StepLimit(trio.abc.Instrument):
    """Ends a test in which tasks run on and on while no time passes."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self._steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps += 1
        if self._steps == 1000:
            self._scope.cancel()


async def test_the_probe_comes_also_at_a_time_that_no_float_can_tell(autojump_clock):
    await trio.sleep(19.04)
    assert (19.04 + 45.0) - 19.04 < 45.0
    async with linked() as (link, network, _):
        peer = await network.logged_in()
        await link.wait_up()
        with trio.CancelScope() as scope:
            limit = StepLimit(scope)
            trio.lowlevel.add_instrument(limit)
            await peer.expect("api uptime", api_response("123"))
        trio.lowlevel.remove_instrument(limit)
        assert not scope.cancelled_caught


async def test_a_switch_that_hangs_is_given_up_and_connected_again(autojump_clock):
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        await link.wait_up()
        await peer.expect("api uptime")
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() == 55
        await settle()
        assert owner.downs == ["silent for 45 s, and then: no reply to 'api uptime' within 10 s"]
        await network.logged_in()


async def test_heartbeats_are_signs_of_life_enough(autojump_clock):
    async with linked() as (_, network, _):
        peer = await network.logged_in()
        for _ in range(10):
            await trio.sleep(20)
            await peer.say(event("HEARTBEAT"))
        with trio.move_on_after(1) as scope:
            await peer.command()
        assert scope.cancelled_caught


# --- reconciliation ---


async def test_events_and_replies_come_in_while_the_owner_reconciles():
    answers: list[str] = []

    async def reconcile(link: SwitchLink) -> None:
        answers.append(await link.api("show channels as json"))

    async with linked(reconcile) as (_, network, owner):
        peer = await network.logged_in()
        await peer.command()
        await peer.say(event("HEARTBEAT"), api_response('{"row_count":0}'))
        await settle()
        assert answers == ['{"row_count":0}']
        assert len(owner.events) == 1


@pytest.mark.parametrize(
    ("mistake", "why"),
    [
        (ReplyTimeout("no reply"), "the switch could not be taken over: no reply"),
        (ValueError("a bug"), "taking over the switch failed"),
    ],
)
async def test_a_reconciliation_that_fails_gives_the_connection_up_and_is_tried_again(
    autojump_clock, mistake, why
):
    async def reconcile(link: SwitchLink) -> None:
        await trio.lowlevel.checkpoint()
        raise mistake

    async with linked(reconcile) as (_, network, owner):
        with capture_logs() as logs:
            await network.logged_in()
            await network.logged_in()
        assert owner.downs[0] == why
        assert any(entry.get("exc_info") for entry in logs) == isinstance(mistake, ValueError)


async def test_a_reconciliation_under_way_is_cancelled_when_the_connection_is_lost(autojump_clock):
    ended = trio.Event()

    async def reconcile(link: SwitchLink) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with linked(reconcile) as (_, network, owner):
        peer = await network.logged_in()
        await settle()
        await peer.close()
        await ended.wait()
        await network.logged_in()
        assert owner.downs == ["FreeSWITCH closed the connection"]


async def test_cancelling_the_link_closes_the_connection_and_tells_the_owner():
    async with linked() as (link, network, owner):
        peer = await network.logged_in()
        await link.wait_up()
    assert owner.downs == ["callctl closed the connection"]
    assert not link.up
    assert await peer.stream.receive_some() == b""
