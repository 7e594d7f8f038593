"""The people at the far ends: callers on the trunk, and the phones of agents, behaving by parameters.

What they do takes effect a moment later, as over any wire: in the instant in which a caller has hung up and
the switch does not know yet, `uuid_bridge` still says +OK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import trio
from attrs import field, frozen

from callctl.sim.channel import Channel, PrivateMessage


@frozen(kw_only=True)
class Endpoint:
    """How an agent's phone behaves when it is rung. Durations are in seconds, None is never.

    It rings `answer_after` and answers, or refuses with a cause of FreeSWITCH (`USER_BUSY`,
    `CALL_REJECTED`, …). From one that is not there nothing comes back at all.

    `presses` and `hang_up_after` count from the answer, `talk_seconds` from when
    somebody is heard. After `consult_after` the agent asks whoever answers at the dial string `consult_with`.
    """

    answer_after: float | None = 2.0
    refuse_after: float = 0.0
    refuse_with: str = ""
    is_registered: bool = True
    is_there: bool = True
    talk_seconds: float | None = None
    hang_up_after: float | None = None
    hold_after: float | None = None
    hold_seconds: float = 5.0
    presses: tuple[tuple[float, str], ...] = ()
    transfer_after: float | None = None
    transfer_to: str = "answer"
    consult_after: float | None = None
    consult_with: str = ""

    @classmethod
    def busy(cls) -> Endpoint:
        return cls(answer_after=None, refuse_with="USER_BUSY")

    @classmethod
    def rejecting(cls, after: float = 1.0) -> Endpoint:
        return cls(answer_after=None, refuse_with="CALL_REJECTED", refuse_after=after)

    @classmethod
    def silent(cls) -> Endpoint:
        """It rings, and nobody answers."""
        return cls(answer_after=None)

    @classmethod
    def unregistered(cls) -> Endpoint:
        return cls(is_registered=False)

    @classmethod
    def gone(cls) -> Endpoint:
        """It is registered, and switched off since."""
        return cls(is_there=False)


@frozen(kw_only=True)
class Caller:
    """How a caller behaves. Durations are in seconds, None is never.

    The caller gives up after `patience` unless talking to somebody by then, and ends the talk after
    `talk_seconds`. `presses` are digits and when they are pressed, counted from the start. With
    `hang_up_when` the caller hangs up when the switch observes something of that name about this call
    (see `Switch.observe`), `hang_up_delay` later: the awkward instants.
    """

    number: str = "4930123456"
    name: str = "Ada Caller"
    destination: str = "callctl"
    variables: Mapping[str, str] = field(factory=dict)
    patience: float | None = None
    talk_seconds: float | None = None
    presses: tuple[tuple[float, str], ...] = ()
    hang_up_when: str = ""
    hang_up_delay: float = 0.0


class Person:
    """The far end of a channel with a person at it; base of callers and agents' phones."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.is_talking = False
        self._is_over = False

    def _soon(self, action: Callable[[], None]) -> None:
        """Do something as the wire carries it."""
        self.channel.switch.later(self.channel.switch.wire_seconds(), action)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self.channel.switch.later(seconds, action)

    def hang_up(self) -> None:
        """Put the phone down; the switch learns of it a moment later."""
        if not self._is_over:
            self._is_over = True
            self.channel.switch.observe("far-end-hung-up", self.channel)
            self._soon(self._say_goodbye)

    def _say_goodbye(self) -> None:
        is_cancel = not self.channel.is_answered
        self.channel.hang_up(
            "ORIGINATOR_CANCEL" if is_cancel else "NORMAL_CLEARING",
            "recv_cancel" if is_cancel else "recv_bye",
        )

    def invited(self) -> None:
        """Nobody rings a caller."""

    def progressed(self) -> None:
        """Ringing changes nothing for a person who waits."""

    def answered(self) -> None:
        """Nothing is said yet."""

    def bridged(self) -> None:
        self.is_talking = True

    def hung_up(self, cause: str) -> None:
        """The switch ended the call, for whatever `cause`."""
        self._is_over = True

    def heard_dtmf(self, digits: str) -> None:
        """People do not listen to tones."""

    def held(self, is_held: bool) -> None:
        """Whoever holds knows it already."""


class TrunkCaller(Person):
    """A caller who comes in over the trunk."""

    def __init__(self, channel: Channel, caller: Caller) -> None:
        super().__init__(channel)
        self.caller = caller
        if caller.patience is not None:
            self._after(caller.patience, self._lose_patience)
        for at, digit in caller.presses:
            self._after(at, partial(channel.press, digit))
        if caller.hang_up_when:
            channel.switch.on_observed(self._notice)

    def _lose_patience(self) -> None:
        if not self.is_talking:
            self.hang_up()

    def _notice(self, name: str, uuid: str, _at: float, member_uuid: str) -> None:
        if name == self.caller.hang_up_when and self.channel.uuid in (uuid, member_uuid):
            self._after(self.caller.hang_up_delay, self.hang_up)

    def bridged(self) -> None:
        super().bridged()
        if self.caller.talk_seconds is not None:
            self._after(self.caller.talk_seconds, self.hang_up)


