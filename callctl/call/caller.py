"""The caller's leg: the sockets that lead it one after the other, what it hears, and how it is let go.

Applications go over the socket; variables and announcements over the inbound connection, in order and at
once. A caller without a socket is followed by the inbound connection alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import structlog
import trio

from callctl.call import events as ev
from callctl.call.caller_variables import SET_SECONDS, CallerVariables
from callctl.call.hearing import Hearing
from callctl.call.ringing import AgentUnreached
from callctl.call.standing import standing_of
from callctl.call.switch import Switch
from callctl.call.switch_presence import SWITCH_LOST_SECONDS
from callctl.call.timers import Timers
from callctl.call.variables import (
    WAY_BACK,
    bridged_with,
    hung_up_at,
    other_leg,
    past_talk,
    who_hung_up,
)
from callctl.call.way_back import (
    OWED,
    Whereabouts,
    channel_data,
    free_if_stranded,
    send_to_own_extension,
    whereabouts,
)
from callctl.errors import CommandRefused, EslError, UnreadableAnswer, WaitEnded
from callctl.esl import commands
from callctl.esl.call_socket import CallSocket
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import Arrival, WaitMedia

log = structlog.get_logger(__name__)

FOLLOWED = (
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HANGUP_COMPLETE",
)
"""The caller's events that a call lives by; each costs the switch CPU time."""

OLDER_END_SECONDS = 1.0
"""How long it may take until we have heard both of the end of an older socket and of what that has done to
this visit."""

_NOT_PLAYED = ("FILE NOT FOUND", "UNKNOWN ERROR")
"""How `playback` and `phrase` end of which nothing was heard."""

_APPLICATION_OF_MEDIA = {
    WaitMedia.ANSWER: "answer",
    WaitMedia.PRE_ANSWER: "pre_answer",
    WaitMedia.RING_READY: "ring_ready",
}


