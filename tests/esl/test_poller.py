"""Real sockets in one task: what comes is read, what is posted goes out in one write, and ends are seen."""

from __future__ import annotations

import socket

import pytest
import trio
from structlog.testing import capture_logs

from callctl.errors import ConnectionLost
from callctl.esl import poller as poller_module
from callctl.esl import transport
from callctl.esl.poller import PolledSocket, Poller


class Parrot:
    """Says something back for every piece that comes, in two parts."""

    def __init__(self) -> None:
        self.outbox = bytearray()
        self.heard: list[bytes] = []
        self.ended: list[ConnectionLost | None] = []
        self.carrier: PolledSocket | None = None
        self.changed = trio.Event()

    def take_data(self, data: bytes | bytearray) -> None:
        self.heard.append(bytes(data))
        for part in (b"<", b">"):
            self.say(part)

    def say(self, data: bytes) -> None:
        assert self.carrier is not None
        self.outbox += data
        self.carrier.flush()

    def take_end(self, why: ConnectionLost | None) -> None:
        assert self.carrier is not None
        self.ended.append(why)
        self.carrier.close()
        self.changed.set()


def a_parrot() -> tuple[Parrot, trio.SocketStream]:
    ours, theirs = socket.socketpair()
    parrot = Parrot()
    parrot.carrier = Poller.of_this_run().open(ours, parrot)
    theirs.setblocking(False)
    return parrot, trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


async def test_there_is_one_poller_in_a_run() -> None:
    assert Poller.of_this_run() is Poller.of_this_run()


async def test_what_a_round_makes_us_say_goes_out_in_one_write() -> None:
    parrot, peer = a_parrot()
    async with peer:
        await peer.send_all(b"hello")
        assert await peer.receive_some() == b"<>"
    assert parrot.heard == [b"hello"]


async def test_what_tasks_post_goes_out_in_one_write_when_they_have_run() -> None:
    parrot, peer = a_parrot()
    async with peer:

        async def post(word: bytes) -> None:
            parrot.say(word)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, b"a")
            nursery.start_soon(post, b"b")
        parrot.say(b"c")
        assert sorted(await peer.receive_some()) == sorted(b"abc")


async def test_the_end_of_the_other_side_is_told_once() -> None:
    parrot, peer = a_parrot()
    await peer.aclose()
    await parrot.changed.wait()
    assert parrot.ended == [None]


async def test_a_socket_that_breaks_is_told_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    parrot = Parrot()
    parrot.carrier = Poller.of_this_run().open(ours, parrot)
    # Closing with a linger of 0 resets the connection.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    await parrot.changed.wait()
    [why] = parrot.ended
    assert "the connection to FreeSWITCH broke" in str(why)


async def test_more_than_the_socket_takes_is_sent_in_pieces() -> None:
    parrot, peer = a_parrot()
    size = 8 * 1024 * 1024
    async with peer:
        parrot.say(bytes(size))
        received = 0
        while received < size:
            received += len(await peer.receive_some())
        assert not parrot.outbox
        await peer.send_all(b"still here")
        assert await peer.receive_some() == b"<>"


async def test_a_peer_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller_module, "WRITE_STALL_SECONDS", 0.05)
    monkeypatch.setattr(transport, "WRITE_STALL_SECONDS", 0.05)
    parrot, peer = a_parrot()
    async with peer:
        parrot.say(bytes(16 * 1024 * 1024))
        with trio.fail_after(10):
            await parrot.changed.wait()
    [why] = parrot.ended
    assert "read nothing for 0.05 s" in str(why)


async def test_many_sockets_are_read_in_rounds_between_which_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller_module, "ROUND_SOCKETS", 2)
    parrots = [a_parrot() for _ in range(7)]
    for _, peer in parrots:
        await peer.send_all(b"x")
    for _, peer in parrots:
        assert await peer.receive_some() == b"<>"
        await peer.aclose()


async def test_a_socket_that_was_closed_in_a_round_is_not_read_any_more() -> None:
    (first, peer_of_first), (second, peer_of_second) = a_parrot(), a_parrot()
    for parrot, other in ((first, second), (second, first)):
        parrot.take_data = lambda data, parrot=parrot, other=other: (  # type: ignore[method-assign]
            parrot.heard.append(bytes(data)),
            other.carrier.close(),
        )
    await peer_of_first.send_all(b"1")
    await peer_of_second.send_all(b"2")
    await trio.sleep(0.05)
    assert len(first.heard) + len(second.heard) == 1
    await peer_of_first.aclose()
    await peer_of_second.aclose()


async def test_a_talker_that_fails_costs_its_own_connection_only() -> None:
    (failing, peer_of_failing), (sound, peer_of_sound) = a_parrot(), a_parrot()

    def fail(data: bytes | bytearray) -> None:
        raise ValueError("a mistake")

    failing.take_data = fail  # type: ignore[method-assign]
    with capture_logs() as logs:
        await peer_of_failing.send_all(b"1")
        await failing.changed.wait()
    [why] = failing.ended
    assert "a mistake" in str(why)
    assert [entry["event"] for entry in logs] == ["a connection failed"]
    await peer_of_sound.send_all(b"2")
    assert await peer_of_sound.receive_some() == b"<>"
    for peer in (peer_of_failing, peer_of_sound):
        await peer.aclose()
    assert sound.heard == [b"2"]
