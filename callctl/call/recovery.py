"""After each connection to a switch: what is really there, before anything is decided on it.

The truth is the switch. Its channels and their variables say which agents' legs live and who talks; the
store's open rows say who was there before. A leg that rings for nobody is hung up, a talk is followed to
its end, and a row whose caller is gone is closed. Callers who wait come back by themselves: their
dialplan keeps knocking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence

import structlog
import trio
from attrs import evolve

from callctl.call.events import CallerHungUp
from callctl.call.reception import Reception
from callctl.call.session import Desk
from callctl.call.switch import Switch
from callctl.call.variables import arrival_from
from callctl.errors import UnknownAgent, WaitEnded
from callctl.esl import commands
from callctl.esl.wire import Event
from callctl.model import (
    HEALED,
    OUTCOME_OF_REASON,
    Arrival,
    CallEvent,
    CallRecord,
    CallState,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Reason,
)

WATCH_SECONDS = 30.0
"""How often a switch is compared with what we believe of it: one command for each call."""

log = structlog.get_logger(__name__)


class Recovery:
    """Brings a switch, the store's open rows and the living sessions to one truth."""

    def __init__(
        self,
        *,
        desk: Desk,
        reception: Reception,
        known_calls: MutableMapping[str, CallRecord],
        known_offers: Sequence[OfferRecord],
        default_queue: str,
    ) -> None:
        """`known_calls` and `known_offers` are the rows that had not ended when callctl did."""
        self._desk = desk
        self._reception = reception
        self._known_calls = known_calls
        self._known_offers = list(known_offers)
        self._default_queue = default_queue

    async def reconcile(self, switch: Switch) -> None:
        """Compare with `switch`, and heal. Raises WaitEnded when the connection is lost meanwhile."""
        offers = self._take_offers_of(switch)
        channels = await self._channels(switch, [offer.leg_uuid for offer in offers])
        self._close_offers(offers, channels)
        for leg in channels.values():
            if switch.is_own_leg(leg) and not switch.listens(leg.uuid):
                await self._settle_leg(switch, leg, channels)
        await self._close_rows(switch, channels)

    async def watch(self, switch: Switch) -> None:
        """Compare with `switch` for ever, and heal what no event told of: a fault elsewhere, each time."""
        missing_before: set[str] = set()
        while True:
            await trio.sleep(WATCH_SECONDS)
            if not switch.is_ready:
                missing_before = set()
                continue
            try:
                await self.reconcile(switch)
                missing_before = await self._miss_callers(switch, missing_before)
            except WaitEnded as ended:
                log.info("the watch was cut short", switch=switch.name, why=str(ended))

    async def _miss_callers(self, switch: Switch, missing_before: set[str]) -> set[str]:
        """End the calls whose caller was gone twice in a row; return those who are gone for the first time.

        Once is not enough: the hangup may be on its way to us.
        """
        missing = set()
        for session in list(self._reception.sessions.values()):
            arrival = session.record.arrival
            if session.is_over or arrival.switch != switch.name or not arrival.uuid:
                continue
            if await switch.exists(arrival.uuid):
                continue
            missing.add(arrival.call)
            if arrival.call in missing_before:
                self._heal(arrival.call, "the caller is gone, and no event said so")
                session.deliver(CallerHungUp("", HungUpBy.CALLER))
        return missing

    def _heal(self, call: str, what: str) -> None:
        log.warning("healed", call=call, what=what)
        self._desk.record(CallEvent(call=call, at=self._desk.clock.now(), event=HEALED, detail=what))

    def _take_offers_of(self, switch: Switch) -> list[OfferRecord]:
        """Return the open rows of agents who were rung on `switch`; each is settled once."""
        calls = {call for call, record in self._known_calls.items() if record.arrival.switch == switch.name}
        offers = [offer for offer in self._known_offers if offer.call in calls]
        self._known_offers = [offer for offer in self._known_offers if offer.call not in calls]
        return offers

    async def _channels(self, switch: Switch, legs: Sequence[str]) -> dict[str, Event]:
        """Return the channels that live: those that are shown, and those of ours that the rows name.

        `show channels` reads a table that FreeSWITCH writes up to a second later.
        """
        shown = json.loads(await switch.link.api(commands.show_channels()))
        records = [record for record in self._known_calls.values() if record.arrival.switch == switch.name]
        uuids = {row["uuid"] for row in shown.get("rows", [])}
        uuids.update(legs, (record.arrival.uuid for record in records))
        uuids.update(record.agent_uuid for record in records if record.agent_uuid)
        channels = {}
        for uuid, pending in zip(uuids, switch.link.post_api(*map(commands.uuid_dump, uuids)), strict=True):
            reply = await pending.wait()
            if reply.ok:  # else it has ended
                channels[uuid] = Event("CHANNEL_DATA", json.loads(reply.text))
        return channels

    def _close_offers(self, offers: Sequence[OfferRecord], channels: Mapping[str, Event]) -> None:
        """End the rows of agents who were being rung when nobody was there to hear of it."""
        now = self._desk.clock.now()
        for offer in offers:
            leg = channels.get(offer.leg_uuid)
            is_bridged = leg is not None and leg.get("Channel-State") == "CS_EXCHANGE_MEDIA"
            result = OfferResult.ANSWERED if is_bridged else OfferResult.UNKNOWN
            self._desk.record(evolve(offer, ended_at=now, result=result, cause="callctl was restarted"))

    async def _settle_leg(self, switch: Switch, leg: Event, channels: Mapping[str, Event]) -> None:
        if leg.get("Channel-State") != "CS_EXCHANGE_MEDIA":
            self._heal(leg.variable("callctl_call"), f"leg {leg.uuid} rang for nobody, and was hung up")
            await switch.hang_up(leg.uuid, "ORIGINATOR_CANCEL")
            return
        # A caller who was called back has another channel than the one that asked for it.
        caller = channels.get(leg.variable("cc_member_uuid")) or channels.get(leg.variable("bridge_uuid"))
        if caller is None:
            log.warning("an agent talks with somebody whom we do not know", leg=leg.uuid, switch=switch.name)
            return
        self._adopt(switch, leg, caller)

    def _adopt(self, switch: Switch, leg: Event, caller: Event) -> None:
        now = self._desk.clock.now()
        known = self._known_calls.get(leg.variable("callctl_call"))
        arrival = known.arrival if known else self._arrival(switch, leg, caller, now)
        bridged_at = _bridged_at(caller) or now
        try:
            offer = self._desk.dispatcher.act(
                lambda distributor, at: distributor.adopt_talk(
                    arrival, leg.variable("cc_agent"), leg.uuid, bridged_at, at
                )
            )
        except UnknownAgent as unknown:
            log.warning("a talk cannot be followed", call=arrival.call, why=str(unknown))
            return
        log.info("following a talk", call=arrival.call, agent=offer.agent, uuid=arrival.uuid)
        self._reception.adopt(arrival, switch, offer, bridged_at)

    def _arrival(self, switch: Switch, leg: Event, caller: Event, now: float) -> Arrival:
        """Read from the channels alone what the store does not know."""
        arrival = arrival_from(
            caller,
            switch=switch.name,
            default_queue=self._default_queue,
            new_call=leg.variable("callctl_call"),
            now=now,
        )
        return evolve(arrival, call=leg.variable("callctl_call"), queue=leg.variable("cc_queue"))

    async def _close_rows(self, switch: Switch, channels: Mapping[str, Event]) -> None:
        """End the rows of callers who hung up while nobody looked, with what the switch knows."""
        now = self._desk.clock.now()
        started_at = now - float(await switch.link.api("uptime"))
        for call, record in list(self._known_calls.items()):
            if record.arrival.switch != switch.name or record.arrival.uuid in channels:
                continue
            del self._known_calls[call]
            lost = started_at > record.arrival.arrived_at
            reason = record.reason or (Reason.SWITCH_LOST if lost else Reason.CALLER_HANGUP)
            self._desk.record(
                evolve(
                    record,
                    state=CallState.ENDED,
                    reason=reason,
                    outcome=OUTCOME_OF_REASON[reason],
                    hung_up_by=HungUpBy.SWITCH if lost else None,
                    ended_at=now,
                )
            )
            self._desk.record(CallEvent(call=call, at=now, event="closed-after-restart"))


def _bridged_at(caller: Event) -> float | None:
    microseconds = caller.get("Caller-Channel-Bridged-Time", "0")
    return int(microseconds) / 1e6 if microseconds.isdigit() and microseconds != "0" else None
