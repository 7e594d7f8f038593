"""The caller's leg without a socket: what it is owed, and how it gets that when it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from callctl.call import events as ev
from callctl.call.caller import OLDER_END_SECONDS, CallerLeg
from callctl.call.timers import Timers
from callctl.call.variables import ON_TRANSFER, hand_back_variables
from callctl.call.way_back import OWED, go_on
from callctl.errors import ConnectionLost
from callctl.esl.call_socket import CallEvents, ChannelEnded
from callctl.esl.commands import Command, exit_
from callctl.esl.outbound import CallSocket
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import Reason
from tests.call.presence import Presence

NOW = 1_800_000_000.0


class Switch:
    """A switch that remembers what is set on the caller; without its connection it sets nothing."""

    name = "fs1"
    core_uuid = "core"

    def __init__(self, *, is_up: bool = True, slowness: float = 0.0) -> None:
        self.variables: dict[str, str] = {}
        self.is_up = is_up
        self.link = self
        self.ordered: list[str] = []
        self._slowness = slowness

    async def api(self, command: str) -> str:
        self.ordered.append(command)
        return "+OK"

    async def set_variables(self, uuid: str, variables: Mapping[str, str]) -> None:
        if not self.is_up:
            raise ConnectionLost("down")
        await trio.sleep(self._slowness)
        self.variables.update(variables)


class Socket:
    """A caller's socket with these variables on the channel."""

    uuid = "caller"
    bows_out = may_be_broken_off = False

    def __init__(self, **variables: str) -> None:
        self.data = Event("", {f"variable_{name}": value for name, value in variables.items()})
        self.events = CallEvents()
        self.ordered: list[Command] = []
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True
        self.events.end()

    def keep(self, *names: str) -> None:
        """Whatever is kept is there anyway."""

    def follow(self, *events: str) -> None:
        """Nothing happens on this socket."""

    def post(self, *orders: Command) -> None:
        self.ordered += orders

    async def request(self, order: Command) -> None:
        self.ordered.append(order)


def nothing_comes(event: ev.CallHappening) -> None:
    raise AssertionError(f"unexpected: {event}")


def a_leg(switch: Any, deliver: Callable[[ev.CallHappening], None] = nothing_comes) -> CallerLeg:
    return CallerLeg(
        "caller",
        switch=switch,
        ids=Ids(),
        timers=Timers(),
        deliver=deliver,
        own_music="",
        wants_keys=False,
    )


async def test_a_caller_who_is_handed_back_without_a_socket_is_owed_the_reason(
    autojump_clock: MockClock,
) -> None:
    switch = Switch()
    await a_leg(switch).hand_back(hand_back_variables(Reason.TIMEOUT, NOW))
    assert (switch.variables["callctl_reason"], switch.variables[OWED]) == ("TIMEOUT", "TIMEOUT")


@pytest.mark.parametrize("slowness", [0.0, 2.0], ids=["told already", "not told yet"])
async def test_a_caller_who_comes_while_being_handed_back_goes_on_at_once(
    autojump_clock: MockClock, slowness: float
) -> None:
    switch, socket = Switch(slowness=slowness), Socket()
    leg, comes = a_leg(switch), cast(CallSocket, socket)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.hand_back, hand_back_variables(Reason.TIMEOUT, NOW))
        await trio.sleep(0.1)
        assert leg.is_owed
        leg.take(comes)
    assert not leg.is_owed
    assert socket.ordered == [exit_()]
    assert (switch.variables["callctl_reason"], switch.variables[OWED]) == ("TIMEOUT", "")


async def test_a_caller_without_any_connection_is_owed_the_reason_as_soon_as_there_is_one(
    autojump_clock: MockClock,
) -> None:
    switch = Switch(is_up=False)
    leg = a_leg(switch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.hand_back, hand_back_variables(Reason.TIMEOUT, NOW))
        await trio.sleep(60.0)
        assert leg.is_owed
        switch.is_up = True
    assert (switch.variables["callctl_reason"], switch.variables[OWED]) == ("TIMEOUT", "TIMEOUT")


