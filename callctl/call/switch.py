"""One FreeSWITCH server as the calls see it: orders on its inbound connection, events to whom they concern.

The orders that concern an agent's leg and the bridge go this way, because they must work without the
caller's socket, and after a restart. The subscription is as small as it can be: every event costs the
switch CPU time for each connection that it goes to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from random import Random
from typing import Literal

import structlog
import trio

from callctl.call.events import MediaKind
from callctl.call.ringing import ACCEPTED_VARIABLE, AgentUnreached, RingingLeg, applications_of, unreached
from callctl.call.switch_clock import SwitchClock
from callctl.call.switch_media import SwitchMedia
from callctl.call.switch_presence import SWITCH_LOST_SECONDS, SwitchPresence
from callctl.call.variables import Prelude, bridged_seconds, bridged_with, callback_variables, leg_variables
from callctl.errors import CallctlError, CommandRefused, EslError, WaitEnded
from callctl.esl import commands
from callctl.esl.connection import PendingReply
from callctl.esl.inbound import PendingJob, SwitchLink
from callctl.esl.wire import Event, channel_of
from callctl.ids import Ids, is_leg_of
from callctl.model import Arrival, Offer, OfferResult
from callctl.records.caller_identity import number_to_dial

log = structlog.get_logger(__name__)

EVENTS = (
    "BACKGROUND_JOB",
    "HEARTBEAT",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HANGUP_COMPLETE",
)
FILTERS = (
    ("Event-Name", "BACKGROUND_JOB"),
    ("Event-Name", "HEARTBEAT"),
    ("variable_cc_side", "agent"),
)
"""Filters are OR-ed: these, and the callers whom we follow without a socket, are all we hear of."""

PHONE_EVENTS = ("CHANNEL_CREATE",)
REGISTRATION_EVENTS = ("sofia::register", "sofia::unregister", "sofia::expire")
PHONE_FILTERS = (("Channel-Presence-ID", "/./"), ("Event-Subclass", "/^sofia::/"))
"""Only phones of the directory have a presence ID; calls of a trunk have none, and cost nothing here."""

JOB_GRACE_SECONDS = 2.0
"""What an originate may take beyond its own timeout before its result counts as lost: less than the lease,
so that it is settled by asking before the lease ends it."""

CALLER_RING_SECONDS = 20.0
"""How long a caller who is called back may take to answer, with an agent on the line."""

SETTLE_INTERVAL_SECONDS = 0.25
"""How often a leg is asked for while it is unknown whether it was answered."""

PARK_QUESTION_SECONDS = 3.0
"""How often FreeSWITCH is asked whether an agent has heard all that comes before the caller, while no event
says so: seldom, as the event comes unless a connection was lost."""

KILL_RETRY_SECONDS = 0.05
"""How soon a leg is killed again that had no channel yet: an originate begins in a thread of its own."""


class LegState(Enum):
    """What the switch says of a leg."""

    GONE = auto()
    RINGING = auto()
    ANSWERED = auto()
    BRIDGED = auto()


class Switch:
    """The orders that calls give to one switch, and the way of its events to them."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        password: str,
        ids: Ids,
        random: Random,
        owner: str = "",
        has_preludes: bool = False,
        watches_phones: bool = False,
        open_stream: Callable[[str, int], Awaitable[trio.abc.Stream]] | None = None,
    ) -> None:
        """`owner` names this callctl on the legs that it rings, so that another one lets them be.
        `has_preludes`: agents of some queue hear or press something before they get a caller.
        `watches_phones`: also hear of registrations, and of calls of the directory's users.

        `open_stream` connects to a host and port; None means TCP.
        """
        self.host = host
        self.clock = SwitchClock()
        """What its times are on our clock."""
        self.media = SwitchMedia(name)
        """What this switch can play, and what it could not."""
        self._owner = owner
        self.link = SwitchLink(
            name=name,
            host=host,
            port=port,
            password=password,
            ids=ids,
            random=random,
            on_event=self._on_event,
            on_up=self._on_up,
            on_down=self._on_down,
            on_failed_attempt=lambda attempt: self.presence.miss(name, attempt),
            open_stream=open_stream,
            events=(
                *EVENTS,
                *(["CHANNEL_PARK"] if has_preludes else []),
                *(PHONE_EVENTS if watches_phones else []),
            ),
            custom_events=REGISTRATION_EVENTS if watches_phones else (),
            filters=(*FILTERS, *(PHONE_FILTERS if watches_phones else [])),
        )
        self.on_other_event: Callable[[Event], None] = _nothing_to_do
        """Gets the events that concern no call of ours: those of the phones."""
        self.on_readiness: Callable[[bool], None] = _nothing_to_do
        """Called when the switch becomes ready for orders, and when it is so no more."""
        self.core_uuid = ""
        """FreeSWITCH's own name for this run of it; another one after a restart."""
        self.reconcile: Callable[[Switch], Awaitable[None]] = _no_reconciliation
        """Called after each login, before the switch counts as ready."""
        self.presence = SwitchPresence()
        self._listeners: dict[str, Callable[[Event], None]] = {}
        self._ringing: dict[str, RingingLeg] = {}
        self._held_back: dict[str, trio.CancelScope] = {}
        self._dialling: set[str] = set()
        self._followers: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The switch's name in the configuration."""
        return self.link.name

    @property
    def is_ready(self) -> bool:
        """Say whether the switch is connected and reconciled."""
        return self.presence.is_ready

    async def widen(self, *, has_preludes: bool, watches_phones: bool) -> None:
        """Hear of what a new configuration needs besides; what it needs no more is still heard of."""
        events = [*(["CHANNEL_PARK"] if has_preludes else []), *(PHONE_EVENTS if watches_phones else [])]
        custom = REGISTRATION_EVENTS if watches_phones else ()
        filters = PHONE_FILTERS if watches_phones else ()
        try:
            await self.link.widen(events, custom, filters)
        except EslError as error:
            log.info("events are asked for when the switch is back", switch=self.name, why=str(error))

    async def run(self) -> None:
        """Keep the connection up for ever. A cancellation closes it."""
        self.presence.begin()
        await self.link.run()

    async def wait_ready(self) -> None:
        """Wait until the switch is connected and what we know of it is true."""
        await self.presence.wait_ready()

    async def wait_lost(self) -> None:
        """Wait until a connection that is up is lost."""
        await self.presence.wait_lost()

    async def _on_up(self, link: SwitchLink) -> None:
        self.presence.come_up()
        self.core_uuid = await link.api(commands.global_getvar("core_uuid"))
        self.presence.be_identified()
        await self.reconcile(self)
        self.presence.be_ready()
        self.on_readiness(True)

    def _on_down(self, why: str) -> None:
        if self.is_ready:
            self.on_readiness(False)
        self.presence.go_down(self.link.lost_at)
        self._followers.clear()

    # --- events ---

    def listen(self, uuid: str, listener: Callable[[Event], None]) -> None:
        """From now on `listener` gets the events of channel `uuid` that come on this connection."""
        self._listeners[uuid] = listener

    def unlisten(self, uuid: str, listener: Callable[[Event], None]) -> None:
        """The channel's events concern `listener` no more; they may concern another one by now."""
        if self._listeners.get(uuid) == listener:
            del self._listeners[uuid]

    def listens(self, uuid: str) -> bool:
        """Say whether some call is concerned with channel `uuid`."""
        return uuid in self._listeners

    def listened(self) -> frozenset[str]:
        """Return the channels that some call is concerned with."""
        return frozenset(self._listeners)

    def _on_event(self, event: Event) -> None:
        """Hand an event to the call that it concerns. Never waits."""
        if (parked := self._ringing.get(event.uuid)) is not None:
            parked.take(event)
        listener = self._listeners.get(event.uuid)
        if listener is not None:
            listener(event)
        else:
            self.on_other_event(event)

    def is_own_leg(self, leg: Event) -> bool:
        """Say whether this leg, of an agent or of a caller who is called back, was rung by this callctl.

        That may have been before a restart.
        """
        return leg.variable("cc_side") in ("agent", "member") and leg.variable("callctl_owner") == self._owner

    async def follow(self, uuid: str) -> None:
        """Have the events of channel `uuid` come on this connection, until it is lost."""
        self._followers[uuid] += 1
        if self._followers[uuid] == 1:
            try:
                await self.link.add_filter("Unique-ID", uuid)
            except EslError:
                del self._followers[uuid]
                raise

    async def unfollow(self, uuid: str) -> None:
        """Take one `follow` back, after which others may still hear; a lost connection takes back all."""
        if self._followers[uuid] > 1:
            self._followers[uuid] -= 1
            return
        if not self._followers.pop(uuid, 0):
            return
        try:
            await self.link.remove_filter("Unique-ID", uuid)
        except EslError as error:
            log.debug("filter not removed", uuid=uuid, why=str(error))

    # --- orders ---

    def ring(self, offer: Offer, arrival: Arrival, prelude: Prelude) -> Awaitable[str]:
        """Originate the agent's leg of `offer`, at once where the switch is ready.

        What is returned must be awaited: for the UUID of the leg, once it is answered, and has accepted. It
        raises AgentUnreached. A lost connection or a lost result is settled by asking the switch. A
        cancellation leaves the leg ringing; `hang_up` ends it.
        """
        leg = self._ringing[offer.leg_uuid] = RingingLeg()
        if self.is_ready:
            leg.dialled = self._dial(offer, arrival, prelude)
        return self._answered(leg, offer, arrival, prelude)

    async def _answered(self, leg: RingingLeg, offer: Offer, arrival: Arrival, prelude: Prelude) -> str:
        try:
            if leg.dialled is None:
                await self._hold_back(offer)
                leg.dialled = self._dial(offer, arrival, prelude)
            with leg.patience:
                leg_uuid = await self._result_of(leg, leg.dialled, offer)
            if leg.patience.cancelled_caught:
                raise unreached(leg.hangup_cause, leg.hangup)
            if prelude:
                await self._await_acceptance(leg_uuid, leg, prelude)
                if prelude.sound and leg.event.is_set() and not leg.has_heard:
                    self.media.failed(MediaKind.WHISPER, prelude.sound, offer.queue)
        finally:
            del self._ringing[offer.leg_uuid]
        return leg_uuid

    async def _hold_back(self, offer: Offer) -> None:
        with trio.move_on_after(offer.ring_timeout) as patience:
            self._held_back[offer.leg_uuid] = patience
            await self.wait_ready()
        del self._held_back[offer.leg_uuid]
        if patience.cancelled_caught:
            raise AgentUnreached(OfferResult.CANCELLED, f"switch {self.name} is not connected")

    async def ring_caller(self, uuid: str, dialstring: str, arrival: Arrival) -> str:
        """Call a caller back as channel `uuid`; return its UUID once answered, and parked.

        Raises AgentUnreached with FreeSWITCH's cause. A lost result is settled by asking the switch.
        """
        number = number_to_dial(arrival.caller_number)
        if not number:
            raise AgentUnreached(OfferResult.FAILED, "the caller's number cannot be dialled")
        self._dialling.add(uuid)
        try:
            order = commands.originate(
                leg_uuid=uuid,
                dialstring=dialstring.replace("{number}", number),
                timeout=CALLER_RING_SECONDS,
                variables=callback_variables(arrival, self._owner),
            )
            job = await self.link.job(order, timeout_seconds=CALLER_RING_SECONDS + JOB_GRACE_SECONDS)
        except WaitEnded as ended:
            log.warning("originate unknown", leg=uuid, call=arrival.call, why=str(ended))
            # However long that takes: who has picked up must not be let go because we could not hear it.
            return await self._settle_ring(uuid, SWITCH_LOST_SECONDS)
        except CallctlError as refused:
            raise AgentUnreached(OfferResult.FAILED, str(refused)) from refused
        finally:
            self._dialling.discard(uuid)
        if not job.ok:
            raise AgentUnreached(OfferResult.FAILED, job.text.removeprefix("-ERR").strip())
        return job.text.removeprefix("+OK").strip() or uuid

    def _dial(self, offer: Offer, arrival: Arrival, prelude: Prelude) -> PendingJob | CallctlError:
        """Post the order to ring, and return its result to come, or why there will be none."""
        self._dialling.add(offer.leg_uuid)
        try:
            order = commands.originate(
                leg_uuid=offer.leg_uuid,
                dialstring=offer.contact,
                timeout=offer.ring_timeout,
                variables=leg_variables(arrival, offer, self._owner) | prelude.variables,
                applications=applications_of(prelude),
            )
            return self.link.post_job(order)
        except CallctlError as error:
            return error

    async def _result_of(self, leg: RingingLeg, dialled: PendingJob | CallctlError, offer: Offer) -> str:
        try:
            if isinstance(dialled, CallctlError):
                raise dialled
            job = await dialled.wait(offer.ring_timeout + JOB_GRACE_SECONDS)
        except WaitEnded as ended:
            log.warning("originate unknown", leg=offer.leg_uuid, agent=offer.agent, why=str(ended))
            return await self._settle_ring(offer.leg_uuid, offer.ring_timeout)
        except CallctlError as refused:
            raise AgentUnreached(OfferResult.FAILED, str(refused)) from refused
        finally:
            self._dialling.discard(offer.leg_uuid)
        if job.ok:
            return job.text.removeprefix("+OK").strip() or offer.leg_uuid
        raise await leg.failure(job.text.removeprefix("-ERR").strip())

    async def _await_acceptance(self, leg_uuid: str, leg: RingingLeg, prelude: Prelude) -> None:
        """Wait until the agent has heard, and pressed, what there is. The agent who does not is not there."""
        with trio.move_on_after(prelude.longest_seconds):
            while not await self._has_parked(leg_uuid, leg):
                log.debug("the agent hears on", leg=leg_uuid)
        if leg.hangup_cause:
            raise AgentUnreached(OfferResult.NO_ANSWER, leg.hangup_cause, reached=True)
        if not prelude.key:
            return
        pressed = leg.pressed if leg.event.is_set() else await self._pressed(leg_uuid)
        if pressed != prelude.key:
            await self.hang_up(leg_uuid, "NO_USER_RESPONSE")
            why = "the agent did not accept the call"
            raise AgentUnreached(OfferResult.NO_ANSWER, why, reached=True)

    async def _has_parked(self, leg_uuid: str, leg: RingingLeg) -> bool:
        """Wait a while for the end of the prelude, and say whether it has come.

        FreeSWITCH is asked as well: the event that tells may have been lost with a connection.
        """
        with trio.move_on_after(PARK_QUESTION_SECONDS):
            await leg.event.wait()
            return True
        try:
            return await self.link.api(commands.uuid_getvar(leg_uuid, "current_application")) == "park"
        except EslError as error:
            log.info("the end of a prelude cannot be asked for", leg=leg_uuid, why=str(error))
            return False

    async def _pressed(self, leg_uuid: str) -> str:
        """Ask which key the agent pressed: the event that tells may have been lost with a connection."""
        try:
            return await self.link.api(commands.uuid_getvar(leg_uuid, ACCEPTED_VARIABLE))
        except EslError as error:
            raise AgentUnreached(OfferResult.UNKNOWN, str(error)) from error

    async def _settle_ring(self, leg_uuid: str, ring_timeout: float) -> str:
        with trio.move_on_after(ring_timeout + JOB_GRACE_SECONDS):
            while True:
                await self.wait_ready()
                try:
                    state = await self.leg_state(leg_uuid)
                except WaitEnded:
                    await trio.sleep(SETTLE_INTERVAL_SECONDS)
                    continue
                if state is LegState.GONE:
                    raise AgentUnreached(OfferResult.UNKNOWN, "the leg is gone, its result was lost")
                if state is not LegState.RINGING:
                    return leg_uuid
                await trio.sleep(SETTLE_INTERVAL_SECONDS)
        raise AgentUnreached(OfferResult.UNKNOWN, "the switch did not say what became of the leg")

    async def hang_up(self, leg_uuid: str, cause: str) -> None:
        """Hang up a leg, also one whose originate has no channel yet. A leg that is gone is fine.

        Where the connection is lost meanwhile, the next one does it, unless that takes too long.
        """
        if (patience := self._held_back.get(leg_uuid)) is not None:
            patience.cancel()
            return
        with trio.move_on_after(SWITCH_LOST_SECONDS):
            while not await self._has_hung_up(leg_uuid, cause):
                await trio.sleep(KILL_RETRY_SECONDS)
                await self.link.wait_up()

    async def _has_hung_up(self, leg_uuid: str, cause: str) -> bool:
        try:
            await self.link.api(commands.uuid_kill(leg_uuid, cause))
        except CommandRefused:
            return leg_uuid not in self._dialling
        except WaitEnded:
            return False
        return True

    async def set_variables(self, uuid: str, variables: Mapping[str, str]) -> None:
        """Set channel variables, in order; an empty value unsets one. Raises CommandRefused, WaitEnded."""
        (await self.post_variables(uuid, variables).wait()).require_ok()

    def post_variables(self, uuid: str, variables: Mapping[str, str]) -> PendingReply:
        """Set channel variables without waiting for the reply. Raises WaitEnded."""
        [slot] = self.link.post_api(commands.uuid_setvar_multi(uuid, variables))
        return slot

    def bridge(
        self, caller_uuid: str, leg_uuid: str, variables: Mapping[str, str], *, answer_first: bool
    ) -> PendingReply:
        """Order the bridge, in one write, after `variables` are set on the caller; returns its reply's slot.

        The reply proves nothing but that the switch took the order; CHANNEL_BRIDGE is the proof. Raises
        WaitEnded when the switch is not connected.
        """
        orders = [
            commands.uuid_setvar_multi(caller_uuid, variables),
            commands.uuid_bridge(caller_uuid, leg_uuid),
        ]
        if answer_first:
            orders.insert(0, commands.uuid_answer(caller_uuid))
        return self.link.post_api(*orders)[-1]

    async def record(self, uuid: str, path: str) -> None:
        """Record both sides of a channel's talk into the file `path`. Raises CommandRefused, WaitEnded."""
        await self.link.api(commands.uuid_record(uuid, path))

    async def pause_recording(self, uuid: str, path: str, *, is_paused: bool) -> None:
        """Pause what `record` began, or go on with it. Raises CommandRefused, WaitEnded."""
        action: Literal["pause", "resume"] = "pause" if is_paused else "resume"
        await self.link.api(commands.uuid_record(uuid, path, action=action))

    async def stop_recording(self, uuid: str, path: str) -> None:
        """End what `record` began. Raises CommandRefused, WaitEnded."""
        await self.link.api(commands.uuid_record(uuid, path, action="stop"))

    async def leg_state(self, uuid: str) -> LegState:
        """Ask how a leg stands. Raises WaitEnded when the switch does not say."""
        try:
            leg = channel_of(await self.link.api(commands.uuid_dump(uuid)))
        except CommandRefused:
            return LegState.GONE
        if leg.get("Answer-State") == "hangup":
            return LegState.GONE
        if bridged_with(leg):
            return LegState.BRIDGED
        return LegState.ANSWERED if leg.get("Answer-State") == "answered" else LegState.RINGING

    async def bridged_seconds(self, uuid: str) -> float:
        """Ask for how long a leg has been bridged; 0 where it is gone. Raises WaitEnded."""
        try:
            leg = channel_of(await self.link.api(commands.uuid_dump(uuid)))
        except CommandRefused:
            return 0.0
        return bridged_seconds(leg) or 0.0

    def may_have_rung(self, uuid: str) -> bool:
        """Say whether a leg with this UUID may be one that this callctl rang; see `is_own_leg`."""
        return is_leg_of(self._owner, uuid)

    async def exists(self, uuid: str) -> bool:
        """Ask whether a channel exists. Raises WaitEnded when the switch does not say."""
        return await self.link.api(commands.uuid_exists(uuid)) == "true"


async def _no_reconciliation(switch: Switch) -> None:
    """Until the server says better, a switch is believed to be empty."""


def _nothing_to_do(_: object) -> None:
    """Until somebody wants to know, events of phones are dropped, and a switch becomes ready in silence."""
