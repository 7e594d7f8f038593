"""The caller's leg without a socket: what it is owed, and how it gets that when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from callctl.call import events as ev
from callctl.call.caller import OWED, CallerLeg, go_on
from callctl.call.timers import Timers
from callctl.call.variables import hand_back_variables
from callctl.errors import ConnectionLost
from callctl.esl.commands import Command, exit_
from callctl.esl.outbound import CallSocket
from callctl.esl.wire import Event
from callctl.model import Ids, Reason

NOW = 1_800_000_000.0


class Switch:
    """A switch that remembers what is set on the caller; without its connection it sets nothing."""

    name = "fs1"

    def __init__(self, *, is_up: bool = True, slowness: float = 0.0) -> None:
        self.variables: dict[str, str] = {}
        self._is_up = is_up
        self._slowness = slowness

    async def set_variables(self, uuid: str, variables: Mapping[str, str]) -> None:
        if not self._is_up:
            raise ConnectionLost("down")
        await trio.sleep(self._slowness)
        self.variables.update(variables)


class Socket:
    """A caller's socket with these variables on the channel."""

    uuid = "caller"

    def __init__(self, **variables: str) -> None:
        self.data = Event("", {f"variable_{name}": value for name, value in variables.items()})
        self.ordered: list[Command] = []

    def keep(self, *names: str) -> None:
        """Whatever is kept is there anyway."""

    def follow(self, *events: str) -> None:
        """Nothing happens on this socket."""

    async def request(self, order: Command) -> None:
        self.ordered.append(order)


def a_leg(switch: Any) -> CallerLeg:
    def deliver(event: ev.CallHappening) -> None:
        raise AssertionError(f"unexpected: {event}")

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
        await leg.take(comes)
    assert not leg.is_owed
    assert socket.ordered == [exit_()]
    assert (switch.variables["callctl_reason"], switch.variables[OWED]) == ("TIMEOUT", "")


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
