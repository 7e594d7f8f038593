"""The channel variables that callctl reads and sets: how a place in the queue travels with the call.

Whoever loses the store can rebuild a caller's place from these, and a dialplan can branch on them.
The names are the public interface.
"""

from __future__ import annotations

import re

from attrs import frozen

from callctl.call.events import PastTalk
from callctl.call.visits import (
    ACCOUNT,
    account_in,
    account_variables,
    place_variables,
    visit_variables,
    with_place,
)
from callctl.esl.commands import SET_BY_ORIGINATE, harmless, is_variable_name
from callctl.esl.wire import Event
from callctl.model import DEFAULT_ACCOUNT, Arrival, HungUpBy, Offer, QueueSettings, Reason, prelude_seconds
from callctl.records.caller_id import caller_id_name, caller_id_number
from callctl.records.caller_identity import number_to_dial
from callctl.records.names import is_visit_key

_CALLER_DISPOSITIONS = frozenset({"recv_bye", "recv_cancel", "recv_refuse"})
"""variable_sip_hangup_disposition where the far end, that is the caller, ended the leg."""

_TRANSFERS = frozenset({"BLIND_TRANSFER", "ATTENDED_TRANSFER"})
"""The causes with which the switch ends the leg of one who has transferred the other side."""

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{0,9})?")
_MICROSECONDS = re.compile(r"[1-9]\d{0,18}")

KEYS_END_NOTHING = {"playback_terminators": "none"}
"""What callctl plays goes on when a key is pressed. FreeSWITCH would end it by `*`."""

KEYS_AS_USUAL = {"playback_terminators": ""}
"""Once the caller is not ours: an empty value unsets, and FreeSWITCH has its `*` again."""

HOME = "callctl_way_back"
"""The variable that tells by which extension a waiting caller has come, as `way_back` writes it."""

ENTERED = "callctl_entered_uepoch"
"""When a caller came to a queue's dialplan, by the switch's clock in microseconds. callctl may have been away
then, or have stood still: whoever came first is to be served first."""

REFUSED = "callctl_refused_epoch"
"""Since when there was no room for a caller: whoever came first is to be served first."""


def entered_at(data: Event) -> float | None:
    """Return when the caller of `data` came to the queue's dialplan, in seconds of the switch's clock.

    None where the channel does not tell, or tells of a time before it was there.
    """
    entered = _microseconds(data.variable(ENTERED))
    created = _microseconds(data.get("Caller-Channel-Created-Time"))
    return entered if entered is not None and created is not None and entered >= created else None


def told_at(data: Event) -> float | None:
    """Return when the switch has told `data`, in seconds of its own clock; None where it does not say."""
    return _microseconds(data.get("Event-Date-Timestamp"))


def arrival_from(
    data: Event,
    *,
    switch: str,
    default_queue: str,
    new_call: str,
    now: float,
    came_at: float | None = None,
) -> Arrival:
    """Read a call's data, as the reply to `connect` carries it, into an Arrival.

    `new_call` becomes the key of the visit, unless the channel carries `callctl_call` and no
    `callctl_reason`: such a caller was with us before, the wait is not over, and the place is kept. Anybody
    else joins as of `came_at`, by our clock, or as of being refused for want of room. A time of joining that
    lies in the future is taken for now. Values that cannot be read count as unset: a mistyped score must cost
    nobody the call.
    """

    def variable(name: str) -> str:
        return _text(data.variable(name))

    known_call = "" if data.variable("callctl_reason") else data.variable("callctl_call")
    if not is_visit_key(known_call):
        known_call = ""  # Not from us: a leg that carries it could not be dialled.
    told = _number(data.variable("cc_queue_joined_epoch" if known_call else REFUSED))
    known_times = [told] if known_call else [told, came_at]
    arrival = Arrival(
        call=known_call or new_call,
        uuid=data.uuid,
        switch=switch,
        queue=(known_call and variable("cc_queue")) or variable("queue") or default_queue,
        arrived_at=_microseconds(data.get("Caller-Channel-Created-Time")) or now,
        joined_at=min([now, *(at for at in known_times if at is not None)]),
        original_uuid=variable("caller_uuid") or data.uuid,
        account=account_in(data) or variable("account_id") or DEFAULT_ACCOUNT,
        account_id=variable("account_id"),
        widget_id=variable("widget_id"),
        call_type=variable("call_type"),
        source=variable("source"),
        dialled_number=_dialled_number(data),
        caller_number=_text(data.get("Caller-Caller-ID-Number")),
        caller_name=_text(data.get("Caller-Caller-ID-Name")),
        lead_number=variable("lead_number"),
        base_score=_number(data.variable("cc_base_score")) or 0,
        skills=parse_skills(data.variable("callctl_skills")),
        moh_sound=variable("cc_moh_override"),
        exit_keys=variable("cc_exit_keys"),
        cid_name_prefix=variable("cc_outbound_cid_name_prefix"),
        variables=_exported(data),
        resumes=(int(_number(data.variable("callctl_resumes")) or 0) + 1) if known_call else 0,
    )
    return with_place(arrival, data) if known_call else arrival


