"""A channel: one leg of a call as the switch knows it, with its states, times and variables.

What other parts of the switch do to a channel is synchronous: they set what it shall be, and wake the
session that runs it (`callctl.sim.session`), which notices within a tick, as FreeSWITCH's thread does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import trio
from attrs import define, field, frozen

if TYPE_CHECKING:
    from callctl.sim.listener import Listener
    from callctl.sim.switch import Switch

PRIVATE_QUEUE_LENGTH = 256
"""SWITCH_EVENT_QUEUE_LEN: how many messages wait for one channel. One more closes who sent it."""

Action = tuple[str, str]
"""An application of the dialplan and its argument."""


class State(IntEnum):
    """The states of FreeSWITCH's state machine, by its numbers."""

    NEW = 0
    INIT = 1
    ROUTING = 2
    SOFT_EXECUTE = 3
    EXECUTE = 4
    EXCHANGE_MEDIA = 5
    PARK = 6
    CONSUME_MEDIA = 7
    HIBERNATE = 8
    RESET = 9
    HANGUP = 10
    REPORTING = 11
    DESTROY = 12
    NONE = 13


@define(kw_only=True)
class Profile:
    """Who calls whom, as the events tell it."""

    caller_id_name: str = ""
    caller_id_number: str = ""
    destination: str = ""
    context: str = "default"
    network_address: str = "127.0.0.1"


@define
class Times:
    """When things happened to a channel, in seconds since the epoch; 0 for never."""

    created: float
    profile_created: float = 0.0
    progress: float = 0.0
    progress_media: float = 0.0
    answered: float = 0.0
    bridged: float = 0.0
    transferred: float = 0.0
    hangup: float = 0.0
    last_hold: float = 0.0
    hold_accum: float = 0.0


@frozen(eq=False)
class PrivateMessage:
    """What `sendmsg` or a broadcast asks of a channel; `done` is set once it was carried out."""

    command: str
    application: str = ""
    argument: str = ""
    event_uuid: str = ""
    event_lock: bool = False
    loops: int = 1
    cause: str = "NORMAL_CLEARING"
    done: trio.Event = field(factory=trio.Event)


class FarEnd(Protocol):
    """Whoever holds the other end of a channel's wire. Everything told to it arrives a moment later."""

    def invited(self) -> None:
        """The switch calls: ring."""

    def progressed(self) -> None:
        """The switch says that it rings."""

    def answered(self) -> None:
        """The switch took the call."""

    def bridged(self) -> None:
        """Somebody is heard."""

    def hung_up(self, cause: str) -> None:
        """The switch ended the call."""

    def heard_dtmf(self, digits: str) -> None:
        """The switch sent these digits."""

    def held(self, is_held: bool) -> None:
        """The switch puts this end on hold, or takes it back."""


