"""Bytes in, messages out: the framing of Event Socket in both directions, with no input or output in it.

A message is a block of header lines, a blank line, and exactly `Content-Length` bytes of body; the next
message follows at once. FreeSWITCH writes header and body by two sends, and a read may end anywhere, also
inside a character, so nothing here depends on how the bytes are cut.

Damage to the framing cannot be repaired, because nobody knows where the next message begins: it raises
RemoteProtocolError, and the decoder stays broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from callctl.errors import LocalProtocolError, RemoteProtocolError
from callctl.esl.headers import headers_of

MAX_HEADER_BYTES = 1024 * 1024
"""The largest header block taken. The reply to `connect` is one block with every variable of the channel:
6 kB as recorded; single lines over 64 KiB occur."""

MAX_HEADER_LINES = 16 * 1024
"""The most lines in one block, as a line costs memory beyond its bytes. 226 were recorded."""

MAX_BLANK_LINES = 1024
"""The most blank lines in a row where a block should begin. FreeSWITCH sends none; they cost time and say
nothing."""

MAX_BODY_BYTES = 64 * 1024 * 1024
"""The largest body taken. The answer to `show channels` has some 400 bytes for each channel."""

_MAX_LENGTH_DIGITS = 12
"""More digits than any length has that could be within a bound; int() on megabytes of digits is slow."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@frozen
class Message:
    """One message of FreeSWITCH, as received: values are not percent-decoded.

    Where a header name is repeated the first value wins. Text that is not UTF-8 is kept by
    surrogateescape, so that encoding it back gives the very bytes.
    """

    content_type: str
    headers: Mapping[str, str]
    body: bytes = b""


@frozen
class CommandMessage:
    """One command of a client, as FreeSWITCH reads it: header names in lower case, as it ignores case."""

    line: str
    headers: Mapping[str, str] = field(default=NO_HEADERS)
    body: bytes = b""


