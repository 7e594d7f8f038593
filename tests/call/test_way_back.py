"""Where a caller without a socket is, by what stands on the channel; and whether it comes anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from trio.testing import MockClock

from callctl.call.variables import HOME, begins_anew
from callctl.call.way_back import Whereabouts, free_if_stranded, whereabouts
from callctl.errors import CommandRefused
from callctl.esl.wire import Event
from callctl.model import Arrival

OURS = "callctl-wait:XML:public"


def channel(
    extension: str, application: str = "playback", *, home: str = OURS, state: str = "CS_EXECUTE"
) -> Event:
    return Event(
        "CHANNEL_DATA",
        {
            "Unique-ID": "caller",
            "Channel-State": state,
            "Caller-Destination-Number": extension,
            "Caller-Dialplan": "XML",
            "Caller-Context": "public",
            "variable_current_application": application,
            f"variable_{HOME}": home,
        },
    )


@pytest.mark.fault(19.3)
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (channel("callctl-wait"), Whereabouts.ON_THE_WAY),
        (channel("callctl-enter", "set"), Whereabouts.ON_THE_WAY),
        (channel("callctl-wait", "socket", state="CS_RESET"), Whereabouts.ON_THE_WAY),
        (channel("callctl-done", "hangup"), Whereabouts.ELSEWHERE),
        (channel("callctl-alone"), Whereabouts.ELSEWHERE),
        (channel("announcement"), Whereabouts.ELSEWHERE),
        (channel("1002", "bridge"), Whereabouts.ELSEWHERE),
        (channel("callctl-wait", "voicemail"), Whereabouts.ELSEWHERE),
        (channel("1002", state="CS_SOFT_EXECUTE"), Whereabouts.ELSEWHERE),
        (channel("callctl-wait", state="CS_EXCHANGE_MEDIA"), Whereabouts.UNSURE),
        (channel("sales", home="sales:XML:public"), Whereabouts.ON_THE_WAY),
        (channel("sales-pause", home="sales:XML:public"), Whereabouts.UNSURE),
        (channel("sales-pause", "bridge", home="sales:XML:public"), Whereabouts.ELSEWHERE),
        (channel("sales", home=""), Whereabouts.ON_THE_WAY),
    ],
    ids=lambda value: value.name if isinstance(value, Whereabouts) else "",
)
def test_a_caller_is_where_its_extension_and_its_application_say(data: Event, place: Whereabouts) -> None:
    assert whereabouts(data) is place


WAITS = Arrival(
    call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=1e9, joined_at=1e9 + 0.1234
)
"""A caller in the queue; the channel and the store know the time of joining to a millisecond."""


@pytest.mark.fault(19.2)
@pytest.mark.parametrize(
    ("variables", "is_anew"),
    [
        ({"callctl_call": "call-1", "queue": "caller"}, False),
        ({"callctl_call": "call-0", "queue": "other"}, False),
        ({"cc_queue_joined_epoch": "1000000000.123", "queue": "caller"}, True),
        ({"cc_queue_joined_epoch": "1000000000.123", "queue": "other"}, True),
        ({"cc_queue_joined_epoch": "999999000.000", "queue": "caller"}, False),
        ({"queue": "caller"}, False),
        ({"queue": "other"}, True),
        ({}, False),
    ],
    ids=[
        "its place",
        "the place before, of a queue that sent it on",
        "the place was taken away, same queue",
        "the place was taken away, another queue",
        "the channel was never told of this place",
        "told of nothing, same queue",
        "told of nothing, another queue",
        "told of nothing, the default queue",
    ],
)
def test_a_caller_comes_anew_if_the_place_was_taken_from_the_channel(
    variables: dict[str, str], is_anew: bool
) -> None:
    data = Event("", {f"variable_{name}": value for name, value in variables.items()})
    assert begins_anew(data, WAITS, "caller") is is_anew
    assert begins_anew(data, evolve(WAITS, joined_at=1e9 + 0.1226), "caller") is is_anew


class Answering:
    """A switch on which a channel stands in these states, one after the other."""

    def __init__(self, *states: str) -> None:
        self.link = self
        self._states = list(states)
        self.transferred: list[str] = []

    async def api(self, command: str) -> str:
        if command.startswith("uuid_transfer"):
            self.transferred.append(command)
            return "+OK"
        if not self._states:
            raise CommandRefused(command, "-ERR No such channel!")
        return json.dumps({"Unique-ID": "caller", "Channel-State": self._states.pop(0)})


STRANDED = channel("elsewhere", state="CS_RESET")


@pytest.mark.fault(19.4)
async def test_a_channel_that_stays_in_reset_goes_on_in_its_own_extension(autojump_clock: MockClock) -> None:
    class There(Answering):
        async def api(self, command: str) -> str:
            await super().api(command)
            return json.dumps(dict(STRANDED.headers))

    switch: Any = There("CS_RESET")
    assert await free_if_stranded(STRANDED, switch)
    assert switch.transferred == ["uuid_transfer caller elsewhere XML public"]


@pytest.mark.parametrize("state", ["CS_EXECUTE", "CS_SOFT_EXECUTE"])
async def test_a_channel_that_passes_through_reset_is_let_be(autojump_clock: MockClock, state: str) -> None:
    switch: Any = Answering(state)
    assert not await free_if_stranded(STRANDED, switch)
    assert switch.transferred == []
    assert not await free_if_stranded(channel("elsewhere", state=state), switch)
