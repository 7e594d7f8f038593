"""Originate: the switch calls somebody, one or several at once, and the first to answer is taken.

It follows switch_ivr_originate.c: `{variables}dialstring,dialstring|dialstring application`, where a comma
rings both at once and a bar goes on to the next when nobody answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import trio
from attrs import field, frozen

from callctl.sim.caller_id import cause_of_failure, shown_name, shown_number
from callctl.sim.channel import Channel, Profile, State
from callctl.sim.directory import presence_id
from callctl.sim.people import AgentPhone, Endpoint, Loopback
from callctl.sim.separate import closing_brace, separate

if TYPE_CHECKING:
    from callctl.sim.switch import Switch

DEFAULT_TIMEOUT_SECONDS = 60.0
"""SWITCH_DEFAULT_TIMEOUT."""

_SOFIA = re.compile(r"sofia/(internal|external)/([^@/]+)@[^:/]+(?::(\d+))?")
_PORTS_OF_THE_SWITCH = ("5060", "5080")


@frozen(kw_only=True)
class OriginateOrder:
    """What an originate asks for: `attempts` follow each other, the legs of one ring at once."""

    attempts: tuple[tuple[str, ...], ...]
    variables: dict[str, str] = field(factory=dict)
    applications: tuple[tuple[str, str], ...] = (("park", ""),)
    extension: str = ""
    context: str = "default"

    @property
    def timeout_seconds(self) -> float:
        return float(self.variables.get("originate_timeout", DEFAULT_TIMEOUT_SECONDS))


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a separator, but not within quotes, brackets or behind a backslash."""
    parts = [""]
    quoted, depth, escaped = False, 0, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "'":
            quoted = not quoted
        elif not quoted and character in "{[<":
            depth += 1
        elif not quoted and character in "}]>":
            depth -= 1
        elif character == separator and not quoted and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return parts


def parse_variables(text: str) -> dict[str, str]:
    """Return the variables of a pair of brackets, `a=1,b='two, three'` (switch_event_create_brackets)."""
    pairs = (separate(part, "=", 2) for part in separate(text, ","))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def parse_originate(text: str) -> OriginateOrder:
    """Read the argument of `originate` or `bridge`."""
    target, *rest = separate(text, " ", 10)
    variables: dict[str, str] = {}
    while target.startswith("{"):
        end = closing_brace(target)
        variables.update(parse_variables(target[1:end]))
        target = target[end + 1 :]
    attempts = tuple(tuple(split_outside(attempt, ",")) for attempt in split_outside(target, "|"))
    application = rest[0] if rest else "&park()"
    if application.startswith("&"):
        name, _, argument = application[1:].partition(")")[0].partition("(")
        return OriginateOrder(attempts=attempts, variables=variables, applications=((name, argument),))
    if rest[1:2] == ["inline"]:
        inline = tuple(_inline_applications(application))
        return OriginateOrder(attempts=attempts, variables=variables, applications=inline)
    context = rest[2] if len(rest) > 2 else "default"
    return OriginateOrder(attempts=attempts, variables=variables, extension=application, context=context)


def _inline_applications(text: str) -> Iterator[tuple[str, str]]:
    """The applications of the dialplan `inline`, `app:arg,app:arg`; `m:^:` makes ^ the delimiter."""
    delimiter = ","
    if text.startswith("m:") and text[3:4] == ":":
        delimiter, text = text[2], text[4:]
    for part in separate(text, delimiter, 128):
        name, _, argument = part.partition(":")
        yield name, argument


