"""Listens on a Unix socket or on TCP, and lets hypercorn's Trio worker speak HTTP on each connection.

The connections are ours, because hypercorn never gives up on a client who does not read: its writes cannot
be cancelled, and one such client would keep the server from ever stopping.
"""

from __future__ import annotations

import grp
import os
import socket
import ssl
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from typing import cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from callctl.api.tls import Tls
from callctl.config.settings import Address
from callctl.errors import ConfigError
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 200
"""On each listener. A wallboard and a monitor need one each; each costs a file, as every call does. Where one
more comes, the one that has been idle for longest is closed, so that `/healthz` always answers."""

MOST_STREAMS = 1000
"""Answers without an end on each listener, such as events: a browser on each desk holds one. They are counted
apart from the other connections, so that neither takes the other's place."""

FIRST_BYTE_SECONDS = 5.0
"""How long a new connection may say nothing."""

IDLE_SECONDS = 30.0
"""How long a connection may be without a request; also the time for the head of one."""

STREAM_AGAIN_SECONDS = 10
"""When a client comes again for whose stream there was no place."""

STALLED_SECONDS = 1.0
"""Who has not read a piece of an answer for so long gives way to others where all connections are in use."""

FAREWELL_SECONDS = 1.0
"""How long a stop waits for the ends of answers: a stream tells its client why it is closed."""

PIECE_BYTES = 64 * 1024
SEND_SECONDS = 10.0
"""How long a client may take to read each piece of an answer before it is given up."""


async def serve_control(
    app: ASGIApp,
    path: Path,
    group: str = "",
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on the Unix socket at `path`, which only its owner and the `group` may open, until cancelled.

    What a dead server left there is replaced, and nothing is left at the end. Raises ConfigError if there
    cannot be a socket, or it cannot be given to the group.
    """
    with _bound(path, group) as listening:
        listening.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        task_status.started()
        await _serve(app, [listener])


async def serve_http(
    app: ASGIApp,
    address: Address,
    tls: Tls | None = None,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on a TCP address until cancelled; reports the port. Raises ConfigError if it cannot be had.

    With `tls` each connection is encrypted, if that says so; without a usable certificate it is closed.
    """
    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        raise address.refused("http.listen", error) from error
    task_status.started(listeners[0].socket.getsockname()[1])
    await _serve(app, listeners, tls if tls is not None and tls.is_wanted else None)


@contextmanager
def _bound(path: Path, group: str) -> Iterator[socket.socket]:
    """Give a socket bound to `path`, with permissions 0600 from the first instant, and remove it after.

    With a group it has 0660 as soon as it is the group's.
    """
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"server.database: there can be no control socket {path} beside it: {error.strerror or error}"
        ) from error
    finally:
        os.umask(umask)
    try:
        if group:
            _give_to(path, group)
        yield listening
    finally:
        path.unlink(missing_ok=True)
        listening.close()


def _give_to(path: Path, group: str) -> None:
    """Let the members of a group open the socket; raises ConfigError."""
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    except KeyError:
        raise ConfigError(f"server.control-group: there is no group {group!r} on this machine") from None
    except OSError as error:
        raise ConfigError(
            f"server.control-group: {path} cannot be given to the group {group!r}: {error.strerror}; the "
            f"user that runs callctl must be in it (under systemd: SupplementaryGroups={group})"
        ) from error


def _clear(path: Path) -> None:
    """Remove what a dead server left; raises ConfigError for anything else."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise ConfigError(f"server.database: {path} is in the way of the control socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A server that is stuck takes nobody, and must not keep us waiting.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # Somebody listens, and as many wait as may.
    raise ConfigError(
        f"server.database: another server has the control socket {path}; "
        "two databases in one folder need names that differ before the dot"
    )


async def _serve(app: ASGIApp, listeners: list[trio.SocketListener], tls: Tls | None = None) -> None:
    # Both libraries speak ASGI, with types of their own for the same messages.
    wrapped = ASGIWrapper(cast(ASGIFramework, _Noticed(app)))
    config, context = _config(), WorkerContext(None)
    streams: set[_PatientStream] = set()

    async def handle(accepted: trio.SocketStream) -> None:
        ordinary = [each for each in streams if not each.has_no_end]
        if len(ordinary) >= MOST_CONNECTIONS:
            gives_way = min(filter(_can_give_way, ordinary), key=_last_used, default=None)
            Refusals.of_this_run().note(
                Refusal.HTTP_CONNECTIONS,
                log.warning,
                "too many connections are open",
                limit=MOST_CONNECTIONS,
                closed="this one" if gives_way is None else "the one idle for longest",
            )
            if gives_way is None:
                return
            streams.discard(gives_way)
            gives_way.close()
        if tls is None:
            stream = _PatientStream(accepted, accepted, streams)
        elif tls.context is None:
            accepted.socket.close()
            return
        else:
            stream = _EncryptedStream(accepted, tls.context, streams)
        streams.add(stream)
        _STREAM.set(stream)
        try:
            # It takes any stream that has a socket, and says that it wants one with TLS.
            connection = _Connection(wrapped, config, context, ConnectionState({}), stream)  # type: ignore[arg-type]
            await connection
            # The two hold each other: thirty objects, for a collection of garbage. A client who is gone at
            # once has none.
            vars(connection).pop("protocol", None)
        except Exception:
            log.exception("a connection failed")
        finally:
            streams.discard(stream)
            accepted.socket.close()

    async with trio.open_nursery() as connections:
        try:
            await trio.serve_listeners(handle, listeners, handler_nursery=connections)
        finally:
            with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                while any(stream.requests for stream in streams):  # noqa: ASYNC110 - at the very end
                    await trio.sleep(FAREWELL_SECONDS / 20)
            for stream in streams:
                stream.close()


SslStream = trio.SSLStream[trio.SocketStream]

_STREAM: ContextVar[_PatientStream] = ContextVar("callctl.api.listeners")
"""The connection that a task works for."""


class _Noticed:
    """An app that notes on the connection of each request that it is being answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        stream = _STREAM.get()
        stream.requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            stream.requests -= 1
            stream.has_no_end = False
            stream.idle_since = trio.current_time()