async def test_a_caller_who_comes_back_before_the_switch_is_handed_back_by_the_socket(
    autojump_clock: MockClock,
) -> None:
    socket: Any = Socket()
    leg = a_leg(Switch(is_up=False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.hand_back, hand_back_variables(Reason.TIMEOUT, NOW))
        await trio.sleep(60.0)
        leg.take(socket)
    [order] = socket.ordered[:-1]
    assert order.line.startswith("api uuid_setvar_multi caller ")
    assert "callctl_reason=TIMEOUT" in order.line
    assert socket.ordered[-1] == exit_()


async def test_a_socket_that_ends_in_the_midst_of_the_hand_back_leaves_the_reason_owed(
    autojump_clock: MockClock,
) -> None:
    switch, socket = Switch(is_up=False), Socket()
    told: list[ev.CallHappening] = []
    leg, comes = a_leg(switch, told.append), cast(CallSocket, socket)
    leg.take(comes)
    leg.hear(comes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.hand_back, hand_back_variables(Reason.TIMEOUT, NOW))
        await trio.testing.wait_all_tasks_blocked()
        socket.close()
        await trio.sleep(10.0)
        switch.is_up = True
    assert told == [ev.SocketLost()]
    assert switch.variables[OWED] == "TIMEOUT"
    assert exit_() not in socket.ordered


async def test_a_socket_that_ends_instead_of_letting_go_leaves_the_reason_owed(
    autojump_clock: MockClock,
) -> None:
    class CutOff(Socket):
        async def request(self, order: Command) -> None:
            await trio.sleep(30.0)
            raise ConnectionLost("cut off")

    switch: Any = Switch(is_up=False)
    socket: Any = CutOff()
    leg = a_leg(switch)
    leg.take(socket)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.hand_back, hand_back_variables(Reason.TIMEOUT, NOW))
        await trio.sleep(60.0)
        assert leg.is_owed
        switch.is_up = True
    assert switch.variables[OWED] == "TIMEOUT"


async def test_a_socket_that_has_told_of_a_hangup_leads_nobody_on() -> None:
    socket: Any = Socket()
    leg = a_leg(Switch())
    leg.take(socket)
    leg.hear(socket)
    assert leg.is_led
    socket.events.put(ChannelEnded(ChannelEnded.LINGER))
    assert not leg.is_led


@pytest.mark.parametrize("has_older", [True, False])
async def test_an_older_socket_that_ends_with_the_queue_before_does_not_take_the_caller_out(
    has_older: bool,
) -> None:
    """One that is still open when the caller goes on to another queue is closed then."""
    before = a_leg(Switch())
    if has_older:
        older: Any = Socket()
        before.take(older)
        before.hear(older)
    socket: Any = Socket()
    before.take(socket)
    before.hear(socket)
    told: list[ev.CallHappening] = []
    after = a_leg(Switch(), told.append)
    before.hear_no_more()
    after.stand_like(before)
    after.take(socket)
    after.on_event(Event("CHANNEL_EXECUTE_COMPLETE", {"Application": "socket", "Answer-State": "answered"}))
    assert told == ([ev.SocketLost()] if has_older else [ev.CallerTaken()])


class Restarted(Switch):
    """A switch of which we know only since its restart, and on which every caller lives."""

    @property
    def presence(self) -> Presence:
        return Presence(self.wait_ready, silent_seconds=7.0)

    async def wait_ready(self) -> None:
        self.core_uuid = "another run"

    async def follow(self, uuid: str) -> None:
        """Nothing happens on this channel."""

    async def api(self, command: str) -> str:
        return json.dumps({"Unique-ID": "caller", "Channel-State": "CS_EXECUTE"})

    async def wait_lost(self) -> None:
        await trio.sleep_forever()

    def listen(self, uuid: str, listener: Callable[[Event], None]) -> None:
        """Nobody tells anything."""

    def unlisten(self, uuid: str, listener: Callable[[Event], None]) -> None:
        """Nobody told anything."""


@pytest.mark.parametrize(
    ("core_uuid", "told"),
    [("another run", []), ("core", [ev.SwitchLost(7.0)])],
    ids=["after it", "before it"],
)
async def test_a_caller_is_lost_with_a_restart_only_who_came_before_it(
    autojump_clock: MockClock, core_uuid: str, told: list[ev.CallHappening]
) -> None:
    heard: list[ev.CallHappening] = []
    leg = a_leg(Restarted(), heard.append)
    leg.find(Event("", {"Core-UUID": core_uuid}))
    with trio.move_on_after(60.0):
        await leg.watch()
    assert heard == told


async def test_a_caller_of_whom_the_switch_says_nothing_may_be_on_the_way() -> None:
    class Silent(Switch):
        async def api(self, command: str) -> str:
            raise ConnectionLost("down")

    told: list[ev.CallHappening] = []
    assert await a_leg(Silent(), told.append).fetch()
    assert told == [ev.CallerNotFetched()]


@pytest.mark.parametrize("plays", [True, False])
async def test_what_plays_is_ended_for_the_next_queue_and_nothing_else(plays: bool) -> None:
    switch: Any = Switch()
    leg = a_leg(switch)
    leg.take(cast(CallSocket, Socket()))
    if plays:
        leg.play_music("local_stream://moh")
    await leg.fall_silent()
    assert switch.ordered == (["uuid_break caller all"] if plays else [])


@pytest.mark.parametrize("is_up", [True, False], ids=["connected", "not connected"])
async def test_who_is_owed_an_end_goes_on_in_the_dialplan(is_up: bool) -> None:
    switch: Any = Switch(is_up=is_up)
    socket: Any = Socket(callctl_owed="TIMEOUT", callctl_reason="TIMEOUT")
    assert await go_on(socket, switch)
    if is_up:
        assert switch.variables == {"socket_resume": "true", OWED: ""}
        assert socket.ordered == [exit_()]


