"""The exceptions that all rooms speak: each says what was wrong, where, and what to do."""

from __future__ import annotations


class CallctlError(Exception):
    """The base of every error that callctl raises on purpose; its text is meant for people."""


class ConfigError(CallctlError):
    """The configuration cannot be used. The text names the key, and its line or path."""


class UnknownQueue(CallctlError):
    """A queue of this name is not configured."""


class QueueFull(CallctlError):
    """As many callers wait in this queue as may."""


class QueueEmpty(CallctlError):
    """Nobody serves this queue, and it is configured to let nobody in then."""


class QueueClosed(QueueEmpty):
    """Outside its opening hours nobody serves this queue."""


class QueueInUse(CallctlError):
    """A queue cannot be removed while another one sends callers to it."""


class UnknownAgent(CallctlError):
    """An agent of this name does not exist."""


class AgentExists(CallctlError):
    """An agent of this name exists already."""


class UnknownTier(CallctlError):
    """This agent has no tier in this queue."""


class ForeignAccount(CallctlError):
    """Two things of different accounts would have to do with each other, which nothing may."""


class UnknownCall(CallctlError):
    """No such call is waiting or talking."""


class InvalidToken(CallctlError):
    """A token for the HTTP API that is no good; the text says why, without the token."""


class UnknownToken(CallctlError):
    """There is no token of this name."""


class DefinedInFile(CallctlError):
    """This stands in callctl.toml, and is to be changed there. The text names the file and the line."""


class WrongMoment(CallctlError):
    """The call is at a point of its life where this cannot be done with it."""


class StoreError(CallctlError):
    """The database cannot be used: locked, corrupt, full, newer than this callctl, or not ours."""


class DatabaseInUse(StoreError):
    """A server, or a command that changes the database, has it for itself: the process `pid`, as text."""

    def __init__(self, text: str, pid: str) -> None:
        super().__init__(text)
        self.pid = pid


class ReportError(CallctlError):
    """What a report was asked for makes no sense, such as a range that ends before it begins."""


class EslError(CallctlError):
    """The base of what can go wrong on an Event Socket connection."""


class LocalProtocolError(EslError):
    """We were about to say something that Event Socket forbids, such as a newline in a header."""


class RemoteProtocolError(EslError):
    """The other side said something that is not Event Socket, or more than a bound allows."""


class LoginRefused(EslError):
    """FreeSWITCH refused the password, or its access list refused our address."""


class CommandRefused(EslError):
    """FreeSWITCH answered a command with an error.

    `reply` is its text as received, stripped of the final newline.
    """

    def __init__(self, command: str, reply: str) -> None:
        super().__init__(f"FreeSWITCH refused {command!r}: {reply}")
        self.command = command
        self.reply = reply


class WaitEnded(EslError):
    """The base of the ways in which a wait on a connection ends without what was waited for."""


class ConnectionLost(WaitEnded):
    """The stream ended or broke before the answer came. Whether the order was carried out is unknown."""


class ReplyTimeout(WaitEnded):
    """No answer came before the deadline. Whether the order was carried out is unknown."""


class ChannelGone(WaitEnded):
    """The channel hung up before the answer came.

    `cause` is its hangup cause as FreeSWITCH names it, or None where only the notice was seen.
    """

    def __init__(self, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class Disconnected(WaitEnded):
    """FreeSWITCH said that it is closing the connection (a disconnect notice) before the answer came."""


class UnreadableAnswer(WaitEnded):
    """An answer came that is damaged. What was asked is as unknown as before."""


class OutboxFull(WaitEnded):
    """Too much waits to be sent or answered on the connection already: the order was not sent."""
