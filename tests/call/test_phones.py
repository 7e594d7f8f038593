"""What is learned of the agents' phones from a switch's events."""

from __future__ import annotations

import random

import pytest

from callctl.acd.distributor import Distributor
from callctl.call.dispatcher import Dispatcher
from callctl.call.phones import Phones
from callctl.call.switch import Switch
from callctl.clock import SteadyClock
from callctl.esl.wire import Event
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Fact, Ids


class Bench:
    """Phones, with a distributor that holds one agent of a given contact."""

    def __init__(self, contact: str) -> None:
        self.phones = Phones()
        self.distributor = Distributor(ids=Ids(random.Random(1)), random=random.Random(1))
        self.dispatcher = Dispatcher(self.distributor, SteadyClock(1e9), self._record)
        self.phones.report_to(self.dispatcher)
        self.switch = Switch(
            name="fs1", host="", port=0, password="", ids=Ids(random.Random(1)), random=random.Random(1)
        )
        record = AgentRecord(
            settings=AgentSettings(name="ada", contact=contact),
            status=AgentStatus.AVAILABLE,
            state=AgentState.WAITING,
        )
        self.dispatcher.act(lambda d, now: d.put_agent(record, now))

    def _record(self, fact: Fact) -> None:
        self.phones.observe(fact)

    def hear(self, name: str, **headers: str) -> None:
        fields = {key.replace("__", "::").replace("_", "-"): value for key, value in headers.items()}
        self.phones.take(self.switch, Event(name, {"Event-Name": name, **fields}))

    @property
    def agent(self):
        [view] = self.distributor.agents(1e9)
        return view


def registration(kind: str, user: str) -> dict[str, str]:
    key = "from_user" if kind == "register" else "user"
    return {"Event_Subclass": f"sofia::{kind}", key: user}


async def test_a_phone_that_was_registered_and_is_no_more_is_known_to_be_away() -> None:
    bench = Bench("user/1001@example.com")
    assert bench.agent.registered is None
    bench.hear("CUSTOM", **registration("register", "1001"))
    assert bench.agent.registered is True
    bench.hear("CUSTOM", **registration("expire", "1001"))
    assert bench.agent.registered is False


@pytest.mark.parametrize("contact", ["sofia/gateway/trunk/49301", "user/1001,user/1002", "user/1001|user/2"])
async def test_of_a_contact_that_is_not_one_user_nothing_is_claimed(contact: str) -> None:
    bench = Bench(contact)
    bench.hear("CUSTOM", **registration("register", "1001"))
    bench.hear("CUSTOM", **registration("unregister", "1001"))
    assert bench.agent.registered is None


async def test_an_agent_with_a_call_of_its_own_is_busy_until_the_call_ends() -> None:
    bench = Bench("{x=1}user/1001")
    bench.hear("CHANNEL_CREATE", Unique_ID="own", Channel_Presence_ID="1001@example.com")
    assert bench.agent.external_call is True
    bench.hear("CHANNEL_HANGUP_COMPLETE", Unique_ID="own", Channel_Presence_ID="1001@example.com")
    assert bench.agent.external_call is False


async def test_the_leg_of_a_queue_is_no_call_of_the_agents_own() -> None:
    bench = Bench("user/1001")
    bench.phones.take(
        bench.switch,
        Event(
            "CHANNEL_CREATE",
            {"Unique-ID": "leg", "Channel-Presence-ID": "1001@x", "variable_cc_side": "agent"},
        ),
    )
    assert bench.agent.external_call is False


async def test_what_was_missed_is_learned_from_the_switch_when_it_is_back() -> None:
    bench = Bench("user/1001")
    bench.hear("CUSTOM", **registration("register", "1001"))
    answers = {
        "show registrations as json": '{"row_count":0}',
        "show channels as json": '{"row_count":1,"rows":[{"uuid":"own","presence_id":"1001@x"}]}',
    }

    class Link:
        name = "fs1"

        async def api(self, text: str) -> str:
            return answers[text]

    bench.switch.link = Link()
    await bench.phones.learn(bench.switch)
    assert (bench.agent.registered, bench.agent.external_call) == (False, True)
