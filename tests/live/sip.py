"""A SIP phone of a few lines, for what FreeSWITCH's own legs cannot do: register, and call under any name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import trio

PATIENCE_SECONDS = 5.0

_HEADERS_OF_A_REPLY = ("Via", "From", "To", "Call-ID", "CSeq")
_numbers = count(1)


class Phone:
    """One contact, on a UDP port of its own. It answers whoever calls, and hangs up when it is told to."""

    def __init__(self, socket: trio.socket.SocketType, server_port: int) -> None:
        self._socket = socket
        self._server = "127.0.0.1", server_port
        self.port: int = socket.getsockname()[1]
        self.rung: list[str] = []
        """The From header of each call that came in."""
        self.is_off = False
        """It hears nothing, and says nothing."""
        self._registered: dict[str, bool] = {}
        self._tag = f"tag{next(_numbers)}"
        self._replies: dict[str, tuple[trio.Event, list[str]]] = {}
        self._sequence = count(1)

    async def register(self, address: str, *, expires: int = 60) -> None:
        """Register this phone as a contact of `address`, such as 1001@a.example; 0 seconds take it back."""
        user = address.partition("@")[0]
        reply = await self._request(
            f"REGISTER sip:{address.partition('@')[2]} SIP/2.0",
            f"register-{self.port}-{address}",
            f"From: <sip:{address}>;tag={self._tag}",
            f"To: <sip:{address}>",
            f"Contact: <sip:{user}@127.0.0.1:{self.port}>;expires={expires}",
            f"Expires: {expires}",
        )
        assert " 200 " in reply.splitlines()[0], reply
        self._registered[address] = expires > 0

    async def unregister(self) -> None:
        """Take every registration back."""
        for address in [address for address, is_there in self._registered.items() if is_there]:
            await self.register(address, expires=0)

    async def call(self, destination: str, caller: str) -> None:
        """Call in, with this From header, and return once the call is answered."""
        call_id = f"call-{self.port}-{next(_numbers)}"
        body = self._sdp()
        reply = await self._request(
            f"INVITE sip:{destination}@127.0.0.1:{self._server[1]} SIP/2.0",
            call_id,
            f"From: {caller};tag={self._tag}",
            f"To: <sip:{destination}@127.0.0.1>",
            f"Contact: <sip:caller@127.0.0.1:{self.port}>",
            "Content-Type: application/sdp",
            body=body,
        )
        assert " 200 " in reply.splitlines()[0], reply
        target = re.findall(r"^Contact: <([^>]*)>", reply, re.MULTILINE)[0]
        sequence = re.findall(r"^CSeq: (\d+)", reply, re.MULTILINE)[0]
        lines = [
            f"ACK {target} SIP/2.0",
            self._via(),
            "Max-Forwards: 70",
            *_lines(reply, "From", "To", "Call-ID"),
        ]
        await self._send("\r\n".join([*lines, f"CSeq: {sequence} ACK", "Content-Length: 0", "", ""]))

    async def _request(self, line: str, call_id: str, *headers: str, body: str = "") -> str:
        """Send a request, and return the final reply."""
        number = next(self._sequence)
        method = line.partition(" ")[0]
        came, final = self._replies[f"{call_id} {number}"] = trio.Event(), []
        message = [line, self._via(), "Max-Forwards: 70", *headers, f"Call-ID: {call_id}"]
        message += [f"CSeq: {number} {method}", f"Content-Length: {len(body)}", "", body]
        await self._send("\r\n".join(message))
        with trio.fail_after(PATIENCE_SECONDS):
            await came.wait()
        return final[0]

    async def _send(self, message: str) -> None:
        await self._socket.sendto(message.encode(), self._server)

    def _via(self) -> str:
        return f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch=z9hG4bK{next(_numbers)}"

    def _sdp(self) -> str:
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        return "\r\n".join([*lines, f"m=audio {self.port} RTP/AVP 0", ""])

    async def listen(self) -> None:
        """Take in what comes, until cancelled."""
        while True:
            data, _ = await self._socket.recvfrom(65536)
            if not self.is_off and not data.startswith((b"\x80", b"\x81")):  # else it is sound
                await self._take(data.decode("utf-8", "replace"))

    async def _take(self, message: str) -> None:
        first, *_ = message.splitlines() or [""]
        if not first.startswith("SIP/2.0"):
            await self._reply(first.partition(" ")[0], message)
            return
        status = int(first.split()[1])
        key = "{} {}".format(*(_lines(message, name)[0].split()[1] for name in ("Call-ID", "CSeq")))
        if status >= 200 and key in self._replies:
            came, final = self._replies.pop(key)
            final.append(message)
            came.set()

    async def _reply(self, method: str, request: str) -> None:
        if method == "ACK":
            return
        lines = ["SIP/2.0 200 OK", *_lines(request, *_HEADERS_OF_A_REPLY)]
        body = ""
        if method == "INVITE":
            self.rung.append(_lines(request, "From")[0])
            body = self._sdp()
            lines = [f"{line};tag={self._tag}" if line.startswith("To:") else line for line in lines]
            lines += [f"Contact: <sip:phone@127.0.0.1:{self.port}>", "Content-Type: application/sdp"]
        await self._send("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]))


def _lines(message: str, *names: str) -> list[str]:
    """Return the headers of these names, whole, in this order."""
    lines = message.partition("\r\n\r\n")[0].split("\r\n")
    return [line for name in names for line in lines if line.lower().startswith(f"{name.lower()}:")]


@asynccontextmanager
async def open_phone(server_port: int) -> AsyncIterator[Phone]:
    """Have a phone that listens until the end of the block, and takes its registrations back then."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))
        phone = Phone(socket, server_port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.listen)
            try:
                yield phone
            finally:
                phone.is_off = False
                with trio.CancelScope(shield=True):
                    await phone.unregister()
            nursery.cancel_scope.cancel()
