"""What the switch tells: events are numbered, stamped and filled in here, and handed to the listeners.

The fields are FreeSWITCH's, in its order, as far as a client of a call queue may read them. Media details
(codecs, SDP, SIP headers) and the line of FreeSWITCH's source that made an event are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import define, frozen

from callctl.sim.channel import Channel, State

if TYPE_CHECKING:
    from callctl.sim.listener import Listener

VERSION = "1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit"
"""The version that the recordings come from."""

ANY = ""
"""In place of a channel's UUID: every channel, and what belongs to none."""

EventFields = dict[str, str | list[str]]


@frozen(kw_only=True)
class Identity:
    """What a switch says about itself in every event."""

    name: str
    core_uuid: str

    def fields(self) -> EventFields:
        return {
            "Core-UUID": self.core_uuid,
            "FreeSWITCH-Hostname": self.name,
            "FreeSWITCH-Switchname": self.name,
            "FreeSWITCH-IPv4": "192.0.2.2",
            "FreeSWITCH-IPv6": "fd00::2",
        }


@define
class EventCounts:
    """How many events were made, and how many of them were told to somebody."""

    made: int = 0
    told: int = 0


class EventSource:
    """Makes events in the order of their numbers and hands each to the listeners that asked for it."""

    def __init__(self, identity: Identity, now: Callable[[], float]) -> None:
        self._listeners: dict[str, dict[Listener, None]] = {ANY: {}}
        """The listeners by the one channel that they follow, or ANY: a switch has one for each call. (A dict
        serves as a set that keeps its order.)"""
        self._channel_of: dict[Listener, str] = {}
        self.counts = EventCounts()
        self._identity = identity.fields()
        self._now = now
        self._sequence = 0

    def speak_as(self, identity: Identity) -> None:
        """From now on sign the events like this: every run of FreeSWITCH has a core UUID of its own."""
        self._identity = identity.fields()

    def enlist(self, listener: Listener, uuid: str = ANY) -> None:
        """Let a listener hear of one channel alone, or of everything."""
        self._forget(listener)
        self._listeners.setdefault(uuid, {})[listener] = None
        self._channel_of[listener] = uuid

    def dismiss(self, listener: Listener) -> None:
        """Tell a listener no more; nothing happens when it is told nothing."""
        self._forget(listener)
        self._channel_of.pop(listener, None)

    def _forget(self, listener: Listener) -> None:
        uuid = self._channel_of.get(listener, ANY)
        self._listeners[uuid].pop(listener, None)
        if uuid != ANY and not self._listeners[uuid]:
            del self._listeners[uuid]

    @property
    def listeners(self) -> list[Listener]:
        """All listeners, oldest first."""
        return list(self._channel_of)

    def _interested(self, name: str, subclass: str, uuid: str) -> list[Listener]:
        found = [listener for listener in self._listeners[ANY] if listener.wants(name, subclass)]
        if uuid in self._listeners and uuid != ANY:
            found += [listener for listener in self._listeners[uuid] if listener.wants(name, subclass)]
        return found

    def fire(
        self,
        name: str,
        channel: Channel | None = None,
        extra: Mapping[str, str] | None = None,
        *,
        bare: bool = False,
        body: str = "",
    ) -> None:
        """Tell everybody who asked for events of this `name`; nothing is built where nobody did."""
        self._sequence += 1
        self.counts.made += 1
        about = extra or {}
        uuid = channel.uuid if channel is not None else about.get("Job-Owner-UUID", ANY)
        interested = self._interested(name, about.get("Event-Subclass", ""), uuid)
        if not interested:
            return
        fields = self._stamp(name)
        if channel is not None:
            if "Bridge-A-Unique-ID" in about:
                # switch_ivr_bridge.c adds these before the channel's own data.
                fields.update(about)
            fields.update(channel_fields(channel, bare=bare))
        fields.update(about)
        if body:
            fields["_body"] = body
        for listener in interested:
            if listener.take_event(name, fields):
                self.counts.told += 1

    def stamp(self, name: str) -> EventFields:
        """Return the fields that an answer begins with which is made like an event, and numbered like one."""
        self._sequence += 1
        return self._stamp(name)

    def _stamp(self, name: str) -> EventFields:
        """Return the fields that every event begins with."""
        now = self._now()
        local, gmt = _dates(int(now))
        return {
            "Event-Name": name,
            **self._identity,
            "Event-Date-Local": local,
            "Event-Date-GMT": gmt,
            "Event-Date-Timestamp": microseconds(now),
            "Event-Sequence": str(self._sequence),
        }