OWN_EXTENSIONS = "callctl-"
"""What the names of the dialplan's own extensions begin with: such a destination is no dialled number."""


def _dialled_number(data: Event) -> str:
    """Return the number that the caller dialled, "" if the channel does not tell.

    `callctl_dialled_number` is the dialplan's word. The destination is that of the last transfer, which
    callctl's own dialplan uses to get here; a SIP channel keeps the user of the request beside it.
    """
    said = _text(data.variable("callctl_dialled_number"))
    destination = _text(data.get("Caller-Destination-Number"))
    if said or not destination.startswith(OWN_EXTENSIONS):
        return said or destination
    return _text(data.variable("sip_req_user"))


def parse_skills(text: str) -> dict[str, int]:
    """Return the skills in `text`, such as `english:5,billing`, by name; a bare name needs level 1."""
    skills = {}
    for part in text.split(","):
        name, _, level = part.strip().partition(":")
        if name:
            skills[name] = int(level) if level.strip().isdigit() else 1
    return skills


def waiting_variables(arrival: Arrival) -> dict[str, str]:
    """What a waiting caller carries: enough to find the place again without us and without the store."""
    return {
        **KEYS_END_NOTHING,
        "socket_resume": "true",
        "hangup_after_bridge": "false",
        "transfer_after_bridge": "",
        "uuid_bridge_continue_on_cancel": "",
        # First, as a channel with the rest of it alone would count as one that begins anew.
        "callctl_call": arrival.call,
        "cc_queue": arrival.queue,
        "cc_queue_joined_epoch": f"{arrival.joined_at:.3f}",
        "callctl_resumes": str(arrival.resumes),
        "callctl_reason": "",
        "callctl_refusal": "",
        REFUSED: "",
        **visit_variables(arrival.call),
        **account_variables(arrival.account),
        **place_variables(arrival),
    }


SAME_MOMENT_SECONDS = 0.002
"""How far the times of one joining may be apart: the channel and the store round to milliseconds."""


def begins_anew(data: Event, before: Arrival, default_queue: str) -> bool:
    """Say whether the caller of `data` comes for a new visit, rather than back to the place of `before`.

    The dialplan's `callctl-enter` unsets `callctl_call`, also for a caller who is sent into the same queue
    again; the time of joining stays. Where the channel has not been told of that place at all, neither
    stands on it, and only another queue shows that somebody has sent the caller.
    """
    if data.variable("callctl_call"):
        return False
    joined_at = _number(data.variable("cc_queue_joined_epoch"))
    if joined_at is not None and abs(joined_at - before.joined_at) < SAME_MOMENT_SECONDS:
        return True
    return (_text(data.variable("queue")) or default_queue) != before.queue


def refusal_variables(arrival: Arrival, why: str) -> dict[str, str]:
    """What a caller carries who could not be taken, and whom the dialplan brings again."""
    return {"callctl_refusal": why, REFUSED: f"{arrival.joined_at:.3f}"}


def bridge_variables(offer: Offer) -> dict[str, str]:
    """What must be true before the bridge: our crash does not cut it, and the agent's hangup ends it.

    An agent who is gone before the two hear each other must not end it: FreeSWITCH would then hang the
    caller up with ORIGINATOR_CANCEL (uuid_bridge_on_soft_execute in switch_ivr_bridge.c).
    """
    return {
        "socket_resume": "false",
        "hangup_after_bridge": "true",
        "uuid_bridge_continue_on_cancel": "true",
        "cc_agent": offer.agent,
        "cc_agent_uuid": offer.leg_uuid,
        **visit_variables(offer.call, offer.agent),
    }


def talk_variables(now: float) -> dict[str, str]:
    """What is true once the two talk: the wait is over, and no way leads back into it."""
    return {
        # Again, as a caller who came back from a failed bridge just now may have been told otherwise.
        "socket_resume": "false",
        "hangup_after_bridge": "true",
        "transfer_after_bridge": "",
        "uuid_bridge_continue_on_cancel": "",
        **KEYS_AS_USUAL,
        "cc_queue_answered_epoch": f"{now:.3f}",
        "cc_cause": "answered",
        "callctl_reason": Reason.BRIDGED.value,
    }


