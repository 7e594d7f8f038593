"""What is learned of the agents' phones from a switch's events."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from attrs import frozen

from callctl.acd.distributor import Distributor
from callctl.call.dispatcher import Dispatcher
from callctl.call.phones import Phones
from callctl.call.switch import Switch
from callctl.clock import SteadyClock
from callctl.esl import commands
from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Fact
from tests.call.tables import table


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


@frozen
class Answer:
    """The reply to one order."""

    text: str
    ok: bool = True

    async def wait(self) -> Answer:
        return self


class Link:
    """A connection to a switch without registrations, whose table shows calls of the user 1001."""

    name = "fs1"

    def __init__(self, shown: list[str], alive: dict[str, dict[str, str]], user: str = "1001@x") -> None:
        self.while_asked: Callable[[], None] = lambda: None
        self._shown = shown
        self._alive = {uuid: {"Channel-Presence-ID": user} | dump for uuid, dump in alive.items()}

    async def api(self, text: str) -> str:
        if text == commands.show_registrations():
            return table([])
        assert text == commands.show_channels()
        return table([{"uuid": uuid, "presence_id": "1001@x"} for uuid in self._shown])

    def post_api(self, *orders: str) -> list[Answer]:
        self.while_asked()
        dumps = [self._alive.get(order.split()[1]) for order in orders]
        return [Answer("-ERR", ok=False) if dump is None else Answer(json.dumps(dump)) for dump in dumps]


@pytest.mark.parametrize(
    ("alive", "is_busy"),
    [({"own": {}}, True), ({}, False), ({"own": {"variable_cc_side": "agent"}}, False)],
    ids=["a call of its own", "a call that the table still shows", "a queue's leg"],
)
async def test_what_was_missed_is_learned_from_the_switch_when_it_is_back(
    alive: dict[str, dict[str, str]], is_busy: bool
) -> None:
    bench = Bench("user/1001")
    bench.hear("CUSTOM", **registration("register", "1001"))
    bench.switch.link = Link(["own"], alive)
    await bench.phones.learn(bench.switch)
    assert (bench.agent.registered, bench.agent.external_call) == (False, is_busy)


async def test_whose_call_it_is_is_learned_from_the_channel_and_not_from_the_table() -> None:
    """A caller's name may hold what looks like columns."""
    bench = Bench("user/1001")
    bench.switch.link = Link(["own"], {"own": {}}, user="")
    await bench.phones.learn(bench.switch)
    assert bench.agent.external_call is False


async def test_a_row_that_somebody_has_made_up_is_passed_over() -> None:
    bench = Bench("user/1001")
    bench.switch.link = Link(["nobody's uuid", "own"], {"own": {}})
    await bench.phones.learn(bench.switch)
    assert bench.agent.external_call is True


async def test_what_comes_and_goes_while_the_switch_is_asked_is_not_forgotten() -> None:
    bench = Bench("user/1001")
    link = bench.switch.link = Link(["old"], {"old": {}})

    def one_ends_and_another_comes() -> None:
        bench.hear("CHANNEL_HANGUP_COMPLETE", Unique_ID="old", Channel_Presence_ID="1001@x")
        bench.hear("CHANNEL_CREATE", Unique_ID="new", Channel_Presence_ID="1001@x")

    link.while_asked = one_ends_and_another_comes
    await bench.phones.learn(bench.switch)
    assert bench.agent.external_call is True
    bench.hear("CHANNEL_HANGUP_COMPLETE", Unique_ID="new", Channel_Presence_ID="1001@x")
    assert bench.agent.external_call is False


async def test_what_is_learned_of_all_phones_at_once_is_told_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is free first is rung first, and a simulated hour must come out the same each time."""
    bench = Bench("user/1001")
    names = [str(number) for number in range(2001, 2021)]
    for name in names:
        settings = AgentSettings(name=name, contact=f"user/{name}")
        record = AgentRecord(settings=settings, status=AgentStatus.AVAILABLE, state=AgentState.WAITING)
        bench.dispatcher.act(lambda d, now, record=record: d.put_agent(record, now))
        bench.hear("CUSTOM", **registration("register", name))
    told: list[str] = []
    monkeypatch.setattr(
        Distributor, "set_registered", lambda self, agent, registered, now: told.append(agent)
    )
    bench.switch.link = Link([], {})
    await bench.phones.learn(bench.switch)
    assert told == names
