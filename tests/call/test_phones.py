"""What is learned of the agents' phones from a switch's events."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

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

    def __init__(self, contact: str, **settings: Any) -> None:
        self.phones = Phones()
        self.distributor = Distributor(ids=Ids(random.Random(1)), random=random.Random(1))
        self.dispatcher = Dispatcher(self.distributor, SteadyClock(1e9), self._record)
        self.phones.report_to(self.dispatcher)
        self.switch = Switch(
            name="fs1", host="", port=0, password="", ids=Ids(random.Random(1)), random=random.Random(1)
        )
        record = AgentRecord(
            settings=AgentSettings(name="ada", contact=contact, **settings),
            status=AgentStatus.AVAILABLE,
            state=AgentState.WAITING,
        )
        self.dispatcher.act(lambda d, now: d.put_agent(record, now))

    def _record(self, fact: Fact) -> None:
        self.phones.observe(fact)

    def configure(self, contact: str) -> None:
        settings = AgentSettings(name="ada", contact=contact)
        self.dispatcher.act(lambda d, now: d.put_agent(settings, now))

    async def pass_time(self) -> None:
        """Do what is due in the next seconds."""
        with trio.move_on_after(3):
            await self.dispatcher.run()

    def hear(self, name: str, **headers: str) -> None:
        fields = {key.replace("__", "::").replace("_", "-"): value for key, value in headers.items()}
        self.phones.take(self.switch, Event(name, {"Event-Name": name, **fields}))

    @property
    def agent(self):
        return self.distributor.agent("ada", 1e9)


def registration(kind: str, address: str) -> dict[str, str]:
    user, _, domain = address.partition("@")
    names = ("user", "host") if kind == "expire" else ("from_user", "from_host")
    return {"Event_Subclass": f"sofia::{kind}", names[0]: user, names[1]: domain}


@pytest.mark.parametrize("contact", ["sofia/gateway/trunk/49301", "user/1001,user/1002", "user/1001|user/2"])
async def test_of_a_contact_that_is_not_one_user_nothing_is_claimed(
    contact: str, autojump_clock: MockClock
) -> None:
    bench = Bench(contact)
    bench.hear("CUSTOM", **registration("register", "1001"))
    bench.hear("CUSTOM", **registration("unregister", "1001"))
    await bench.pass_time()
    assert bench.agent.registered is None


@pytest.mark.fault(14)
@pytest.mark.parametrize("contact", ["user/1001@a.example", "[leg_timeout=9]user/1001@A.example"])
@pytest.mark.parametrize("kind", ["unregister", "expire"])
async def test_a_user_of_the_same_name_in_another_domain_is_somebody_else(kind: str, contact: str) -> None:
    bench = Bench(contact)
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.hear("CUSTOM", **registration("register", "1001@b.example"))
    bench.hear("CUSTOM", **registration(kind, "1001@b.example"))
    assert bench.agent.registered is True
    bench.hear("CHANNEL_CREATE", Unique_ID="own", Channel_Presence_ID="1001@b.example")
    assert bench.agent.external_call is False
    bench.hear("CHANNEL_CREATE", Unique_ID="mine", Channel_Presence_ID="1001@a.example")
    assert bench.agent.external_call is True


@pytest.mark.fault(14)
async def test_a_user_without_a_domain_is_of_the_switchs_own() -> None:
    bench = Bench("user/1001")
    bench.switch.link = Link([], {}, registered=["1001@here.example", "1001@b.example", "2@b.example"])
    await bench.phones.learn(bench.switch)
    bench.hear("CUSTOM", **registration("unregister", "1001@b.example"))
    bench.hear("CHANNEL_CREATE", Unique_ID="other", Channel_Presence_ID="1001@b.example")
    assert (bench.agent.registered, bench.agent.external_call) == (True, False)
    bench.hear("CHANNEL_CREATE", Unique_ID="own", Channel_Presence_ID="1001@192.0.2.7")
    assert bench.agent.external_call is True, "a phone may know the switch by another name"


@pytest.mark.fault(14)
@pytest.mark.parametrize("kind", ["unregister", "expire"])
async def test_one_phone_of_several_that_is_gone_leaves_the_others(
    kind: str, autojump_clock: MockClock
) -> None:
    bench = Bench("user/1001@a.example")
    for _ in range(2):
        bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.switch.link = Link([], {}, registered=["1001@a.example"])
    bench.hear("CUSTOM", **registration(kind, "1001@a.example"))
    assert bench.agent.registered is True
    await bench.pass_time()
    assert bench.agent.registered is True
    assert bench.switch.link.asked == ["sofia_contact */1001@a.example"]


async def test_the_last_phone_that_is_gone_is_known_to_be_away(autojump_clock: MockClock) -> None:
    bench = Bench("user/1001@a.example")
    assert bench.agent.registered is None
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    assert bench.agent.registered is True
    bench.switch.link = Link([], {})
    bench.hear("CUSTOM", **registration("unregister", "1001@a.example"))
    await bench.pass_time()
    assert bench.agent.registered is False
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    assert bench.agent.registered is True


async def test_a_phone_that_registers_anew_at_once_was_never_away(autojump_clock: MockClock) -> None:
    bench = Bench("user/1001@a.example")
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.switch.link = Link([], {})
    bench.hear("CUSTOM", **registration("unregister", "1001@a.example"))
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    await bench.pass_time()
    assert bench.agent.registered is True
    assert bench.switch.link.asked == []


async def test_of_somebody_who_is_no_agent_the_switch_is_not_asked(autojump_clock: MockClock) -> None:
    bench = Bench("user/1001")
    bench.switch.link = Link([], {})
    bench.hear("CUSTOM", **registration("register", "2@a.example"))
    bench.hear("CUSTOM", **registration("unregister", "2@a.example"))
    await bench.pass_time()
    assert bench.switch.link.asked == []
    bench.configure("user/2@a.example")
    await bench.pass_time()
    assert bench.agent.registered is None, "it may have another phone"


async def test_what_the_table_of_the_core_lacks_is_asked_for(autojump_clock: MockClock) -> None:
    """Of several phones of one user it shows only the last one, and none when that one is gone."""
    bench = Bench("user/1001@a.example")
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.switch.link = Link([], {}, registered=["1001@a.example"], is_shown=False)
    await bench.phones.learn(bench.switch)
    await bench.pass_time()
    assert bench.agent.registered is True
    bench.switch.link = Link([], {})
    await bench.phones.learn(bench.switch)
    assert bench.agent.registered is True
    await bench.pass_time()
    assert bench.agent.registered is False


async def test_many_phones_that_are_gone_at_once_are_asked_for_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    bench = Bench("user/1@a.example")
    for number in range(2, 102):
        settings = AgentSettings(name=f"agent{number}", contact=f"user/{number}@a.example")
        bench.dispatcher.act(lambda d, now, settings=settings: d.put_agent(settings, now))
    bench.switch.link = Link([], {})
    for number in range(1, 102):
        bench.hear("CUSTOM", **registration("register", f"{number}@a.example"))
        bench.hear("CUSTOM", **registration("expire", f"{number}@a.example"))
    with trio.move_on_after(1.5):
        await bench.dispatcher.run()
    assert 45 <= len(bench.switch.link.asked) <= 55


async def test_an_agent_who_gets_another_contact_is_not_taken_for_the_old_one(
    autojump_clock: MockClock,
) -> None:
    bench = Bench("user/1001@a.example")
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.switch.link = Link([], {})
    bench.hear("CUSTOM", **registration("unregister", "1001@a.example"))
    await bench.pass_time()
    bench.configure("sofia/gateway/trunk/49301")
    await bench.pass_time()
    assert bench.agent.registered is None


async def test_an_agent_with_a_phone_beside_the_directory_is_never_known_to_be_away(
    autojump_clock: MockClock,
) -> None:
    bench = Bench("user/1001@a.example", contacts={"fs2": "sofia/gateway/trunk/49301"})
    bench.hear("CUSTOM", **registration("register", "1001@a.example"))
    bench.switch.link = Link([], {})
    bench.hear("CUSTOM", **registration("unregister", "1001@a.example"))
    await bench.pass_time()
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

    def then(self, take: Callable[[Answer], None]) -> None:
        take(self)


class Link:
    """A connection to a switch of the domain here.example, whose table shows calls of the user 1001."""

    name = "fs1"

    def __init__(
        self,
        shown: list[str],
        alive: dict[str, dict[str, str]],
        user: str = "1001@x",
        registered: Sequence[str] = (),
        is_shown: bool = True,
    ) -> None:
        self.while_asked: Callable[[], None] = lambda: None
        self.asked: list[str] = []
        self._shown = shown
        self._alive = {uuid: {"Channel-Presence-ID": user} | dump for uuid, dump in alive.items()}
        self._registered = registered
        self._is_shown = is_shown

    async def api(self, text: str) -> str:
        if text == commands.global_getvar("domain"):
            return "here.example"
        if text == commands.show_registrations():
            users = [address.split("@") for address in self._registered if self._is_shown]
            return table([{"reg_user": user, "realm": realm} for user, realm in users])
        assert text == commands.show_channels()
        return table([{"uuid": uuid, "presence_id": "1001@x"} for uuid in self._shown])

    def post_api(self, *orders: str) -> list[Answer]:
        if orders and orders[0].startswith("sofia_contact"):
            [order] = orders
            self.asked.append(order)
            is_there = order.partition("*/")[2] in self._registered
            return [Answer("sofia/internal/sip:1@2" if is_there else "error/user_not_registered")]
        self.while_asked()
        dumps = [self._alive.get(order.split()[1]) for order in orders]
        return [Answer("-ERR", ok=False) if dump is None else Answer(json.dumps(dump)) for dump in dumps]


@pytest.mark.parametrize(
    ("alive", "is_busy"),
    [({"own": {}}, True), ({}, False), ({"own": {"variable_cc_side": "agent"}}, False)],
    ids=["a call of its own", "a call that the table still shows", "a queue's leg"],
)
async def test_what_was_missed_is_learned_from_the_switch_when_it_is_back(
    alive: dict[str, dict[str, str]], is_busy: bool, autojump_clock: MockClock
) -> None:
    bench = Bench("user/1001")
    bench.hear("CUSTOM", **registration("register", "1001"))
    bench.switch.link = Link(["own"], alive)
    await bench.phones.learn(bench.switch)
    await bench.pass_time()
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
        bench.hear("CUSTOM", **registration("register", f"{name}@here.example"))
    told: list[str] = []
    monkeypatch.setattr(
        Distributor, "set_registered", lambda self, agent, registered, now: told.append(agent)
    )
    bench.switch.link = Link([], {}, registered=[f"{name}@here.example" for name in names])
    await bench.phones.learn(bench.switch)
    assert told == names