class CallerLeg:
    """One caller. What happens to the leg is told to `deliver`, as events of `callctl.call.events`."""

    def __init__(
        self,
        uuid: str,
        *,
        switch: Switch,
        ids: Ids,
        timers: Timers,
        deliver: Callable[[ev.CallHappening], None],
        own_music: str,
        wants_keys: bool,
    ) -> None:
        """`own_music` is what the call brought along, or "". `wants_keys`: its keys mean something."""
        self._uuid = uuid
        self._switch = switch
        self._ids = ids
        self._timers = timers
        self._deliver = deliver
        self._own_music = own_music
        self._followed = (*FOLLOWED, "DTMF") if wants_keys else FOLLOWED
        self._hearings: list[Hearing] = []
        self._left_at = -math.inf
        """When a socket of this caller has ended that was not the last one, on Trio's clock."""
        self._core_uuid = switch.core_uuid
        """On which run of the switch the caller is; its socket may come before our connection to that run."""
        self._variables = CallerVariables(uuid, switch)
        self._music_uuid = ""
        self._is_answered = False
        self._is_owed = False
        self._watch: trio.CancelScope | None = None
        self._log = log.bind(uuid=uuid, switch=switch.name)

    @property
    def uuid(self) -> str:
        """The caller's channel; "" while a callback has none."""
        return self._uuid

    @property
    def is_led(self) -> bool:
        """Say whether a socket leads the caller, and has told of no hangup."""
        return self._socket is not None and not any(
            each.has_said_goodbye for each in self._hearings if each.socket is self._socket
        )

    def is_led_by(self, socket: CallSocket) -> bool:
        """Say whether it is this socket."""
        return self.is_led and self._socket is socket

    @property
    def is_answered(self) -> bool:
        """Say whether the caller's leg is answered, and billed."""
        return self._is_answered

    @property
    def was_lost(self) -> bool:
        """Say whether the switch is known to have been restarted under this caller."""
        return self._switch.core_uuid != self._core_uuid

    @property
    def is_owed(self) -> bool:
        """Say whether the caller is just being handed back without a socket, and may not know it yet."""
        return self._is_owed

    def talk_variables(self) -> dict[str, str]:
        """Return what the channel needs for a talk besides; see `CallerVariables.for_talk`."""
        return self._variables.for_talk()

    # --- the sockets ---

    @property
    def _socket(self) -> CallSocket | None:
        """The socket that leads the caller, or None."""
        return self._variables.socket

    @_socket.setter
    def _socket(self, socket: CallSocket | None) -> None:
        self._variables.socket = socket

    def take(self, socket: CallSocket) -> bool:
        """Lead the caller on this socket from now on, and hear of it by the inbound connection no more.

        Returns whether we did; its filter is then still to be taken back, by `Switch.unfollow`.

        Those of this channel that came before it have ended by now: see `channel_sockets`.
        """
        self._socket = socket
        self.find(socket.data)
        socket.keep("Answer-State", *WAY_BACK)
        try:
            socket.follow(*self._followed)
        except WaitEnded as ended:
            self._log.info("the socket ended before its events were asked for", why=str(ended))
        if not self.is_watched:
            return False
        self.stop_watching()
        return True

    def find(self, data: Event) -> None:
        """Take in how the caller's channel stands, be it led by a socket or not."""
        self._core_uuid = data.get("Core-UUID") or self._core_uuid
        self._variables.find(data)
        self._is_answered = data.get("Answer-State") == "answered"

    def stand_like(self, before: CallerLeg) -> None:
        """Take in how the caller's channel stands from who led it until now; any older sockets end now."""
        self._variables.stand_like(before._variables)
        self._is_answered = before._is_answered
        self._core_uuid = before._core_uuid
        if any(each.socket is not before._socket for each in before._hearings):
            self._left_at = trio.current_time()

    def leave_socket(self) -> None:
        """Let go of a socket that leads the caller no more; it ends when the next one comes."""
        socket, self._socket = self._socket, None
        if socket is not None:
            self._left_at = trio.current_time()

    def hear(self, socket: CallSocket) -> Hearing:
        """Tell what happens on `socket`, until it ends, the caller hangs up, or the call is over."""

        def on_event(event: Event) -> None:
            if socket is self._socket:  # what concerns this visit comes on the socket of this visit
                self.on_event(event)

        def on_gone() -> None:
            if socket is self._socket:
                self._deliver(ev.CallerHungUp("", None))

        def on_end(hung_up: bool) -> None:
            if socket is self._socket:
                self._socket = None
                if not hung_up:
                    self._deliver(ev.SocketLost())
            elif self._socket is not None and not hung_up and not socket.bows_out:
                self._be_broken_off()

        self._hearings = [each for each in self._hearings if not each.over.is_set()]
        hearing = Hearing(socket, timers=self._timers, on_event=on_event, on_gone=on_gone, on_end=on_end)
        self._hearings.append(hearing)
        return hearing

    def hear_no_more(self) -> None:
        """Another visit has the caller: what comes on its sockets concerns this one no more."""
        for hearing in self._hearings:
            hearing.stop()

    def retire(self) -> None:
        """The call is over: tell nothing any more, and hold on to nobody."""
        self.hear_no_more()
        self.stop_watching()
        self._deliver = _tell_nobody

    def on_event(self, event: Event) -> None:
        """Tell what an event of the caller's channel means, whichever connection it came on."""
        if event.get("Answer-State") == "answered":
            self._is_answered = True
        match event.name:
            case "CHANNEL_BRIDGE":
                self._deliver(ev.Bridged(other_leg(event)))
            case "CHANNEL_UNBRIDGE":
                was_gone = event.get("Answer-State") == "hangup"
                self._deliver(ev.Unbridged(other_leg(event), caller_was_gone=was_gone))
            case "CHANNEL_HANGUP_COMPLETE":
                cause = event.get("Hangup-Cause")
                by, at = who_hung_up(event), hung_up_at(event)
                self._deliver(ev.CallerHungUp(cause, by, past_talk(event), at))
            case "DTMF":
                self._deliver(ev.KeyPressed(event.get("DTMF-Digit")))
            case "CHANNEL_EXECUTE_COMPLETE" if self._socket is None:
                if event.get("Answer-State") != "hangup":
                    self._tell_whereabouts(event)
            case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application") == "socket":
                if event.get("Answer-State") != "hangup":
                    self._tell_taken(standing_of(event).place)
            case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application-UUID") == self._music_uuid:
                # Anything else, such as PLAYBACK ERROR, means that it was broken off.
                response = event.get("Application-Response")
                if response in ("FILE PLAYED", "FILE NOT FOUND"):
                    by_key = bool(event.variable("playback_terminator_used"))
                    self._deliver(ev.MusicEnded(played=response == "FILE PLAYED", by_key=by_key))
            case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application-Response") in _NOT_PLAYED:
                application, sound = event.get("Application"), event.get("Application-Data")
                if application == "phrase":
                    self._deliver(ev.SoundFailed(f"phrase::{sound}"))
                elif application == "playback":
                    self._deliver(ev.SoundFailed(sound))

    def _tell_whereabouts(self, data: Event) -> None:
        """Tell that a caller whom no socket leads is elsewhere, if `data` shows the channel there."""
        if whereabouts(data) is Whereabouts.ELSEWHERE:
            self._deliver(ev.CallerElsewhere(talked_with=bridged_with(data)))

    def _tell_taken(self, place: str) -> None:
        """Tell that the caller was taken out of the socket, unless the end of an older one has done that.

        The older one may have been left by us while the caller was on the way to the next, or it breaks, and
        we see that only after what it has done.
        """
        socket = self._socket
        if socket is None:
            self._deliver(ev.CallerTaken(place))
        elif socket.may_be_broken_off or trio.current_time() - self._left_at < OLDER_END_SECONDS:
            self._be_broken_off()
        elif all(each.over.is_set() or each.socket is socket for each in self._hearings):
            self._deliver(ev.CallerTaken(place))
        else:
            self._timers.after(OLDER_END_SECONDS, partial(self._tell_taken_out_of, socket, place))

    def _tell_taken_out_of(self, socket: CallSocket, place: str) -> None:
        if self._socket is socket:
            self._deliver(ev.CallerTaken(place))

    def _be_broken_off(self) -> None:
        """The end of an older socket has ended the park of this visit too: see `take`."""
        self.leave_socket()
        self._deliver(ev.SocketLost())

    # --- what the caller hears ---

    def prepare(self, wait_media: WaitMedia) -> None:
        """Give the leg the media of a wait."""
        self._execute(_APPLICATION_OF_MEDIA[wait_media])

    def greet(self, sound: str) -> None:
        """Play `sound` once, before what is ordered next."""
        self._execute("playback", sound, expand=True)

    def play_music(self, sound: str) -> None:
        """Play `sound`, and tell when it has ended."""
        self._music_uuid = self._ids.uuid()
        # What the administrator wrote may hold ${…}; what came with the call may not.
        expand = sound != self._own_music
        # Without a lock, or announcements would wait for the end of the music.
        self._execute("playback", sound, self._music_uuid, expand=expand, event_lock=False)

    async def announce(self, sound: str) -> None:
        """Play `sound` over the music. One that cannot be ordered is left out: the call is worth more."""
        try:
            await self._switch.link.api(commands.uuid_broadcast(self._uuid, sound))
        except EslError as error:
            self._log.info("announcement left out", why=str(error))

    def _execute(
        self,
        application: str,
        argument: str = "",
        event_uuid: str = "",
        *,
        expand: bool = False,
        event_lock: bool = True,
    ) -> None:
        if self._socket is None:
            return
        try:
            order = commands.execute(
                application, argument, event_uuid=event_uuid, expand=expand, event_lock=event_lock
            )
            self._socket.post(order)
        except WaitEnded:
            self._log.debug("socket ended before an order", application=application)

    # --- variables, and the way out ---

    async def set_variables(self, variables: Mapping[str, str]) -> bool:
        """Set variables; returns False where no connection was there to set them by."""
        return await self._variables.set(variables)

    def post_variables(self, variables: Mapping[str, str]) -> None:
        """Set variables as `set_variables` does, without waiting until they are."""
        self._variables.post(variables)

    async def hand_back(self, variables: Mapping[str, str]) -> None:
        """Leave the caller to the dialplan: with `socket_resume` it goes on when our socket ends.

        A caller without a socket hears the dialplan's music, and will be brought to us once more: `go_on`,
        or before that is on the channel, by a socket that comes meanwhile.
        """
        variables = {"socket_resume": "true", **variables}
        if self._socket is not None and await self.set_variables(variables) and await self._exit():
            return
        await self._leave_owing(variables)
        await self._exit()

    async def _exit(self) -> bool:
        """Leave the socket, if there still is one; say whether the switch has not lost the order."""
        if self._socket is None:
            return True
        try:
            await self._socket.request(commands.exit_())
        except WaitEnded as ended:
            self._log.info("the socket ended before the hand-back", why=str(ended))
            self._socket = None
            return False
        return True

    async def _leave_owing(self, variables: Mapping[str, str]) -> None:
        """Tell the channel, as soon as there is a connection; the next socket is one as well."""
        self._is_owed = True
        owing = {**variables, OWED: variables["callctl_reason"]}
        with trio.move_on_after(SWITCH_LOST_SECONDS):
            while self._socket is None and not await self.set_variables(owing):
                self._log.debug("the end of the wait cannot be told yet")
        # A socket may have told how the channel was just before.
        await trio.sleep(SET_SECONDS)
        self._is_owed = False
        if self._socket is not None:
            await self.set_variables({**variables, OWED: ""})

    async def fall_silent(self) -> None:
        """End what we play, so that another visit on the same socket can begin.

        Where nothing plays, the order would end the first sound of that visit.
        """
        if self._socket is None or not self._music_uuid:
            return
        try:
            await self._switch.link.api(commands.uuid_break(self._uuid))
        except EslError as error:
            self._log.info("music not ended", why=str(error))

    # --- the caller without a socket ---

    async def watch(self) -> None:
        """Follow the caller by the inbound connection, and ask after each loss of it."""
        switch = self._switch
        self.stop_watching()
        with trio.CancelScope() as self._watch:
            switch.listen(self._uuid, self.on_event)
            while True:
                with trio.move_on_after(SWITCH_LOST_SECONDS) as patience:
                    await switch.presence.wait_settled()
                if patience.cancelled_caught or switch.presence.is_gone or self.was_lost:
                    self._deliver(ev.SwitchLost(switch.presence.silent_seconds))
                    return
                try:
                    await switch.follow(self._uuid)
                    channel = await channel_data(self._uuid, switch)
                    self._tell_whereabouts(channel)
                    await free_if_stranded(channel, switch)
                except CommandRefused:
                    self._deliver(ev.CallerHungUp("", None))
                    return
                except UnreadableAnswer as damage:
                    self._log.warning("where the caller is cannot be read", why=str(damage))
                except WaitEnded:
                    continue
                await switch.wait_lost()

    async def fetch(self) -> bool:
        """Send a caller whom nobody leads through its own extension again; say whether it is on its way.

        This is the way back for one whose `socket_resume` was not set when callctl died.
        """
        try:
            caller = await channel_data(self._uuid, self._switch)
            if whereabouts(caller) is not Whereabouts.ON_THE_WAY:
                return False
            self._log.warning("fetching a caller who did not come back")
            return await send_to_own_extension(caller, self._switch)
        except CommandRefused:
            self._deliver(ev.CallerHungUp("", None))
        except WaitEnded as ended:
            self._log.info("not fetched now", why=str(ended))
            self._deliver(ev.CallerNotFetched())
        return True

    async def is_elsewhere(self) -> bool:
        """Ask whether somebody has sent a caller away whom no socket leads; False where nobody says."""
        if self.is_led:
            return False
        try:
            return whereabouts(await channel_data(self._uuid, self._switch)) is Whereabouts.ELSEWHERE
        except (CommandRefused, WaitEnded) as unknown:
            self._log.info("where the caller is is not known", why=str(unknown))
            return False

    @property
    def is_watched(self) -> bool:
        """Say whether the inbound connection was asked for the caller's events."""
        return self._watch is not None

    async def call_back(self, dialstring: str, arrival: Arrival) -> str:
        """Ring this caller, and return the UUID of the channel that answered. Raises AgentUnreached."""
        self._switch.listen(self._uuid, self.on_event)
        try:
            uuid = await self._switch.ring_caller(self._uuid, dialstring, arrival)
        except AgentUnreached:
            self._switch.unlisten(self._uuid, self.on_event)
            raise
        if uuid != self._uuid:
            self._switch.unlisten(self._uuid, self.on_event)
            self._uuid = self._variables.uuid = uuid
            self._switch.listen(uuid, self.on_event)
        return uuid

    async def forget(self) -> None:
        """Hear of this caller by the inbound connection no more."""
        if self.is_watched:
            self.stop_watching()
            await self._switch.unfollow(self._uuid)

    def stop_watching(self) -> None:
        """End `watch`; `forget` also takes its filter back."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._switch.unlisten(self._uuid, self.on_event)


def _tell_nobody(happening: ev.CallHappening) -> None:
    """A call that is over takes nothing in."""
