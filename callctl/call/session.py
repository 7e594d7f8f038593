"""The nursery of one call: takes in what happens, lets `flow` decide, and performs what it says.

A session owns its caller from the first `connect` to the last event, over any number of sockets: when
the dialplan brings the caller back, `drive` gets the new one. Ringing an agent and hanging up a leg are
orders that always run to their end, also when the call is over, so that no leg is left behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog
import trio
from attrs import frozen

from callctl.call import events as ev
from callctl.call.dispatcher import Dispatcher
from callctl.call.flow import CallFlow, Stage
from callctl.call.switch import AgentUnreached, LegState, Switch
from callctl.call.variables import hold_seconds, who_hung_up
from callctl.clock import SteadyClock
from callctl.errors import CallctlError, EslError, QueueEmpty, QueueFull, UnknownQueue, WaitEnded
from callctl.esl import commands
from callctl.esl.outbound import CallSocket, ChannelEnded
from callctl.esl.wire import Event
from callctl.model import Arrival, CallRecord, Fact, HungUpBy, Ids, Offer, QueueSettings, Reason, WaitMedia

log = structlog.get_logger(__name__)

FOLLOWED = (
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HANGUP_COMPLETE",
)
"""The caller's events that a call lives by; each costs the switch CPU time."""

INBOX_EVENTS = 1000
"""More than a call ever has in flight; a call that is so far behind is broken, and ends as one."""

LAST_WORDS_SECONDS = 1.0
"""How long CHANNEL_HANGUP_COMPLETE may come after the notice of the hangup; they are not in order."""

SET_SECONDS = 0.2
"""How long variables set on the socket take at most; an application begins at a tick of 20 ms."""

SWITCH_LOST_SECONDS = 300.0
"""How long a switch may stay away before its calls count as lost and their agents as free."""

_ANSWER_OF_MEDIA = {
    WaitMedia.ANSWER: "answer",
    WaitMedia.PRE_ANSWER: "pre_answer",
    WaitMedia.RING_READY: "ring_ready",
}


@frozen(kw_only=True)
class Desk:
    """What every session shares."""

    dispatcher: Dispatcher
    clock: SteadyClock
    ids: Ids
    record: Callable[[Fact], None]