class Originate:
    """One originate under way. `begin` makes its first legs at once, so that `uuid_kill` finds them."""

    def __init__(self, switch: Switch, order: OriginateOrder, *, parent: Channel | None = None) -> None:
        self.switch = switch
        self.order = order
        self.parent = parent
        self.legs: list[Channel] = []
        self.cause = "DESTINATION_OUT_OF_ORDER"
        self._settled = trio.Event()
        if parent is not None:
            parent.watchers.append(self._notice)

    def _notice(self) -> None:
        self._settled.set()

    def begin(self) -> None:
        """Ring whom the first attempt names."""
        if self.switch.faults.refuse_originate:
            self.cause = self.switch.faults.refuse_originate
        elif self.order.attempts:
            self._ring(self.order.attempts[0])

    async def result(self) -> tuple[Channel | None, str]:
        """Wait for an answer; return the leg that answered, or None and the cause of the failure."""
        if self.switch.faults.refuse_originate:
            return None, self.cause
        with trio.move_on_after(self.order.timeout_seconds) as patience:
            for attempt in self.order.attempts:
                if attempt is not self.order.attempts[0]:
                    self._ring(attempt)
                leg = await self._answered()
                if leg is not None:
                    return self._won(leg), "SUCCESS"
        if patience.cancelled_caught:
            self.cause = "NO_ANSWER"
            self._drop("NO_ANSWER")
        if self.parent is not None and not self.parent.is_up:
            self._drop("ORIGINATOR_CANCEL")
        return None, self.cause

    def start_application(self, leg: Channel) -> None:
        """Let the leg that answered go on with what the order says."""
        if self.order.extension:
            leg.transfer(self.order.extension, self.order.context)
        else:
            leg.extension = list(self.order.applications)
            leg.next_action = 0
            leg.set_state(State.EXECUTE)

    def _ring(self, dialstrings: tuple[str, ...]) -> None:
        for dialstring in dialstrings:
            leg, cause = self._dial(dialstring)
            if leg is None:
                self.cause = cause
            else:
                self.switch.start(leg)
                self.legs.append(leg)
                leg.watchers.append(self._notice)

    async def _answered(self) -> Channel | None:
        while True:
            for leg in self.legs:
                if leg.is_up and leg.is_answered:
                    return leg
                if not leg.is_up:
                    self.cause = leg.hangup_cause
            if not any(leg.is_up for leg in self.legs):
                return None
            if self.parent is not None and not self.parent.is_up:
                return None
            await self._settled.wait()
            self._settled = trio.Event()

    def _won(self, leg: Channel) -> Channel:
        for other in self.legs:
            if other is not leg:
                other.hang_up("LOSE_RACE")
        return leg

    def _drop(self, cause: str) -> None:
        for leg in self.legs:
            leg.hang_up(cause)

    def _dial(self, dialstring: str) -> tuple[Channel | None, str]:
        """Make the leg for one dial string, or say why that cannot be."""
        variables = dict(self.order.variables)
        while dialstring.startswith("["):
            inside, _, dialstring = dialstring[1:].partition("]")
            variables.update(parse_variables(inside))
        endpoint = self.switch.directory.phone(dialstring)
        if endpoint is not None:
            if not (endpoint.is_registered and self.switch.directory.is_registered(dialstring)):
                return None, "USER_NOT_REGISTERED"
            if dialstring.startswith("user/"):
                variables.setdefault("presence_id", presence_id(dialstring))
            leg = self._leg(dialstring, dialstring.rpartition("/")[2].partition("@")[0], variables)
            if leg is not None:
                self._invite(leg, endpoint)
            return leg, "DESTINATION_OUT_OF_ORDER"
        if dialstring.startswith("user/"):
            return None, "SUBSCRIBER_ABSENT"
        if dialstring.startswith("sofia/gateway/"):
            self._unborn(dialstring, variables)
            return None, "INVALID_GATEWAY"
        if dialstring.startswith("loopback/"):
            leg = self._leg(dialstring, dialstring.split("/")[1], variables)
            if leg is not None:
                leg.far = Loopback(leg, leg.profile.destination, "loopback")
            return leg, "DESTINATION_OUT_OF_ORDER"
        found = _SOFIA.fullmatch(dialstring)
        if found is None:
            return None, "CHAN_NOT_IMPLEMENTED"
        leg = self._leg(dialstring, found[2], variables)
        if leg is not None:
            if found[3] in _PORTS_OF_THE_SWITCH:
                leg.far = Loopback(leg, found[2], "internal" if found[3] == "5060" else "external")
            else:
                self.switch.later(
                    self.switch.wire_seconds(), lambda: leg.hang_up("NORMAL_TEMPORARY_FAILURE", "recv_refuse")
                )
        return leg, "DESTINATION_OUT_OF_ORDER"

    def _invite(self, leg: Channel, endpoint: Endpoint) -> None:
        """Ring a phone, unless the caller's name or number keeps the INVITE from it."""
        name, number = leg.profile.caller_id_name, leg.profile.caller_id_number
        cause = cause_of_failure(name, number)
        if not cause:
            leg.far = AgentPhone(leg, endpoint, shown=(shown_name(name), shown_number(number)))
        elif cause != "NO_ANSWER":
            self.switch.later(self.switch.wire_seconds(), lambda: leg.hang_up(cause))

    def _leg(self, dialstring: str, destination: str, variables: dict[str, str]) -> Channel | None:
        uuid = variables.get("origination_uuid", "")
        if self.switch.is_known(uuid):
            # It is in use. A SIP leg does not come to be; a loopback takes another UUID, silently (measured).
            if not dialstring.startswith("loopback/"):
                return None
            uuid = ""
        uuid = uuid or self.switch.ids.uuid()
        caller = self.parent.profile if self.parent is not None else Profile(caller_id_number="0000000000")
        profile = Profile(
            caller_id_name=variables.get("origination_caller_id_name", caller.caller_id_name),
            caller_id_number=variables.get("origination_caller_id_number", caller.caller_id_number),
            destination=destination,
        )
        leg = Channel(
            self.switch, uuid=uuid, name=dialstring, is_outbound=True, profile=profile, variables=variables
        )
        leg.other = self.parent
        return leg

    def _unborn(self, dialstring: str, variables: dict[str, str]) -> None:
        """A gateway that is not there leaves a channel that was never anything."""
        leg = self._leg("N/A", "", variables)
        if leg is not None:
            leg.variables = {name: leg.variables[name] for name in ("direction", "uuid")}
            leg.times.created = 0.0
            leg.fire("CHANNEL_DESTROY")
            leg.running = State.DESTROY
            leg.fire("CHANNEL_STATE", bare=True)