@lru_cache(maxsize=64)
def _dates(second: int) -> tuple[str, str]:
    """Return a moment as each event names it; many events come in the same second."""
    moment = datetime.fromtimestamp(second, tz=UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S"), moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def microseconds(at: float) -> str:
    """Return a time as FreeSWITCH writes it: microseconds since the epoch, 0 for never."""
    return str(round(at * 1_000_000))


def channel_fields(channel: Channel, *, bare: bool = False) -> EventFields:
    """Return what an event tells about a channel (switch_channel_event_set_data)."""
    fields: EventFields = {
        "Channel-State": f"CS_{channel.running.name}",
        "Channel-Call-State": channel.call_state,
        "Channel-State-Number": str(channel.state.value),
        "Channel-Name": channel.name,
        "Unique-ID": channel.uuid,
        "Call-Direction": channel.variable("direction"),
        "Presence-Call-Direction": channel.variable("direction"),
        "Channel-HIT-Dialplan": str(not channel.is_outbound).lower(),
        "Channel-Presence-ID": channel.variable("presence_id"),
        "Channel-Call-UUID": channel.variable("call_uuid"),
        "Answer-State": channel.answer_state,
    }
    if not fields["Channel-Presence-ID"]:
        del fields["Channel-Presence-ID"]
    if channel.hangup_cause:
        fields["Hangup-Cause"] = channel.hangup_cause
    if channel.running is not State.NEW:
        # A call that just arrives has no caller profile yet.
        fields.update(profile_fields("Caller", channel))
    if channel.other is not None:
        fields["Other-Type"] = "originator" if channel.is_outbound else "originatee"
        fields.update(profile_fields("Other-Leg", channel.other))
    if not bare:
        for name, value in channel.variables.items():
            fields[f"variable_{name}"] = value
    return fields


def profile_fields(prefix: str, channel: Channel) -> EventFields:
    """Return a channel's caller profile and times under `prefix` (switch_caller_profile_event_set_data)."""
    profile, times = channel.profile, channel.times
    fields: EventFields = {
        f"{prefix}-Direction": channel.variable("direction"),
        f"{prefix}-Logical-Direction": channel.variable("direction"),
        **({} if channel.is_outbound else {f"{prefix}-Dialplan": "XML"}),
        f"{prefix}-Caller-ID-Name": profile.caller_id_name,
        f"{prefix}-Caller-ID-Number": profile.caller_id_number,
        f"{prefix}-Orig-Caller-ID-Name": profile.caller_id_name,
        f"{prefix}-Orig-Caller-ID-Number": profile.caller_id_number,
        f"{prefix}-Network-Addr": profile.network_address,
        f"{prefix}-ANI": profile.caller_id_number,
        f"{prefix}-Destination-Number": profile.destination,
        f"{prefix}-Unique-ID": channel.uuid,
        f"{prefix}-Source": "src/switch_ivr_originate.c" if channel.is_outbound else "mod_sofia",
        f"{prefix}-Context": profile.context,
        f"{prefix}-Channel-Name": channel.name,
        f"{prefix}-Profile-Created-Time": microseconds(times.profile_created),
        f"{prefix}-Channel-Created-Time": microseconds(times.created),
        f"{prefix}-Channel-Answered-Time": microseconds(times.answered),
        f"{prefix}-Channel-Progress-Time": microseconds(times.progress),
        f"{prefix}-Channel-Progress-Media-Time": microseconds(times.progress_media),
        f"{prefix}-Channel-Hangup-Time": microseconds(times.hangup),
        f"{prefix}-Channel-Transfer-Time": microseconds(times.transferred),
        f"{prefix}-Channel-Bridged-Time": microseconds(times.bridged),
        f"{prefix}-Channel-Last-Hold": microseconds(times.last_hold),
        f"{prefix}-Channel-Hold-Accum": microseconds(times.hold_accum),
        f"{prefix}-Screen-Bit": "true",
        f"{prefix}-Privacy-Hide-Name": "false",
        f"{prefix}-Privacy-Hide-Number": "false",
    }
    # An empty field is left out, as FreeSWITCH adds only what is set.
    return {name: value for name, value in fields.items() if value}


def profile_field(channel: Channel, name: str) -> str:
    """Return a field of the caller profile by the name of a variable (switch_caller_get_field_by_name)."""
    times = channel.times
    fields = {
        "created_time": microseconds(times.created),
        "profile_created_time": microseconds(times.profile_created),
        "destination_number": channel.profile.destination,
        "context": channel.profile.context,
    }
    return fields.get(name, "")


Q850 = {
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_DESTINATION": 3,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "DESTINATION_OUT_OF_ORDER": 27,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "CHAN_NOT_IMPLEMENTED": 66,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
}
"""The ITU numbers of the causes that callctl is to expect; FreeSWITCH's own causes count as 16."""


def report_variables(channel: Channel) -> dict[str, str]:
    """Return the variables that FreeSWITCH sets when a channel is over (switch_channel_set_timestamps)."""
    times = channel.times
    ended = times.hangup

    def between(start: float, end: float) -> float:
        return max(0.0, end - start) if start and end else 0.0

    durations = {
        "duration": between(times.created, ended),
        "billsec": between(times.answered, ended),
        "progresssec": between(times.created, times.progress),
        "answersec": between(times.created, times.answered),
        "waitsec": between(times.created, times.bridged),
    }
    stamps = {
        "start": times.created,
        "answer": times.answered,
        "bridge": times.bridged,
        "last_hold": times.last_hold,
        "progress": times.progress,
        "progress_media": times.progress_media,
        "end": ended,
    }
    found = {
        "hangup_cause": channel.hangup_cause,
        "hangup_cause_q850": str(Q850.get(channel.hangup_cause, 16)),
        "digits_dialed": channel.digits_dialed or "none",
        "sip_hangup_disposition": channel.hangup_disposition,
    }
    for name, at in stamps.items():
        found[f"{name}_epoch"] = str(int(at))
        found[f"{name}_uepoch"] = microseconds(at)
    found["hold_accum_seconds"] = str(int(times.hold_accum))
    found["hold_accum_ms"] = str(int(times.hold_accum * 1000))
    found["hold_accum_usec"] = microseconds(times.hold_accum)
    for name, seconds in durations.items():
        found[name] = str(int(seconds))
    found["mduration"] = str(int(durations["duration"] * 1000))
    found["billmsec"] = str(int(durations["billsec"] * 1000))
    return {name: value for name, value in found.items() if value}
