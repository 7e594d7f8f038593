"""How a channel stands, as the switch tells it: whether it lives, with whom it talks, and where it was sent.

The end of a bridge does not tell that a talk is over: an agent who asks a colleague, a conference and a
parked caller all begin with one. What both channels do now does.
"""

from __future__ import annotations

from attrs import frozen

from callctl.esl.wire import Event

_ENDED_STATES = frozenset({"CS_HANGUP", "CS_REPORTING", "CS_DESTROY"})

_BETWEEN_STATES = frozenset(
    {"CS_RESET", "CS_SOFT_EXECUTE", "CS_HIBERNATE", "CS_CONSUME_MEDIA", "CS_EXCHANGE_MEDIA"}
)
"""States of a channel on its way into a bridge; one that stays there without a partner is left in silence."""

_MEETING_PLACES = frozenset({"conference"})
"""Applications in which all channels that run them with the same argument hear each other."""


@frozen(kw_only=True)
class Standing:
    """How a channel stands.

    `partner_uuid` is the channel that it is bridged with now, "" for none. `application` is what it runs,
    with its argument, "" for nothing. `is_parked`: it waits for nobody but a controller. `place` is where it
    was sent last, in the words of FreeSWITCH's `transfer`, or the number that it was bridged with.
    """

    is_up: bool = True
    partner_uuid: str = ""
    application: str = ""
    is_parked: bool = False
    is_between: bool = False
    place: str = ""

    @property
    def is_idle(self) -> bool:
        """Say whether it does nothing: parked, or left in silence by a bridge that has ended."""
        return self.is_up and (self.is_parked or self.is_between)


GONE = Standing(is_up=False)
"""A channel that has ended."""


def standing_of(dump: Event) -> Standing:
    """Read how a channel stands from the answer to `uuid_dump`."""
    state = dump.get("Channel-State")
    if state in _ENDED_STATES or dump.get("Answer-State") == "hangup":
        return GONE
    # bridge_to is unset when a bridge ends; last_bridge_to and bridge_uuid stay.
    partner_uuid = dump.variable("bridge_to")
    application = dump.variable("current_application") if state in ("CS_EXECUTE", "CS_PARK") else ""
    argument = dump.variable("current_application_data")
    is_parked = not partner_uuid and (state == "CS_PARK" or application == "park")
    return Standing(
        partner_uuid=partner_uuid,
        application=f"{application} {argument}".strip() if application else "",
        is_parked=is_parked,
        is_between=not partner_uuid and state in _BETWEEN_STATES,
        place=place_of(dump),
    )


def hear_each_other(one_uuid: str, one: Standing, other_uuid: str, other: Standing) -> bool:
    """Say whether two channels are bridged with each other, or in the same conference."""
    if one.partner_uuid == other_uuid and other.partner_uuid == one_uuid:
        return True
    name, _, _ = one.application.partition(" ")
    return name in _MEETING_PLACES and one.application == other.application


def place_of(dump: Event) -> str:
    """Return where a channel was sent last, "" where it never was.

    That is `EXTENSION DIALPLAN CONTEXT`, as one would transfer it, or the number of the channel that it was
    bridged with since.
    """
    # TIME:PROFILE:HOW:WHERE (switch_ivr_session_transfer, switch_ivr_uuid_bridge)
    _, _, rest = dump.variable("transfer_source").partition(":")
    _, _, rest = rest.partition(":")
    how, _, where = rest.partition(":")
    if how == "bl_xfer":
        words = where.rsplit("/", 2)
        if len(words) == 3:
            extension, context, dialplan = words
            return f"{extension} {dialplan} {context}"
        return where
    if how in ("uuid_br", "att_xfer"):
        return dump.get("Other-Leg-Destination-Number") or dump.variable("bridge_channel")
    return ""
