"""A mod_callcenter that runs is taken over as it tells of itself."""

from __future__ import annotations

import pytest

from callctl.cli.callcenter import read_lists, take_over
from callctl.cli.import_ import QUESTIONS
from callctl.cli.probe import ask
from callctl.config import SwitchSettings
from callctl.model import AgentSettings, Tier
from tests.live.configuration import PASSWORD
from tests.live.freeswitch import FreeSwitch


@pytest.mark.fault(28)
async def test_queues_agents_and_tiers_of_a_running_mod_callcenter_are_read(freeswitch: FreeSwitch) -> None:
    if not freeswitch.has_module("mod_callcenter"):
        pytest.skip("this FreeSWITCH has no mod_callcenter")
    switch = SwitchSettings(
        name="live", host="127.0.0.1", port=freeswitch.ports.event_socket, password=PASSWORD
    )
    taken = take_over(read_lists(*await ask(switch, QUESTIONS)))
    queue = taken.queues["imported@live"]
    assert (queue.announce_sound, queue.announce_frequency, queue.max_wait_time) == (
        ("ivr/one-moment.wav",),
        30,
        60,
    )
    assert taken.agents == {"1001@live": AgentSettings(name="1001@live", contact="user/1001")}
    assert taken.tiers == (Tier(queue="imported@live", agent="1001@live", level=1, position=2),)
    assert taken.left_out == ()
    assert "every level is 1 higher" in taken.changed[0]