class Channel:
    """One leg of a call. Its UUID is in the switch's table until its last event was told."""

    def __init__(
        self,
        switch: Switch,
        *,
        uuid: str,
        name: str,
        is_outbound: bool,
        profile: Profile,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.switch = switch
        self.uuid = uuid
        self.name = name
        self.is_outbound = is_outbound
        self.profile = profile
        self.times = Times(switch.now(), switch.now())
        self.state = State.NEW
        self.running = State.NONE
        self.call_state = "DOWN"
        self.answer_state = "ringing"
        self.hangup_cause = ""
        self.hangup_disposition = ""
        self.far: FarEnd | None = None
        self.other: Channel | None = None
        """The other leg, as events name it; it stays when a bridge has ended."""
        self.bridge_to: Channel | None = None
        """Whom `uuid_bridge` ordered this channel to talk to, where it is the originator."""
        self.partner: Channel | None = None
        """Whom this channel talks to now."""
        self.is_consulting = False
        """This agent's leg talks with a colleague, within its talk with the partner (CF_INNER_BRIDGE)."""
        self.is_moving = False
        """A transfer or a bridge was ordered, and the next state has not begun (CF_TRANSFER, CF_REDIRECT)."""
        self.extension: Sequence[Action] = ()
        self.next_action = 0
        self.application = ""
        self.application_data = ""
        self.messages: deque[PrivateMessage] = deque()
        self.event_lock = 0
        self.is_broken_off = False
        self.loops_are_over = False
        """What is being repeated was broken off, and is not begun again."""
        self.digits: deque[str] = deque()
        self.digits_dialed = ""
        self.recordings: set[str] = set()
        """The files into which it is being recorded."""
        self.held_since: float | None = None
        self.hold_music: PrivateMessage | None = None
        self.is_controlled = False
        """Whether a park holds it at a controller's orders (CF_CONTROLLED)."""
        self.listeners: list[Listener] = []
        """The outbound connections that control it, or did before a transfer, and still live."""
        self.watchers: list[Callable[[], None]] = []
        """Who wants to be called when it answers or hangs up."""
        self.variables: dict[str, str | list[str]] = {
            "direction": "outbound" if is_outbound else "inbound",
            **({"is_outbound": "true"} if is_outbound else {"endpoint_disposition": "DELAYED NEGOTIATION"}),
            "uuid": uuid,
            "call_uuid": uuid,
            "session_id": str(switch.next_session_id()),
            "channel_name": name,
            **(variables or {}),
        }
        self._woken = trio.Event()

    # --- what is true of it -------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether others can still find this channel by its UUID (switch_core_session_locate)."""
        return self.state < State.HANGUP

    @property
    def is_ready(self) -> bool:
        """Whether the running application may go on (switch_channel_ready)."""
        return self.state == self.running and self.state < State.HANGUP and not self.is_moving

    @property
    def is_answered(self) -> bool:
        return self.times.answered > 0

    @property
    def was_hung_up_by_far_end(self) -> bool:
        return self.hangup_disposition.startswith("recv")

    @property
    def has_media(self) -> bool:
        """Whether sound can flow: answered, or early media (switch_channel_media_up)."""
        return self.is_answered or self.times.progress_media > 0

    def variable(self, name: str, default: str = "") -> str:
        """Return a variable's value, the first one of a list, or `default` where it is not set."""
        value = self.variables.get(name, default)
        if isinstance(value, str):
            return value
        return value[0] if value else default

    def is_true(self, name: str) -> bool:
        """Say whether a variable is set to what FreeSWITCH takes for true (switch_true)."""
        value = self.variable(name).lower()
        return value in ("yes", "on", "true", "t", "enabled", "active", "allow") or (
            value.isdigit() and int(value) != 0
        )

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable; an empty value unsets it."""
        if value:
            self.variables[name] = value
        else:
            self.variables.pop(name, None)

    # --- what others do to it -----------------------------------------------------------------

    def fire(self, event: str, extra: Mapping[str, str] | None = None, *, bare: bool = False) -> None:
        """Tell an event about this channel; `bare` leaves its variables out."""
        self.switch.events.fire(event, self, extra, bare=bare)

    def wake(self) -> None:
        """Make the session look at what has changed."""
        self._woken.set()
        if self.partner is not None:
            self.partner._woken.set()

    async def woken(self) -> None:
        """Wait until something may have changed."""
        await self._woken.wait()
        self._woken = trio.Event()

    def set_state(self, state: State) -> None:
        """Order another state; a channel that is hung up stays so."""
        if self.state < State.HANGUP:
            self.state = state
            self.wake()

    def ring(self) -> None:
        """It rings at the far end (180)."""
        if self.is_up and not self.times.progress and not self.is_answered:
            self.times.progress = self.switch.now()
            self.fire("CHANNEL_PROGRESS")
            if self.other is not None and not self.other.times.progress:
                self.other.times.progress = self.times.progress
            self.call_state = "RINGING"
            if not self.is_outbound and self.far is not None:
                self.far.progressed()
            if self.is_outbound:
                self.switch.observe("leg-ringing", self)

    def pre_answer(self) -> None:
        """Open early media (183)."""
        if self.is_up and not self.times.progress_media and not self.is_answered:
            self.times.progress_media = self.switch.now()
            self.answer_state = "early"
            self.variables["endpoint_disposition"] = "EARLY MEDIA"
            self.fire("CHANNEL_PROGRESS_MEDIA")
            self.call_state = "EARLY"

    def answer(self) -> None:
        """Take the call (an inbound leg), or learn that it was taken (an outbound leg)."""
        if not self.is_up or self.is_answered:
            return
        if not self.is_outbound:
            self.pre_answer()
        self.times.answered = self.switch.now()
        self.answer_state = "answered"
        self.fire("CHANNEL_ANSWER")
        self.call_state = "ACTIVE"
        self.variables["endpoint_disposition"] = "ANSWER"
        if not self.is_outbound and self.far is not None:
            self.far.answered()
        self.switch.observe("leg-answered" if self.is_outbound else "caller-answered", self)
        self._settle()

    def hang_up(self, cause: str = "NORMAL_CLEARING", disposition: str = "") -> None:
        """End the call; `disposition` says so when the far end did it (recv_bye, …)."""
        if not self.is_up:
            return
        if self.held_since is not None:
            self.unhold()
        self.state = State.HANGUP
        self.hangup_cause = cause
        self.hangup_disposition = disposition or self._own_disposition()
        self.answer_state = "hangup"
        if disposition and disposition != "recv_bye":
            self.variables["sip_hangup_disposition"] = disposition
        self.fire("CHANNEL_HANGUP")
        if disposition:
            self.variables["sip_hangup_disposition"] = disposition
        self.switch.observe("hung-up", self)
        self._settle()
        for listener in self.listeners:
            listener.wake()

    def _settle(self) -> None:
        self.wake()
        for watcher in list(self.watchers):
            watcher()

    def _own_disposition(self) -> str:
        if self.is_answered:
            return "send_bye"
        return "send_cancel" if self.is_outbound else "send_refuse"

    def transfer(self, destination: str, context: str) -> None:
        """Send it to another extension, away from whatever it does."""
        if self.is_up:
            self.profile.destination = destination
            self.profile.context = context or self.profile.context
            self.times.transferred = self.times.profile_created = self.switch.now()
            self.note_transfer(f"bl_xfer:{destination}/{self.profile.context}/XML")
            self.times.bridged = 0.0  # It gets a new caller profile, and with it new times.
            self.other = None
            self.is_moving = True
            self.set_state(State.ROUTING)

    def note_transfer(self, how: str) -> None:
        """Keep in a variable where the channel was sent: by a transfer, or into a bridge."""
        self.variables["transfer_source"] = f"{int(self.switch.now())}:{self.uuid}:{how}"

    def post(self, message: PrivateMessage) -> bool:
        """Queue a message for the session; False when its queue is full."""
        if len(self.messages) >= PRIVATE_QUEUE_LENGTH:
            return False
        self.messages.append(message)
        self.wake()
        return True

    def break_off(self, *, everything: bool) -> None:
        """End what is being played; `everything` also forgets what still waits to be."""
        if everything:
            self.messages.clear()
        self.is_broken_off = True
        self.wake()

    def press(self, digit: str) -> None:
        """A digit came from the far end."""
        if self.is_up:
            self.digits.append(digit)
            self.digits_dialed += digit
            self.fire("DTMF", {"DTMF-Digit": digit, "DTMF-Duration": "2000", "DTMF-Source": "RTP"}, bare=True)
            self.wake()

    def hold(self) -> None:
        """The far end of this leg puts its partner on hold."""
        if self.held_since is None and self.is_up:
            self.held_since = self.times.last_hold = self.switch.now()
            self.call_state = "HELD"
            self.fire("CHANNEL_HOLD")
            if self.far is not None:
                self.far.held(True)
            if self.partner is not None:
                music = (
                    self.variable("hold_music")
                    or self.partner.variable("hold_music")
                    or self.switch.hold_music
                )
                self.hold_music = PrivateMessage("execute", "playback", music, loops=-1)
                self.partner.post(self.hold_music)

    def unhold(self) -> None:
        """The far end of this leg takes its partner back."""
        if self.held_since is not None:
            self.times.hold_accum += self.switch.now() - self.held_since
            self.held_since = None
            self.call_state = "ACTIVE"
            self.fire("CHANNEL_UNHOLD")
            if self.far is not None:
                self.far.held(False)
            if self.hold_music is not None and self.partner is not None:
                self.partner.break_off(everything=False)
            self.hold_music = None