class CallSession:
    """One visit of one call to a queue."""

    def __init__(
        self,
        arrival: Arrival,
        queue: QueueSettings,
        *,
        switch: Switch,
        desk: Desk,
        known: CallRecord | None = None,
    ) -> None:
        """`known` is the call's row, where the caller was with us before a restart."""
        self._arrival = arrival
        self._switch = switch
        self._desk = desk
        self._flow = CallFlow(arrival, queue, known)
        self._send, self._receive = trio.open_memory_channel[ev.CallHappening | None](INBOX_EVENTS)
        self._socket: CallSocket | None = None
        self._is_answered = False
        self._music_uuid = ""
        self._timers: dict[str, trio.CancelScope] = {}
        self._orders: set[trio.CancelScope] = set()
        self._legs: set[str] = set()
        self._watch: trio.CancelScope | None = None
        self._is_over = False
        self._over = trio.Event()
        self._log = log.bind(call=arrival.call, uuid=arrival.uuid, switch=arrival.switch, queue=arrival.queue)

    @property
    def arrival(self) -> Arrival:
        """Whose call it is."""
        return self._arrival

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._flow.record

    @property
    def is_over(self) -> bool:
        """Say whether the wait and the talk are over; orders may still be under way."""
        return self._flow.stage in (Stage.PARTING, Stage.ENDED)

    def deliver(self, event: ev.CallHappening) -> None:
        """Take an event in, at once; the session's own task handles it, in order."""
        self._send.send_nowait(event)

    # --- the caller's sockets ---

    async def drive(self, socket: CallSocket) -> None:
        """Lead the caller on this socket, until the socket ends or the call is over.

        Whoever accepted the socket closes it after that. A cancellation does the same, and then the
        dialplan goes on with the caller.
        """
        if self._socket is not None:
            await self._part_from(self._socket)
        returned, self._socket = self._flow.has_begun, socket
        self._is_answered = socket.data.get("Answer-State") == "answered"
        self._stop_watching()
        socket.follow(*FOLLOWED)
        if returned:
            self.deliver(ev.CallerReturned())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, socket, nursery.cancel_scope)
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _part_from(self, socket: CallSocket) -> None:
        """Close the socket of an earlier visit; with `socket_resume` its end would break off this one."""
        with trio.move_on_after(LAST_WORDS_SECONDS):
            await self._set_variables({"socket_resume": "false"})
        socket.close()

    async def _listen(self, socket: CallSocket, scope: trio.CancelScope) -> None:
        hung_up = False
        async for item in socket.events:
            if isinstance(item, ChannelEnded):
                if item.disposition != "linger" or hung_up:
                    continue
                with trio.move_on_after(LAST_WORDS_SECONDS):
                    hung_up = await self._heard_last_words(socket)
                if not hung_up:
                    hung_up = True
                    self.deliver(ev.CallerHungUp("", HungUpBy.CALLER))
            else:
                self._on_caller_event(item)
                hung_up = hung_up or item.name == "CHANNEL_HANGUP_COMPLETE"
            if hung_up:
                break
        if socket is self._socket:
            self._socket = None
            if not hung_up:
                self.deliver(ev.SocketLost())
        scope.cancel()

    async def _heard_last_words(self, socket: CallSocket) -> bool:
        async for item in socket.events:
            if isinstance(item, Event):
                self._on_caller_event(item)
                if item.name == "CHANNEL_HANGUP_COMPLETE":
                    return True
        return False

    def _on_caller_event(self, event: Event) -> None:
        match event.name:
            case "CHANNEL_BRIDGE":
                self.deliver(ev.Bridged(_other_leg(event, self._arrival.uuid)))
            case "CHANNEL_UNBRIDGE":
                self.deliver(ev.Unbridged())
            case "CHANNEL_HANGUP_COMPLETE":
                cause = event.get("Hangup-Cause")
                self.deliver(ev.CallerHungUp(cause, who_hung_up(event), hold_seconds(event)))
            case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application") == "socket":
                if event.get("Answer-State") != "hangup":
                    self.deliver(ev.CallerTaken())
            case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application-UUID") == self._music_uuid:
                # Anything else, such as PLAYBACK ERROR, means that it was broken off.
                response = event.get("Application-Response")
                if response in ("FILE PLAYED", "FILE NOT FOUND"):
                    self.deliver(ev.MusicEnded(played=response == "FILE PLAYED"))

    def _on_leg_event(self, event: Event) -> None:
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            self.deliver(ev.AgentHungUp(event.uuid, event.get("Hangup-Cause")))
        elif event.name == "CHANNEL_BRIDGE":
            # Where the caller had no media yet, FreeSWITCH turns the two around.
            self.deliver(ev.Bridged(event.uuid))

    # --- the life of the call ---

    async def run(self) -> None:
        """Join the queue and live to the end. A cancellation leaves the caller to the dialplan."""
        dispatcher = self._desk.dispatcher
        dispatcher.enter(self._arrival.call, self.deliver)
        try:
            async with trio.open_nursery() as nursery:
                self._perform(nursery, self._join())
                await self._live(nursery)
        finally:
            self._leave()

    async def run_adopted(self, offer: Offer, bridged_at: float) -> None:
        """Follow a talk that was found on the switch, begun at `bridged_at`, to its end."""
        dispatcher = self._desk.dispatcher
        dispatcher.enter(self._arrival.call, self.deliver)
        self._listen_to_leg(offer.leg_uuid)
        try:
            async with trio.open_nursery() as nursery:
                self._perform(nursery, self._flow.adopt(offer, bridged_at, self._desk.clock.now()))
                await self._live(nursery)
        finally:
            self._leave()

    def _join(self) -> list[ev.Effect]:
        dispatcher, arrival = self._desk.dispatcher, self._arrival
        try:
            position = dispatcher.act(lambda distributor, now: distributor.join(arrival, now))
        except QueueFull as full:
            return self._refuse(Reason.FULL, full)
        except QueueEmpty as empty:
            return self._refuse(Reason.EMPTY, empty)
        except UnknownQueue as unknown:
            return self._refuse(Reason.ERROR, unknown)
        self._log.info("call joined", position=position, resumes=arrival.resumes)
        return self._flow.begin(position, self._desk.clock.now())

    def _refuse(self, reason: Reason, why: CallctlError) -> list[ev.Effect]:
        self._log.warning("call refused", reason=reason.value, why=str(why))
        return self._flow.refuse(reason, self._desk.clock.now())

    async def _live(self, nursery: trio.Nursery) -> None:
        while not self._is_over or self._orders:
            event = await self._receive.receive()
            if event is not None:
                self._perform(nursery, self._flow.handle(event, self._desk.clock.now()))
        nursery.cancel_scope.cancel()

    def _leave(self) -> None:
        """Nothing of this call is left anywhere, however it ended."""
        self._over.set()
        self._desk.dispatcher.act(lambda distributor, now: distributor.leave(self._arrival.call, now))
        self._desk.dispatcher.forget(self._arrival.call)
        for leg_uuid in self._legs:
            self._switch.unlisten(leg_uuid)
        self._switch.unlisten(self._arrival.uuid)

    async def hang_up_unbridged_legs(self) -> None:
        """Take back what rings for a call that cannot go on; a talk is left alone."""
        if self._flow.stage in (Stage.RINGING, Stage.BRIDGING):
            for leg_uuid in self._legs:
                await self._switch.hang_up(leg_uuid, "ORIGINATOR_CANCEL")

    def _listen_to_leg(self, leg_uuid: str) -> None:
        self._legs.add(leg_uuid)
        self._switch.listen(leg_uuid, self._on_leg_event)

    # --- effects ---

    def _perform(self, nursery: trio.Nursery, effects: list[ev.Effect]) -> None:
        for effect in effects:
            self._perform_one(nursery, effect)

    def _perform_one(self, nursery: trio.Nursery, effect: ev.Effect) -> None:
        act = self._desk.dispatcher.act
        match effect:
            case ev.Write(fact):
                self._desk.record(fact)
            case ev.PrepareCaller(wait_media):
                self._execute(_ANSWER_OF_MEDIA[wait_media])
                self._is_answered = self._is_answered or wait_media is WaitMedia.ANSWER
            case ev.PlayMusic(sound):
                self._music_uuid = self._desk.ids.uuid()
                self._execute("playback", sound, self._music_uuid)
            case ev.SetCallerVariables(variables):
                self._order(nursery, self._set_variables, variables)
            case ev.Ring(offer):
                self._listen_to_leg(offer.leg_uuid)
                self._order(nursery, self._ring, offer)
            case ev.HangUpLeg(leg_uuid, cause):
                self._order(nursery, self._switch.hang_up, leg_uuid, cause)
            case ev.Bridge(offer, variables):
                self._order(nursery, self._bridge, offer, variables)
            case ev.SettleBridge(offer):
                self._order(nursery, self._settle_bridge, offer)
            case ev.SettleCaller():
                nursery.start_soon(self._watch_caller)
            case ev.HandBack(variables):
                self._order(nursery, self._hand_back, variables)
            case ev.HangUpCaller(cause):
                self._order(nursery, self._switch.hang_up, self._arrival.uuid, cause)
            case ev.ReleaseOffer(offer_id, result, cause):
                act(lambda d, now: d.offer_failed(offer_id, result, cause, now))
            case ev.ReportBridged(offer_id):
                act(lambda d, now: d.bridged(offer_id, now))
            case ev.ReportBridgeFailed(offer_id, caller_gone):
                act(lambda d, now: d.bridge_failed(offer_id, now, caller_gone=caller_gone))
            case ev.ReportTalkEnded(offer_id):
                act(lambda d, now: d.talk_ended(offer_id, now))
            case ev.LeaveQueue():
                act(lambda d, now: d.leave(self._arrival.call, now))
            case ev.StartTimer(timer, seconds):
                self._start_timer(nursery, timer, seconds)
            case ev.StopTimer(timer):
                self._stop_timer(timer)
            case ev.End():
                self._end(nursery)

    def _end(self, nursery: trio.Nursery) -> None:
        record = self._flow.record
        self._log.info(
            "call ended",
            reason=record.reason,
            outcome=record.outcome,
            agent=record.agent,
            cause=record.hangup_cause,
        )
        self._is_over = True
        if self._watch is not None:
            self._stop_watching()
            self._order(nursery, self._switch.unfollow, self._arrival.uuid)
        for timer in list(self._timers):
            self._stop_timer(timer)
        if not self._orders:
            self._over.set()

    def _execute(self, application: str, argument: str = "", event_uuid: str = "") -> None:
        if self._socket is None:
            return
        order = commands.execute(application, argument, event_uuid=event_uuid)
        try:
            self._socket.post(order)
        except WaitEnded:
            self._log.debug("socket ended before an order", application=application)

    # --- orders: each runs to its end, also when the call is over ---

    def _order(
        self, nursery: trio.Nursery, order: Callable[..., Awaitable[None]], *arguments: object
    ) -> None:
        scope = trio.CancelScope()
        self._orders.add(scope)

        async def carry_out() -> None:
            with scope:
                await order(*arguments)
            self._orders.discard(scope)
            if self._is_over and not self._orders:
                self._over.set()
            self._send.send_nowait(None)

        nursery.start_soon(carry_out)

    async def _ring(self, offer: Offer) -> None:
        self._desk.dispatcher.act(lambda d, now: d.offer_ringing(offer.id, now))
        try:
            leg_uuid = await self._switch.ring(offer, self._arrival)
        except AgentUnreached as unreached:
            self._log.info("agent not reached", agent=offer.agent, cause=unreached.cause)
            self.deliver(ev.AgentUnavailable(offer.id, unreached.result, unreached.cause))
            return
        if leg_uuid != offer.leg_uuid:
            self._listen_to_leg(leg_uuid)
        won = self._desk.dispatcher.act(lambda d, now: d.offer_answered(offer.id, now))
        self.deliver(ev.AgentAnswered(offer.id, leg_uuid, won))

    async def _bridge(self, offer: Offer, variables: Mapping[str, str]) -> None:
        way_back = _way_back(self._socket)
        if way_back:
            variables = {**variables, "transfer_after_bridge": way_back}
        try:
            await self._switch.bridge(
                self._arrival.uuid, offer.leg_uuid, variables, answer_first=not self._is_answered
            )
        except WaitEnded as ended:
            self._log.warning("bridge unknown", agent=offer.agent, why=str(ended))
        except EslError as refused:
            self.deliver(ev.BridgeRefused(offer.id, str(refused)))

    async def _settle_bridge(self, offer: Offer) -> None:
        """Ask until the switch says whether the two hear each other; no proof came by itself."""
        while True:
            await self._switch.wait_ready()
            try:
                state = await self._switch.leg_state(offer.leg_uuid)
            except WaitEnded:
                continue
            if state is LegState.BRIDGED:
                self.deliver(ev.Bridged(offer.leg_uuid))
            else:
                self.deliver(ev.BridgeRefused(offer.id, f"no bridge came; the leg is {state.name}"))
            return

    async def _hand_back(self, variables: Mapping[str, str]) -> None:
        """Leave the caller to the dialplan: with `socket_resume` it goes on when our socket ends."""
        await self._set_variables({"socket_resume": "true", **variables})
        if self._socket is None:
            return
        try:
            await self._socket.request(commands.exit_())
        except WaitEnded:
            self._log.debug("socket ended before the hand-back")

    async def _set_variables(self, variables: Mapping[str, str]) -> None:
        """Set variables on the caller: in order and at once over the inbound connection, if it is there."""
        try:
            await self._switch.set_variables(self._arrival.uuid, variables)
        except WaitEnded:
            if self._socket is not None:
                await self._set_variables_by_socket(self._socket, variables)
        except EslError as refused:
            # The caller may be gone by now; the hangup says so by itself.
            self._log.info("variables not set", why=str(refused))

    async def _set_variables_by_socket(self, socket: CallSocket, variables: Mapping[str, str]) -> None:
        """Set them without a lock, so that they do not wait for the end of the music."""
        try:
            socket.post(
                *(
                    commands.execute("set", f"{name}={value}", event_lock=False)
                    for name, value in variables.items()
                )
            )
        except WaitEnded as ended:
            self._log.info("variables not set", why=str(ended))
        await trio.sleep(SET_SECONDS)

    # --- timers, and the caller without a socket ---

    def _start_timer(self, nursery: trio.Nursery, timer: str, seconds: float) -> None:
        self._stop_timer(timer)
        scope = self._timers[timer] = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep(seconds)
                del self._timers[timer]
                self.deliver(ev.TimerFired(timer))

        nursery.start_soon(wait)

    def _stop_timer(self, timer: str) -> None:
        scope = self._timers.pop(timer, None)
        if scope is not None:
            scope.cancel()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _watch_caller(self) -> None:
        """Follow a caller without a socket by the inbound connection, and ask after each loss of it."""
        switch, uuid = self._switch, self._arrival.uuid
        self._stop_watching()
        with trio.CancelScope() as scope:
            self._watch = scope
            switch.listen(uuid, self._on_caller_event)
            core_uuid = switch.core_uuid
            while True:
                with trio.move_on_after(SWITCH_LOST_SECONDS) as patience:
                    await switch.wait_ready()
                if patience.cancelled_caught or switch.core_uuid != core_uuid:
                    self.deliver(ev.SwitchLost())
                    return
                try:
                    await switch.follow(uuid)
                    if not await switch.exists(uuid):
                        self.deliver(ev.CallerHungUp("", HungUpBy.CALLER))
                        return
                except WaitEnded:
                    continue
                await switch.wait_lost()


def _other_leg(event: Event, uuid: str) -> str:
    a_leg, b_leg = event.get("Bridge-A-Unique-ID"), event.get("Bridge-B-Unique-ID")
    return b_leg if a_leg == uuid else a_leg


def _way_back(socket: CallSocket | None) -> str:
    """Return where a bridge that fails sends the caller: to the extension that it came from, or "".

    Without it FreeSWITCH hangs the caller up when the agent's leg ends in the instant of the bridge
    (uuid_bridge_on_soft_execute in switch_ivr_bridge.c).
    """
    if socket is None:
        return ""
    parts = [socket.data.get(f"Caller-{part}") for part in ("Destination-Number", "Dialplan", "Context")]
    # The variable is split at colons and spaces.
    if not all(part and part.isprintable() and not set(part) & set(": ;,'\"$") for part in parts):
        return ""
    return ":".join(parts)