def take_stream_place() -> None:
    """Let the connection that this task works for count as a stream until its answer ends.

    Raises HTTPException where as many are open as may be. Without a connection of ours it does nothing.
    """
    stream = _STREAM.get(None)
    if stream is None:
        return
    if sum(each.has_no_end for each in stream.others) >= MOST_STREAMS:
        Refusals.of_this_run().note(
            Refusal.HTTP_STREAMS, log.warning, "too many streams are open", limit=MOST_STREAMS
        )
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"as many streams are open as may be, {MOST_STREAMS}; come again in {STREAM_AGAIN_SECONDS} s",
            {"Retry-After": str(STREAM_AGAIN_SECONDS)},
        )
    stream.has_no_end = True


def _can_give_way(stream: _PatientStream) -> bool:
    """Say whether closing this connection takes no answer from anybody who reads it."""
    if stream.sending_since is not None:
        return trio.current_time() >= stream.sending_since + STALLED_SECONDS
    return not stream.requests


def _last_used(stream: _PatientStream) -> tuple[bool, float]:
    """Return what orders those that can give way: the idle ones before those who do not read."""
    return stream.sending_since is not None, stream.sending_since or stream.idle_since


def _config() -> HypercornConfig:
    config = HypercornConfig()
    config.keep_alive_timeout = IDLE_SECONDS
    config.ssl_handshake_timeout = FIRST_BYTE_SECONDS
    config.include_server_header = False
    # What goes wrong in a request is logged where it is answered, in the house's own form.
    config.errorlog = None
    return config


class _Connection(TCPServer):
    """HTTP on one connection, which is over when the client has gone."""

    async def _read_data(self) -> None:
        await super()._read_data()
        # It would stay on for IDLE_SECONDS, waiting for a request of nobody; a script that gives one
        # order after another would soon have used up all connections.
        await self.idle_task.stop()


class _PatientStream:
    """A connection as hypercorn sees it; its patience with a client who does not read has an end."""

    def __init__(
        self,
        stream: trio.SocketStream | SslStream,
        accepted: trio.SocketStream,
        others: Collection[_PatientStream],
    ) -> None:
        """`stream` is what is read and written, `accepted` the connection below it.

        `others` are all connections of the listener.
        """
        self.others = others
        self._stream = stream
        self._is_new = True
        self.socket = accepted.socket
        self.requests = 0
        """How many requests are being answered."""
        self.has_no_end = False
        """Whether its answer is a stream, which has a place of its own."""
        self.idle_since = trio.current_time()
        """Since when there has been no request; for a stream without one."""
        self.sending_since: float | None = None
        """Since when a piece of an answer waits to be read, if one does."""

    async def receive_some(self, max_bytes: int) -> bytes:
        """Return what comes next; b"" at the end, and where a new client says nothing in time."""
        if not self._is_new:
            return bytes(await self._stream.receive_some(max_bytes))
        self._is_new = False
        with trio.move_on_after(FIRST_BYTE_SECONDS):
            return bytes(await self._stream.receive_some(max_bytes))
        return b""

    async def send_all(self, data: bytes) -> None:
        """Send everything; raises BrokenResourceError when the client does not take it."""
        for start in range(0, len(data), PIECE_BYTES):
            self.sending_since = trio.current_time()
            with trio.move_on_after(SEND_SECONDS) as patience:
                await self._stream.send_all(data[start : start + PIECE_BYTES])
            self.sending_since = None
            if patience.cancelled_caught:
                self.close()
                raise trio.BrokenResourceError("the client does not read")

    async def send_eof(self) -> None:
        """Say that nothing more comes, where that can be said."""
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close the connection at once, also under a write that cannot be cancelled."""
        self.socket.close()


class _EncryptedStream(_PatientStream):
    """A connection with TLS, as hypercorn sees it."""

    def __init__(
        self, accepted: trio.SocketStream, context: ssl.SSLContext, others: Collection[_PatientStream]
    ) -> None:
        self._encrypted = trio.SSLStream(accepted, context, server_side=True, https_compatible=True)
        super().__init__(self._encrypted, accepted, others)
        self.transport_stream = accepted

    async def do_handshake(self) -> None:
        """Agree with the client on keys; raises BrokenResourceError where that fails."""
        await self._encrypted.do_handshake()

    def selected_alpn_protocol(self) -> str:
        """Return what is spoken: there is one choice."""
        return "http/1.1"