@pytest.mark.parametrize(
    "variables", [{}, {"callctl_owed": "TIMEOUT"}, {"callctl_reason": "TIMEOUT"}], ids=lambda v: "+".join(v)
)
async def test_any_other_caller_is_taken_in(variables: dict[str, str]) -> None:
    socket: Any = Socket(**variables)
    switch: Any = Switch()
    assert not await go_on(socket, switch)
    assert socket.ordered == []


TAKEN = Event("CHANNEL_EXECUTE_COMPLETE", {"Application": "socket", "Answer-State": "answered"})


async def a_caller_on_two_sockets() -> tuple[Any, Any, list[ev.CallHappening], Timers]:
    """One who came back before we heard that the first socket had been left: it stays open."""
    told: list[ev.CallHappening] = []
    timers = Timers()
    switch: Any = Switch()
    leg = CallerLeg(
        "caller",
        switch=switch,
        ids=Ids(),
        timers=timers,
        deliver=told.append,
        own_music="",
        wants_keys=False,
    )
    older: Any = Socket()
    newer: Any = Socket()
    for socket in (older, newer):
        leg.take(socket)
        leg.hear(socket)
    return older, newer, told, timers


@pytest.mark.parametrize("seen_first", ["what it did", "the end"])
async def test_the_end_of_an_older_socket_is_no_transfer(autojump_clock: MockClock, seen_first: str) -> None:
    older, newer, told, timers = await a_caller_on_two_sockets()
    if seen_first == "what it did":
        newer.events.put(TAKEN)
        older.events.end()
    else:
        older.events.end()
        newer.events.put(TAKEN)
    with trio.move_on_after(2 * OLDER_END_SECONDS):
        await timers.run()
    assert told == [ev.SocketLost()]
    assert not newer.is_closed, "its end would break the next one off in turn"


async def test_a_transfer_is_told_while_an_older_socket_lives_on(autojump_clock: MockClock) -> None:
    _, newer, told, timers = await a_caller_on_two_sockets()
    newer.events.put(TAKEN)
    assert told == []
    with trio.move_on_after(2 * OLDER_END_SECONDS):
        await timers.run()
    assert told == [ev.CallerTaken()]


async def test_the_end_of_both_sockets_is_told_once() -> None:
    older, newer, told, _ = await a_caller_on_two_sockets()
    newer.events.end()
    older.events.end()
    assert told == [ev.SocketLost()]


async def test_leaving_a_socket_whose_caller_is_on_the_way_to_the_next_breaks_that_visit_off() -> None:
    told: list[ev.CallHappening] = []
    switch: Any = Switch()
    leg = CallerLeg(
        "caller",
        switch=switch,
        ids=Ids(),
        timers=Timers(),
        deliver=told.append,
        own_music="",
        wants_keys=False,
    )
    older: Any = Socket()
    newer: Any = Socket()
    leg.take(older)
    leg.hear(older)
    leg.leave_socket()
    leg.take(newer)
    newer.events.put(TAKEN)
    leg.hear(newer)
    assert told == [ev.SocketLost()]
    assert not newer.is_closed


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("variables", "context"),
    [
        ({"callctl_transfer_context": "default"}, "default"),
        ({}, ""),
        ({"callctl_transfer_context": "default", "force_transfer_context": "own"}, ""),
        ({"callctl_transfer_context": "x:y ${system(z)}"}, ""),
    ],
    ids=["the dialplan's", "none", "somebody else's stays", "no name"],
)
def test_an_agents_transfer_runs_where_the_dialplan_says(variables: dict[str, str], context: str) -> None:
    switch: Any = Switch()
    leg = a_leg(switch)
    leg.take(cast(CallSocket, Socket(**variables)))
    for_the_talk = leg.talk_variables().get(ON_TRANSFER, "")
    assert ("force_transfer_context=" in for_the_talk) == bool(context)
    assert f"force_transfer_context={context}:" in for_the_talk or not context


@pytest.mark.fault(11)
def test_a_bridge_that_came_to_nothing_leaves_no_context_for_transfers_behind() -> None:
    class Posting(Switch):
        def post_variables(self, uuid: str, variables: Mapping[str, str]) -> Any:
            self.variables.update(variables)
            return SimpleNamespace(then=lambda action: None)

    switch: Any = Posting()
    leg = a_leg(switch)
    leg.take(cast(CallSocket, Socket(callctl_transfer_context="default")))
    leg.post_variables({"callctl_call": "call-1"})
    assert ON_TRANSFER not in switch.variables, "the dialplan has set it"
    leg.talk_variables()
    leg.post_variables({"callctl_call": "call-1"})
    assert switch.variables["force_transfer_context"] == ""
    assert "force_transfer_context" not in switch.variables[ON_TRANSFER]
    assert "socket_resume" in switch.variables[ON_TRANSFER]
