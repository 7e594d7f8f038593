"""The caller's leg without a socket: what it is owed, and how it gets that when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from callctl.call import events as ev
from callctl.call.caller import OWED, CallerLeg, go_on
from callctl.call.timers import Timers
from callctl.call.variables import hand_back_variables
from callctl.errors import ConnectionLost
from callctl.esl.commands import Command, exit_
from callctl.esl.wire import Event
from callctl.model import Ids, Reason

NOW = 1_800_000_000.0


class Switch:
    """A switch that remembers what is set on the caller; without its connection it sets nothing."""

    name = "fs1"

    def __init__(self, *, is_up: bool = True) -> None:
        self.variables: dict[str, str] = {}
        self._is_up = is_up

    async def set_variables(self, uuid: str, variables: Mapping[str, str]) -> None:
        if not self._is_up:
            raise ConnectionLost("down")
        self.variables.update(variables)


class Socket:
    """A caller's socket with these variables on the channel."""

    uuid = "caller"

    def __init__(self, **variables: str) -> None:
        self.data = Event("", {f"variable_{name}": value for name, value in variables.items()})
        self.ordered: list[Command] = []

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


async def test_a_caller_who_is_handed_back_without_a_socket_is_owed_the_reason() -> None:
    switch = Switch()
    await a_leg(switch).hand_back(hand_back_variables(Reason.TIMEOUT, NOW))
    assert (switch.variables["callctl_reason"], switch.variables[OWED]) == ("TIMEOUT", "TIMEOUT")


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