def hand_back_variables(
    reason: Reason, now: float, *, target: str = "", exit_key: str = ""
) -> dict[str, str]:
    """What the dialplan behind the `socket` action finds; a later visit is a new call."""
    variables = {
        **KEYS_AS_USUAL,
        "cc_cause": "cancel",
        "cc_cancel_reason": reason.value,
        "cc_queue_terminated_epoch": f"{now:.3f}",
        "callctl_reason": reason.value,
        "callctl_call": "",
        ACCOUNT: "",
    }
    if target:
        variables["callctl_target"] = target
    if exit_key:
        variables["cc_exit_key"] = exit_key
    return variables


def leg_variables(arrival: Arrival, offer: Offer, owner: str) -> dict[str, str]:
    """What an agent's leg carries: who it rings for, which callctl rings it, and whom the phone shows.

    Besides these it carries what the dialplan exports (`cc_export_vars`), as with mod_callcenter.
    """
    exported = {
        name: harmless(value)
        for name, value in arrival.variables.items()
        if is_variable_name(name) and name not in SET_BY_ORIGINATE
    }
    return exported | {
        "cc_side": "agent",
        "cc_queue": offer.queue,
        "cc_agent": offer.agent,
        "cc_member_uuid": arrival.uuid,
        "callctl_call": arrival.call,
        "callctl_offer": offer.id,
        "callctl_owner": owner,
        "ignore_early_media": "true",
        "origination_caller_id_name": caller_id_name(
            f"{arrival.cid_name_prefix}{arrival.caller_name or arrival.caller_number}"
        ),
        "origination_caller_id_number": caller_id_number(arrival.caller_number),
    }


def callback_variables(arrival: Arrival, owner: str) -> dict[str, str]:
    """What the leg of a caller who is called back carries; `owner` is the callctl that calls.

    The phone shows the number that was dialled, unless the dial string says another: FreeSWITCH's own
    is 0000000000, which nobody answers, and which many carriers refuse.
    """
    return {
        "origination_caller_id_number": number_to_dial(arrival.dialled_number),
        "cc_side": "member",
        "callctl_call": arrival.call,
        "callctl_owner": owner,
        "cc_queue": arrival.queue,
        "ignore_early_media": "true",
        "lead_number": harmless(arrival.lead_number),
        "account_id": harmless(arrival.account_id),
    }


@frozen
class Prelude:
    """What an agent hears, or has to do, between answering and getting the caller.

    Empty texts mean nothing to hear and no key to press. `seconds` is the time for the key, from the end of
    the sound.
    """

    sound: str = ""
    key: str = ""
    seconds: float = 0.0

    @property
    def longest_seconds(self) -> float:
        """How long all of it may take."""
        return prelude_seconds(self.sound, self.key, self.seconds)

    @property
    def variables(self) -> dict[str, str]:
        """What the agent's leg carries for it: a whisper is heard to its end, whatever key is pressed."""
        return KEYS_END_NOTHING if self.sound else {}

    def __bool__(self) -> bool:
        """Say whether there is anything to hear or to do."""
        return bool(self.sound or self.key)


def prelude_of(queue: QueueSettings) -> Prelude:
    """Return what the agents of `queue` go through before they get a caller."""
    return Prelude(queue.agent_announce, queue.accept_key, queue.accept_timeout)


WAY_BACK = ("Caller-Destination-Number", "Caller-Dialplan", "Caller-Context")
"""The headers that say which extension a channel came from."""


def way_back(data: Event) -> str:
    """Return where a bridge that fails sends the caller: to the extension that it came from, or "".

    Without it FreeSWITCH hangs the caller up when the agent's leg ends in the instant of the bridge
    (uuid_bridge_on_soft_execute in switch_ivr_bridge.c).
    """
    parts = [data.get(name) for name in WAY_BACK]
    # FreeSWITCH splits the value at colons, and expands what stands in it.
    return ":".join(parts) if all(re.fullmatch(r"[\w+*#.-]+", part) for part in parts) else ""


ON_TRANSFER = "execute_on_blind_transfer_callctl"
"""The variable with what FreeSWITCH runs right before a transfer of the channel, of whatever kind."""


def transfer_context(data: Event) -> str:
    """Return the context that the dialplan wants an agent's transfers of this caller to run in, or "".

    FreeSWITCH looks a number that comes by REFER up in the context of whoever is transferred, unless the
    channel's force_transfer_context names another (switch_ivr_session_transfer in switch_ivr.c). Where that
    is set already, it is somebody else's.
    """
    context = data.variable("callctl_transfer_context")
    is_usable = re.fullmatch(r"[\w.-]+", context) and not data.variable("force_transfer_context")
    return context if is_usable else ""


