"""The socket of an earlier visit ends before the next one leads the channel, and harms nobody."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from callctl.call.channel_sockets import SETTLE_SECONDS, ChannelSockets, end_older
from callctl.errors import ConnectionLost, ReplyTimeout
from callctl.esl.call_socket import CallSocket
from callctl.esl.commands import Command


class Socket:
    """A socket that writes into one list with the others what is done on it."""

    uuid = "caller"

    def __init__(self, name: str, done: list[str], *, slow: bool = False, is_lost: bool = False) -> None:
        self.name = name
        self.is_over = is_lost
        self.has_bowed_out = not slow
        self.may_be_broken_off = False
        self._done = done
        self._slow = slow
        self._is_lost = is_lost

    async def request(self, order: Command, timeout_seconds: float) -> None:
        if self._is_lost:
            raise ConnectionLost("cut")
        self._done.append(f"{self.name} {order.label}")
        await trio.sleep(timeout_seconds if self._slow else 0.001)
        if self._slow:
            raise ReplyTimeout("slow")

    def post(self, *orders: Command) -> None:
        if self._is_lost:
            raise ConnectionLost("cut")
        self._done += [f"{self.name} {order.label}" for order in orders]

    async def bow_out(self) -> None:
        await trio.sleep(0.001)
        self._done.append(f"{self.name} ends")

    def close(self) -> None:
        self.is_over = True


def as_sockets(*sockets: Socket) -> list[CallSocket]:
    return cast("list[CallSocket]", list(sockets))


@pytest.mark.fault(19.1)
async def test_the_channel_is_busy_while_an_older_socket_ends_and_parked_again_after_that(
    autojump_clock: MockClock,
) -> None:
    done: list[str] = []
    older, newest = Socket("older", done), Socket("newest", done)
    await end_older(as_sockets(older), *as_sockets(newest))
    assert done == [
        "newest execute sleep",
        "older ends",
        "newest execute park",
        "newest api uuid_break caller",
    ]
    assert not newest.may_be_broken_off
    assert older.is_over


@pytest.mark.fault(19.1)
async def test_a_switch_that_takes_its_time_delays_nobody_for_long(autojump_clock: MockClock) -> None:
    done: list[str] = []
    older, newest = Socket("older", done, slow=True), Socket("newest", done, slow=True)
    began = trio.current_time()
    await end_older(as_sockets(older), *as_sockets(newest))
    assert trio.current_time() - began < SETTLE_SECONDS + 1
    assert done == [
        "newest execute sleep",
        "older ends",
        "newest execute park",
        "newest api uuid_break caller",
    ]
    assert newest.may_be_broken_off, "nobody knows in which order it is all done"


async def test_a_newest_socket_that_is_lost_leaves_no_older_one_behind(autojump_clock: MockClock) -> None:
    done: list[str] = []
    older, newest = Socket("older", done), Socket("newest", done, is_lost=True)
    await end_older(as_sockets(older), *as_sockets(newest))
    assert done == ["older ends"]


def test_the_sockets_of_a_channel_are_known_as_long_as_they_are_led() -> None:
    sockets, done = ChannelSockets(), cast("list[str]", [])
    one, two, three, over = (Socket(name, done) for name in ("one", "two", "three", "over"))
    over.is_over = True
    three.uuid = "another"
    held: Any = sockets.holding
    with held(one) as before_one, held(over), held(two) as before_two, held(three) as before_three:
        assert (before_one, before_two, before_three) == ([], [one], [])
    with held(two) as afterwards:
        assert afterwards == []
