"""Asks a switch how it stands, over one short Event Socket connection: for `callctl check`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from callctl.call.media_check import MediaProblem, media_problems
from callctl.config import SwitchSettings
from callctl.config.settings import is_loopback
from callctl.errors import EslError, LoginRefused
from callctl.esl import commands
from callctl.esl.connection import Connection
from callctl.esl.wire import Event, Message
from callctl.model import QueueSettings

PROBE_SECONDS = 10.0
"""How long a switch may take for everything: it answers within milliseconds unless something is wrong."""


@frozen
class SwitchAnswers:
    """What a switch said of itself: its version, which of the modules it has, and its dialplan as XML.

    `media` is what it lacks of all that is to be heard.
    """

    version: str
    modules: Mapping[str, bool]
    dialplan: str
    media: Sequence[MediaProblem]


async def ask_switch(
    settings: SwitchSettings, modules: Sequence[str], queues: Iterable[QueueSettings]
) -> SwitchAnswers:
    """Ask for what `callctl check` looks at. Raises as `ask` does."""
    questions = ("version", "xml_locate dialplan", *(f"module_exists {name}" for name in modules))
    version, dialplan, *found = await ask(settings, questions)
    is_here = is_loopback(settings.host)
    media = await media_problems(
        queues, partial(ask, settings), looks_empty=lambda folder: is_here and _looks_empty(folder)
    )
    has_module = dict(zip(modules, (text == "true" for text in found), strict=True))
    return SwitchAnswers(version, has_module, dialplan, media)


def _looks_empty(folder: str) -> bool:
    """Say whether a folder of a switch on this machine is there and has no file in it."""
    try:
        return not any(Path(folder).iterdir())
    except OSError:
        return False  # it is another machine's after all, or not for us to read


async def ask(settings: SwitchSettings, questions: Sequence[str]) -> list[str]:
    """Log in, ask each of the `api` commands, leave, and return the answers.

    Raises EslError or OSError that say what is wrong.
    """
    refusals: list[str] = []

    def take_notice(message: Message) -> None:
        if message.content_type == "text/rude-rejection":
            refusals.append("FreeSWITCH refused our address: see apply-inbound-acl in event_socket.conf.xml")

    with trio.move_on_after(PROBE_SECONDS):
        stream = await trio.open_tcp_stream(settings.host, settings.port)
        connection = Connection(stream, on_event=_ignore, on_notice=take_notice, name=settings.name)
        outcome: list[str] | EslError
        # An error is carried out of the nursery by hand, as a nursery would wrap it in a group.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            try:
                outcome = await _ask(connection, settings.password, questions)
            except EslError as error:
                outcome = LoginRefused(refusals[0]) if refusals else error
            nursery.cancel_scope.cancel()
        if isinstance(outcome, EslError):
            raise outcome
        return outcome
    raise OSError(f"no answer within {PROBE_SECONDS:g} s")


async def _ask(connection: Connection, password: str, questions: Sequence[str]) -> list[str]:
    login = await connection.request(commands.auth(password))
    if not login.ok:
        raise LoginRefused(f"FreeSWITCH refused the password: {login.text}")
    return [(await connection.request(commands.api(question))).text for question in questions]


def _ignore(_event: Event) -> None:
    """Take an event that nobody asked for."""


@frozen
class SocketAction:
    """One `socket` application of a dialplan: which hosts it names, and with which words behind them."""

    context: str
    extension: str
    hosts: tuple[str, ...]
    words: frozenset[str]

    @property
    def is_complete(self) -> bool:
        """Whether it says `async full`, without which callctl takes no call."""
        return {"async", "full"} <= self.words

    def leads_to(self, port: int) -> bool:
        """Whether one of its hosts has this port. The host is another matter: there may be NAT between."""
        return any(host.rpartition(":")[2] == str(port) for host in self.hosts)


def socket_actions(dialplan: str) -> list[SocketAction]:
    """Return the `socket` actions of a dialplan as `xml_locate dialplan` gives it, none if it is no XML."""
    try:
        section = ElementTree.fromstring(dialplan)
    except ElementTree.ParseError:
        return []
    found = []
    for context in section.iter("context"):
        for extension in context.iter("extension"):
            for action in extension.iter("action"):
                if action.get("application") == "socket" and (data := action.get("data", "").split()):
                    place = (context.get("name", ""), extension.get("name", ""))
                    found.append(SocketAction(*place, tuple(data[0].split("|")), frozenset(data[1:])))
    return found
