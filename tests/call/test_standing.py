"""How a channel stands, read from what FreeSWITCH 1.10.12 answered to `uuid_dump` in each situation."""

from __future__ import annotations

import pytest

from callctl.call.standing import GONE, Standing, hear_each_other, place_of, standing_of
from callctl.esl.wire import Event


def dump(state: str, **variables: str) -> Event:
    headers = {f"variable_{name}": value for name, value in variables.items()}
    return Event("CHANNEL_DATA", {"Channel-State": state, "Answer-State": "answered", **headers})


TALKS = dump("CS_EXCHANGE_MEDIA", bridge_to="caller", current_application="park")
CONSULTS = dump("CS_EXCHANGE_MEDIA", bridge_to="colleague", current_application="att_xfer")
PARKED = dump("CS_PARK", bridge_uuid="caller", last_bridge_to="caller", current_application="park")
VALET = dump("CS_EXECUTE", last_bridge_to="leg", current_application="valet_park")
LEFT = dump("CS_SOFT_EXECUTE", last_bridge_to="leg", current_application="playback")


def test_what_a_channel_does_now_counts_and_not_with_whom_it_was_bridged_once() -> None:
    assert standing_of(TALKS).partner_uuid == "caller"
    assert standing_of(CONSULTS).partner_uuid == "colleague"
    assert (standing_of(PARKED).partner_uuid, standing_of(PARKED).is_parked) == ("", True)
    assert standing_of(VALET).application == "valet_park"
    assert [standing_of(each).is_idle for each in (TALKS, CONSULTS, VALET)] == [False, False, False]


def test_a_channel_that_a_bridge_has_left_in_silence_is_idle() -> None:
    assert standing_of(LEFT).is_idle
    assert not standing_of(LEFT).is_parked


@pytest.mark.parametrize(
    "headers", [{"Channel-State": "CS_REPORTING"}, {"Channel-State": "CS_EXECUTE", "Answer-State": "hangup"}]
)
def test_a_channel_that_is_ending_is_gone(headers: dict[str, str]) -> None:
    assert standing_of(Event("CHANNEL_DATA", headers)) == GONE


def test_two_hear_each_other_in_a_bridge_and_in_a_conference() -> None:
    caller, leg = Standing(partner_uuid="leg"), Standing(partner_uuid="caller")
    assert hear_each_other("caller", caller, "leg", leg)
    # While the agent asks a colleague, the caller's channel still says that it is bridged with the agent.
    assert not hear_each_other("caller", caller, "leg", Standing(partner_uuid="colleague"))
    room = dump("CS_EXECUTE", current_application="conference", current_application_data="room@default")
    other = dump("CS_EXECUTE", current_application="conference", current_application_data="other@default")
    assert hear_each_other("caller", standing_of(room), "leg", standing_of(room))
    assert not hear_each_other("caller", standing_of(room), "leg", standing_of(other))
    assert not hear_each_other("caller", standing_of(VALET), "leg", standing_of(VALET))


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"transfer_source": "1796077402:2b0f:bl_xfer:1002/default/XML"}, "1002 XML default"),
        (
            {"transfer_source": "1796077402:2b0f:bl_xfer:conference:room@default/public/inline"},
            "conference:room@default inline public",
        ),
        ({"transfer_source": "1796077402:2b0f:uuid_br:17182e4d"}, ""),
        (
            {"transfer_source": "1:2:uuid_br:3", "bridge_channel": "sofia/internal/1003@x"},
            "sofia/internal/1003@x",
        ),
        ({}, ""),
    ],
)
def test_a_place_is_what_one_would_transfer_to(variables: dict[str, str], place: str) -> None:
    assert place_of(dump("CS_EXECUTE", **variables)) == place


def test_the_place_of_one_who_was_bridged_is_the_number_of_the_other() -> None:
    headers = {"variable_transfer_source": "1:2:uuid_br:3", "Other-Leg-Destination-Number": "1003"}
    assert place_of(Event("CHANNEL_DATA", headers)) == "1003"