def transfer_variables(context: str) -> dict[str, str]:
    """What lets the transfer out of a talk run in `context`: that one alone, not those that follow on it.

    Else every transfer of the dialplan that names no context would run there for the rest of the call.
    """
    not_again = f"multiunset force_transfer_context {ON_TRANSFER}"
    return {ON_TRANSFER: f"multiset ^^:force_transfer_context={context}:{ON_TRANSFER}={not_again}"}


def transfer_out_of_wait_variables() -> dict[str, str]:
    """What the dialplan sets for the wait, and is to be true again after a bridge that came to nothing."""
    taken_along = "socket_resume playback_timeout_sec playback_terminators"
    return {"force_transfer_context": "", ON_TRANSFER: f"multiunset {taken_along} {ON_TRANSFER}"}


def who_hung_up(event: Event) -> HungUpBy:
    """Return who ended the leg of this CHANNEL_HANGUP_COMPLETE, by its SIP disposition.

    A leg that is not SIP has no disposition; its far end is then taken to have hung up.
    """
    disposition = event.variable("sip_hangup_disposition")
    if not disposition or disposition in _CALLER_DISPOSITIONS:
        return HungUpBy.CALLER
    return HungUpBy.SWITCH


def who_hung_up_agent(event: Event) -> HungUpBy:
    """Return who ended the agent's leg of this CHANNEL_HANGUP_COMPLETE: the agent, or the switch.

    An agent who transfers the caller (REFER) has its leg ended by the switch, with a cause that says so.
    """
    if event.get("Hangup-Cause") in _TRANSFERS or who_hung_up(event) is HungUpBy.CALLER:
        return HungUpBy.AGENT
    return HungUpBy.SWITCH


def hung_up_at(event: Event) -> float | None:
    """Return when the leg of this CHANNEL_HANGUP_COMPLETE ended, by the switch's clock, or None."""
    return _microseconds(event.get("Caller-Channel-Hangup-Time"))


def bridged_with(data: Event) -> str:
    """Return the UUID of the leg that this one was bridged with last, or "" where it never was.

    FreeSWITCH sets it on both legs when they begin to hear each other. Their states do not say as much:
    which of the two waits in CS_EXCHANGE_MEDIA depends on who had media first.
    """
    return data.variable("last_bridge_to")


def other_leg(event: Event) -> str:
    """Return the channel with which that of this CHANNEL_BRIDGE or CHANNEL_UNBRIDGE was bridged."""
    a_leg, b_leg = event.get("Bridge-A-Unique-ID"), event.get("Bridge-B-Unique-ID")
    return b_leg if a_leg == event.uuid else a_leg


def past_talk(event: Event) -> PastTalk | None:
    """Return what the CHANNEL_HANGUP_COMPLETE of a leg tells of its last bridge; None where it had none."""
    leg_uuid = bridged_with(event)
    if not leg_uuid:
        return None
    began_at = _microseconds(event.get("Caller-Channel-Bridged-Time"))
    return PastTalk(leg_uuid, began_at, bridged_seconds(event) or 0.0)


def bridged_seconds(data: Event) -> float | None:
    """Return for how long this leg has been bridged, by its switch's own clock; None where it is not."""
    bridged_at = _microseconds(data.get("Caller-Channel-Bridged-Time"))
    asked_at = _microseconds(data.get("Event-Date-Timestamp"))
    if bridged_at is None or asked_at is None:
        return None
    return max(0.0, asked_at - bridged_at)


def answered_at(caller: Event) -> float | None:
    """Return when the talk began of which this caller's channel tells (`talk_variables`), or None."""
    return _number(caller.variable("cc_queue_answered_epoch"))


def hold_seconds(event: Event) -> float:
    """Return how long the leg of this CHANNEL_HANGUP_COMPLETE was on hold in all, in seconds."""
    return (_number(event.variable("hold_accum_ms")) or 0.0) / 1000


def _exported(data: Event) -> dict[str, str]:
    names = [name.strip() for name in data.variable("cc_export_vars").split(",")]
    return {name: _text(data.variable(name)) for name in names if name}


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _microseconds(text: str) -> float | None:
    return int(text) / 1e6 if _MICROSECONDS.fullmatch(text) else None


def _text(value: str) -> str:
    """Return `value` as Unicode: bytes that are not UTF-8 come in as surrogates, which no database takes."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
