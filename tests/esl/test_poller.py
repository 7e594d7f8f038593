"""Real sockets in one task: what comes is read, what is posted goes out in one write, and ends are seen."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


# --- the entrance ---


class Door:
    """A listening socket, and who has come through it."""

    def __init__(self) -> None:
        self.came: list[socket.socket] = []
        self.port = 0
        self.fault: OSError | None = None

    def take(self, sock: socket.socket, peer: str) -> None:
        assert peer == "127.0.0.1"
        self.came.append(sock)

    async def keep_open(self, task_status: trio.TaskStatus[None]) -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            self.port = listener.socket.getsockname()[1]
            task_status.started()
            try:
                await Poller.of_this_run().accept(listener, self.take)
            except OSError as fault:
                self.fault = fault

    async def knock(self, times: int = 1) -> list[trio.SocketStream]:
        return [await trio.open_tcp_stream("127.0.0.1", self.port) for _ in range(times)]

    async def until(self, number: int) -> None:
        with trio.fail_after(10):
            while len(self.came) < number:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_door(door: Door | None = None) -> AsyncIterator[Door]:
    door = door or Door()
    async with trio.open_nursery() as nursery:
        await nursery.start(door.keep_open)
        yield door
        nursery.cancel_scope.cancel()
    for sock in door.came:
        sock.close()


async def test_all_who_come_at_once_are_taken_and_send_without_delay() -> None:
    async with open_door() as door:
        peers = await door.knock(3 * poller_module.ROUND_ENTRIES + 1)
        await door.until(len(peers))
        assert all(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in door.came)
        for peer in peers:
            await peer.aclose()


async def test_a_mistake_about_one_who_comes_costs_that_connection_only() -> None:
    class Wrong(Door):
        def take(self, sock: socket.socket, peer: str) -> None:
            if not self.port:
                raise ValueError("a mistake")
            super().take(sock, peer)

    with capture_logs() as logs:
        async with open_door(Wrong()) as door:
            port, door.port = door.port, 0
            unlucky = await trio.open_tcp_stream("127.0.0.1", port)
            with trio.fail_after(10):
                assert await unlucky.receive_some() == b""
            door.port = port
            [lucky] = await door.knock()
            await door.until(1)
            for peer in (unlucky, lucky):
                await peer.aclose()
    assert [(entry["event"], entry["peer"]) for entry in logs] == [("a connection failed", "127.0.0.1")]


async def test_whoever_accepts_is_told_when_nobody_can_be_taken() -> None:
    async with open_door() as door:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        peer = trio.socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (peer.fileno() + 1, before[1]))
        try:
            await peer.connect(("127.0.0.1", door.port))
            with trio.fail_after(10):
                while door.fault is None:
                    await trio.lowlevel.checkpoint()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        peer.close()
    assert door.fault is not None
    assert door.fault.errno == errno.EMFILE
    assert not door.came


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EPERM])
async def test_a_connection_that_failed_before_it_was_taken_keeps_nobody_out(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = socket.socket.accept
    faults = [OSError(number, "failed")]

    def accept_after_faults(sock: socket.socket) -> tuple[socket.socket, object]:
        if faults:
            raise faults.pop()
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", accept_after_faults)
    async with open_door() as door:
        [peer] = await door.knock()
        await door.until(1)
        await peer.aclose()
    assert not faults
    assert door.fault is None


async def test_nobody_comes_in_any_more_when_accepting_is_cancelled() -> None:
    async with open_door() as door:
        pass
    with pytest.raises(OSError, match="all attempts to connect"):
        await door.knock()
    async with open_door() as another:
        [peer] = await another.knock()
        await another.until(1)
        await peer.aclose()