class _Stream:
    """The part that both directions share: what was received and not yet taken, and how it breaks."""

    def __init__(self, max_header_bytes: int, max_body_bytes: int) -> None:
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._broken = ""

    @property
    def buffered_bytes(self) -> int:
        """The bytes held for a message that is not yet whole."""
        return len(self._buffer)

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take in bytes as read from the stream; then take out every message before reading on.

        Raises RemoteProtocolError when the stream was found broken before.
        """
        if self._broken:
            raise RemoteProtocolError(self._broken)
        self._buffer += data

    def _fail(self, why: str) -> RemoteProtocolError:
        """Give up the stream for good, and free what was kept of it."""
        self._broken = why
        self._buffer.clear()
        return RemoteProtocolError(why)

    def _too_large(self) -> RemoteProtocolError:
        return self._fail(f"a header block is larger than {self._max_header_bytes} bytes")

    def _body_length(self, text: str) -> int:
        """Return the length that a Content-Length header states, once it is known to be within the bound."""
        digits = text.strip(" ")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_LENGTH_DIGITS:
            raise self._fail(f"Content-Length is not a length: {text[:40]!r}")
        length = int(digits)
        if length > self._max_body_bytes:
            raise self._fail(f"a body of {length} bytes is larger than {self._max_body_bytes} bytes")
        return length

    def _take_body(self, length: int) -> bytes | None:
        if length == 0:
            return b""
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body


class Decoder(_Stream):
    """What FreeSWITCH sends, as messages: feed `receive_data`, then take `next_message` until None.

    A header block is looked at as a whole once its blank line is there. The search for that goes on where it
    stopped, so the work is linear in the bytes however small the pieces are.
    """

    def __init__(
        self, max_header_bytes: int = MAX_HEADER_BYTES, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        """The bounds are in bytes; what is larger is an error as soon as that is known."""
        super().__init__(max_header_bytes, max_body_bytes)
        self._has_begun = False
        self._searched = self._lines = self._blank_lines = 0
        self._headers: Mapping[str, str] | None = None
        self._length = 0

    @property
    def is_midway(self) -> bool:
        """Whether the bytes so far end inside a message, so that an end of stream cuts it off."""
        return self._headers is not None or self.buffered_bytes > 0

    def next_message(self) -> Message | None:
        """Return the next whole message, or None until more bytes have come.

        Raises RemoteProtocolError where the bytes are not Event Socket or more than a bound allows; the
        decoder is then broken for good.
        """
        if self._headers is None:
            headers = self._next_headers()
            if headers is None:
                return None
            if "Content-Type" not in headers:
                raise self._fail(f"a header block has no Content-Type: {next(iter(headers))[:60]!r}")
            self._length = self._body_length(headers.get("Content-Length", "0"))
            self._headers = headers
        body = self._take_body(self._length)
        if body is None:
            return None
        headers, self._headers = self._headers, None
        return Message(headers["Content-Type"], headers, body)

    def _next_headers(self) -> Mapping[str, str] | None:
        buffer = self._buffer
        if not buffer or (not self._has_begun and not self._begin()):
            if self._broken:
                raise RemoteProtocolError(self._broken)
            return None
        searched = self._searched
        # The first of the two newlines may have been the last byte there was.
        end = buffer.find(b"\n\n", searched - 1 if searched else 0)
        size = len(buffer) if end < 0 else end + 2
        self._lines += buffer.count(b"\n", searched, size if end < 0 else end + 1)
        if size > self._max_header_bytes or self._lines > MAX_HEADER_LINES:
            raise self._too_large()
        if end < 0:
            self._searched = size
            return None
        headers = headers_of(b"\n" + buffer[: end + 1], self._lines)
        del buffer[:size]
        self._has_begun = False
        self._searched = self._lines = 0
        return headers

    def _begin(self) -> bool:
        """Look at the first line of a block as soon as it is there, and say whether it is.

        Whoever speaks something else may wait for us now, and never send a blank line.
        """
        buffer = self._buffer
        if buffer.startswith(b"\n"):
            # A blank line where a block should begin is a stray newline, and means nothing.
            blank_lines = len(buffer) - len(buffer.lstrip(b"\n"))
            del buffer[:blank_lines]
            self._blank_lines += blank_lines
            if self._blank_lines > MAX_BLANK_LINES:
                raise self._fail(f"there are {self._blank_lines} blank lines and no message")
        end = buffer.find(b"\n")
        if (len(buffer) if end < 0 else end + 1) > self._max_header_bytes:
            raise self._too_large()
        if end < 0:
            return False
        if buffer.find(b": ", 0, end) < 1:
            line = buffer[:end].decode("utf-8", "surrogateescape")
            raise self._fail(f"this is not Event Socket: {line[:60]!r}")
        self._has_begun = True
        self._blank_lines = 0
        return True


class CommandDecoder(_Stream):
    """What a client sends, as commands: the same framing as FreeSWITCH itself reads it.

    As in `read_packet` of mod_event_socket.c: a line may end in CR LF, the first line is the command, a
    header's name ends at its first colon, and a line without one is passed over.
    """

    def __init__(
        self, max_header_bytes: int = MAX_HEADER_BYTES, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        """The bounds are in bytes; what is larger is an error as soon as that is known."""
        super().__init__(max_header_bytes, max_body_bytes)
        self._searched = 0
        self._lines: list[str] = []
        self._line_bytes = 0
        self._command: CommandMessage | None = None
        self._length = 0

    @property
    def buffered_bytes(self) -> int:
        """The bytes held for a command that is not yet whole."""
        return len(self._buffer) + self._line_bytes

    def next_command(self) -> CommandMessage | None:
        """Return the next whole command, or None until more bytes have come; raises as `Decoder` does."""
        if self._command is None:
            lines = self._next_lines()
            if lines is None:
                return None
            headers: dict[str, str] = {}
            for line in lines[1:]:
                name, separator, value = line.partition(":")
                if separator:
                    headers.setdefault(name.lower(), value.lstrip(" "))
            self._length = self._body_length(headers.get("content-length", "0"))
            self._command = CommandMessage(lines[0], headers)
        body = self._take_body(self._length)
        if body is None:
            return None
        command, self._command = self._command, None
        return CommandMessage(command.line, command.headers, body)

    def _next_lines(self) -> list[str] | None:
        """Return the lines of the next header block; each is taken off the buffer as soon as it is whole."""
        if self._broken:
            raise RemoteProtocolError(self._broken)
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n", self._searched)
            size = self._line_bytes + (len(buffer) if end < 0 else end + 1)
            if size > self._max_header_bytes or len(self._lines) > MAX_HEADER_LINES:
                raise self._too_large()
            if end < 0:
                self._searched = len(buffer)
                return None
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            self._searched = 0
            if line:
                self._lines.append(line.decode("utf-8", "surrogateescape"))
                self._line_bytes = size
            elif self._lines:
                block, self._lines, self._line_bytes = self._lines, [], 0
                return block
            # A blank line where a command should begin is a stray newline, and means nothing.

    def _fail(self, why: str) -> RemoteProtocolError:
        self._lines.clear()
        self._line_bytes = 0
        return super()._fail(why)


def encode_message(headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a message as FreeSWITCH sends it, headers in their order.

    A body gets its Content-Length as the last header, unless it is already among them. Raises
    LocalProtocolError for what could not be read back: CR, LF or NUL, a name that is empty or holds a
    colon and a space, a wrong length, or a missing Content-Type.
    """
    if "Content-Type" not in headers:
        raise LocalProtocolError("a message without Content-Type cannot be read back")
    if headers.get("Content-Length", str(len(body))) != str(len(body)):
        raise LocalProtocolError(f"Content-Length must be {len(body)}, the length of the body in bytes")
    lines = [header_line(name, value) for name, value in headers.items()]
    if body and "Content-Length" not in headers:
        lines.append(f"Content-Length: {len(body)}\n")
    return encode_text("".join(lines)) + b"\n" + body


def header_line(name: str, value: str) -> str:
    """Return one header with its line feed; raises LocalProtocolError where it would not stay one header."""
    if not name or ": " in name:
        raise LocalProtocolError(f"not the name of a header: {name[:60]!r}")
    for text in (name, value):
        refuse_control(text)
    return f"{name}: {value}\n"


def refuse_control(text: str) -> None:
    """Raise LocalProtocolError when `text` holds CR, LF or NUL, which would end a line early."""
    if "\n" in text or "\r" in text or "\0" in text:
        raise LocalProtocolError(f"a line of Event Socket may not hold CR, LF or NUL: {text[:60]!r}")


def encode_text(text: str) -> bytes:
    """Return the bytes of `text`, the inverse of decoding; raises LocalProtocolError for what has none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"this text has no bytes: {text[:60]!r}") from error