class AgentPhone(Person):
    """An agent's phone, rung by the switch; it shows the caller's name and number as far as they reach it."""

    def __init__(self, channel: Channel, endpoint: Endpoint, shown: tuple[str, str] = ("", "")) -> None:
        super().__init__(channel)
        self.endpoint = endpoint
        self.shown = shown
        self._has_consulted = False

    def _consult(self) -> None:
        """Press the feature code that calls a colleague (bind_meta_app att_xfer)."""
        if self.channel.partner is not None:
            self.channel.post(PrivateMessage("execute", "att_xfer", self.endpoint.consult_with))

    def invited(self) -> None:
        if not self.endpoint.is_there:
            return
        if self.endpoint.refuse_with and self.endpoint.refuse_after <= 0:
            self._soon(self._refuse)
            return
        self._soon(self.channel.ring)
        if self.endpoint.refuse_with:
            self._after(self.endpoint.refuse_after, self._refuse)
        elif self.endpoint.answer_after is not None:
            self._after(self.endpoint.answer_after, self._answer)

    def _refuse(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.channel.hang_up(self.endpoint.refuse_with, "recv_refuse")

    def _answer(self) -> None:
        if self._is_over:
            return
        self._soon(self._be_answered)

    def _be_answered(self) -> None:
        self.channel.answer()
        for at, digit in self.endpoint.presses:
            self._after(at, partial(self.channel.press, digit))
        if self.endpoint.hang_up_after is not None:
            self._after(self.endpoint.hang_up_after, self.hang_up)

    def bridged(self) -> None:
        super().bridged()
        endpoint = self.endpoint
        if endpoint.talk_seconds is not None:
            self._after(endpoint.talk_seconds, self.hang_up)
        if endpoint.hold_after is not None:
            self._after(endpoint.hold_after, self.channel.hold)
            self._after(endpoint.hold_after + endpoint.hold_seconds, self.channel.unhold)
        if endpoint.transfer_after is not None:
            self._after(endpoint.transfer_after, self._transfer)
        if endpoint.consult_after is not None and not self._has_consulted:
            self._has_consulted = True
            self._after(endpoint.consult_after, self._consult)

    def _transfer(self) -> None:
        """Send the caller elsewhere, and leave (REFER)."""
        partner = self.channel.partner
        if partner is not None and not self._is_over:
            self._is_over = True
            partner.transfer(self.endpoint.transfer_to, partner.profile.context)
            self.channel.hang_up("BLIND_TRANSFER", "recv_refer")


class Loopback:
    """The far end is another channel of the same switch, as in the recordings: one dials, one is called."""

    def __init__(
        self, channel: Channel, extension: str = "", profile: str = "", *, other: Channel | None = None
    ) -> None:
        """A leg that dials names the `extension` and SIP `profile`, one that is called its `other` end."""
        self.channel = channel
        self.other = other
        self._extension = extension
        self._profile = profile

    def _soon(self, action: Callable[[], None]) -> None:
        self.channel.switch.later(self.channel.switch.wire_seconds(), action)

    def invited(self) -> None:
        self._soon(self._arrive)

    def _arrive(self) -> None:
        if self.channel.is_up:
            self.other = self.channel.switch.call_in(self._extension, self._profile, self.channel)

    def progressed(self) -> None:
        self._tell(lambda other: other.ring())

    def answered(self) -> None:
        self._tell(lambda other: other.answer())

    def bridged(self) -> None:
        """A channel hears no difference."""

    def hung_up(self, cause: str) -> None:
        if self.channel.is_answered:
            self._tell(lambda other: other.hang_up(cause, "recv_bye"))
        elif self.channel.is_outbound:
            self._tell(lambda other: other.hang_up("ORIGINATOR_CANCEL", "recv_cancel"))
        else:
            self._tell(lambda other: other.hang_up(cause, "recv_refuse"))

    def heard_dtmf(self, digits: str) -> None:
        for index, digit in enumerate(digits):
            # RFC 2833 at 2000 samples a digit and a pause: 0.26 and then 0.64 s were recorded.
            self.channel.switch.later(0.26 + 0.6 * index, partial(self._press, digit))

    def held(self, is_held: bool) -> None:
        self._tell(lambda other: other.hold() if is_held else other.unhold())

    def _press(self, digit: str) -> None:
        self._tell(lambda other: other.press(digit))

    def _tell(self, action: Callable[[Channel], None]) -> None:
        def arrive() -> None:
            if self.other is not None:
                action(self.other)

        self._soon(arrive)


async def run_later(seconds: float, action: Callable[[], None]) -> None:
    """Wait, then act."""
    await trio.sleep(seconds)
    action()
