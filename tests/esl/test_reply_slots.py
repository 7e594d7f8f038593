"""Whatever happens to those who wait, each reply reaches its own command, and each wait ends."""

from __future__ import annotations

import trio
from attrs import define, frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from callctl.errors import ConnectionLost, Disconnected, ReplyTimeout
from callctl.esl import commands
from callctl.esl.connection import Connection
from tests.esl.peer import Peer, api_response, event, notice, reply, stream_pair


@frozen
class Post:
    """Send `count` commands in one write; each is waited for by a task of its own, for so long."""

    count: int
    timeout_seconds: float


@frozen
class Cancel:
    """Cancel one of those who wait."""

    which: int


@frozen
class Answer:
    """FreeSWITCH answers the next `count` commands, with events in between."""

    count: int


@frozen
class Pass:
    """Time goes by."""

    seconds: float


@frozen
class Drop:
    """The connection ends, with or without a notice before."""

    with_notice: bool


step = (
    st.builds(Post, st.integers(1, 4), st.sampled_from([0.5, 2.0, 100.0]))
    | st.builds(Cancel, st.integers(0, 20))
    | st.builds(Answer, st.integers(1, 5))
    | st.builds(Pass, st.sampled_from([0.1, 1.0, 3.0]))
)
programs = st.tuples(st.lists(step, max_size=20), st.builds(Drop, st.booleans()))


@define
class Waiter:
    """One command and what its waiter got: a text, the name of an exception, or "cancelled"."""

    number: int
    scope: trio.CancelScope
    timeout_seconds: float
    outcome: str = ""
    answered: bool = False


class Play:
    """Runs a program, and keeps book of what was answered when."""

    def __init__(self, connection: Connection, peer: Peer) -> None:
        self.connection = connection
        self.peer = peer
        self.waiters: list[Waiter] = []

    async def run(self, steps: list[object], nursery: trio.Nursery) -> None:
        for each in steps:
            match each:
                case Post(count, timeout_seconds):
                    self._post(count, timeout_seconds, nursery)
                case Cancel(which) if self.waiters:
                    self.waiters[which % len(self.waiters)].scope.cancel()
                case Answer(count):
                    await self._answer(count)
                case Pass(seconds):
                    await trio.sleep(seconds)
                case Drop(with_notice):
                    if with_notice:
                        await self.peer.say(notice())
                        await wait_all_tasks_blocked()
                    await self.peer.close()
            await wait_all_tasks_blocked()

    def _post(self, count: int, timeout_seconds: float, nursery: trio.Nursery) -> None:
        first = len(self.waiters)
        numbers = range(first, first + count)
        # Two kinds, so that a pairing out of step would be noticed by the connection as well.
        orders = [
            commands.api(f"echo {number}") if number % 2 else commands.linger(number) for number in numbers
        ]
        for number, slot in zip(numbers, self.connection.post(*orders), strict=True):
            waiter = Waiter(number, trio.CancelScope(), timeout_seconds)
            self.waiters.append(waiter)
            nursery.start_soon(self._wait, waiter, slot.wait)

    async def _wait(self, waiter: Waiter, wait) -> None:
        with waiter.scope:
            try:
                waiter.outcome = (await wait(waiter.timeout_seconds)).text
            except (ReplyTimeout, ConnectionLost, Disconnected) as ended:
                waiter.outcome = type(ended).__name__
        waiter.outcome = waiter.outcome or "cancelled"

    async def _answer(self, count: int) -> None:
        for waiter in [waiter for waiter in self.waiters if not waiter.answered][:count]:
            command = await self.peer.command()
            assert command.line == (
                f"api echo {waiter.number}" if waiter.number % 2 else f"linger {waiter.number}"
            )
            text = f"answer {waiter.number}"
            waiter.answered = True
            await self.peer.say(event("NOISE"), api_response(text) if waiter.number % 2 else reply(text))


@given(programs)
def test_each_reply_reaches_its_command_and_each_waiter_ends(program):
    steps, drop = program
    end = "Disconnected" if drop.with_notice else "ConnectionLost"

    async def main() -> None:
        stream, peer = stream_pair()
        connection = Connection(stream, on_event=lambda _: None, on_notice=lambda _: None)
        play = Play(connection, peer)
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.run)
                await play.run([*steps, drop], nursery)
        for waiter in play.waiters:
            own = f"answer {waiter.number}"
            assert waiter.outcome in {own, "ReplyTimeout", "cancelled", end}
            if waiter.outcome == own:
                assert waiter.answered
            if waiter.outcome == end:
                assert not waiter.answered
        assert connection.statistics().replies_pending == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))
