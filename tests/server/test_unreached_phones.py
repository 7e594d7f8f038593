"""Callers whose legs break, and phones that are not there: nobody is put on a break, others are served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from callctl.model import AgentStatus, QueueSettings
from callctl.sim.people import AgentPhone, Caller, Endpoint
from tests.server.conftest import HANGS_UP, Theatre

NO_LEG = Endpoint(refuse_with="DESTINATION_OUT_OF_ORDER")


def statuses(theatre: Theatre) -> dict[str, tuple[AgentStatus, int]]:
    agents = theatre.stage.server.dispatcher.ask(lambda d, now: d.agents(now))
    return {agent.name: (agent.status, agent.misses) for agent in agents}


def failing(times: int) -> Callable[[], Endpoint]:
    """A phone that is reached only after so many rings."""

    def rings() -> Iterator[Endpoint]:
        yield from [NO_LEG] * times
        while True:
            yield HANGS_UP

    phones = rings()
    return lambda: next(phones)


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("back\\", "back"),
        ('"Sami\\ ', "'Sami"),
        ('Dr. "Q" Neil', "Dr. 'Q' Neil"),
        ("A/B Ltd", "A-B Ltd"),
        ("CallQ:#Ada", "CallQ #Ada"),
        ("a@b", "a b"),
        ("1%0a2", "1% 0a2"),
    ],
)
async def test_whatever_a_caller_is_called_the_phone_rings_and_shows_it(
    theatre, name: str, expected: str
) -> None:
    shown: list[tuple[str, str]] = []

    async with theatre() as t:
        t.hire("1001", HANGS_UP, max_no_answer=1)

        def note(what: str, uuid: str, at: float, member: str) -> None:
            channel = t.stage.switch.locate(uuid)
            if what == "leg-ringing" and channel is not None and isinstance(channel.far, AgentPhone):
                shown.append(channel.far.shown)

        t.stage.switch.on_observed(note)
        await t.call(Caller(name=name, number="4930123", patience=1.5))
        assert statuses(t)["1001"] == (AgentStatus.AVAILABLE, 0)
    [call] = t.rows("calls")
    assert (call["reason"], call["caller_name"]) == ("BRIDGED", name)
    assert shown == [(expected, "4930123")]


@pytest.mark.fault(3)
async def test_a_caller_with_whom_every_leg_breaks_does_not_keep_others_from_the_agents(theatre) -> None:
    async with theatre() as t:
        for name in ("1001", "1002"):
            t.hire(name, HANGS_UP, max_no_answer=1)
            t.stage.switch.add_endpoint(f"user/{name}", failing(1))
        t.stage.switch.place_call(Caller(number="4930666", patience=3))
        await t.until(lambda: len(t.rows("offers")) == 2)
        await t.call_beside(Caller(number="4930777"))
        assert set(statuses(t).values()) == {(AgentStatus.AVAILABLE, 0)}
    calls = {call["caller_number"]: call for call in t.rows("calls")}
    assert calls["4930777"]["reason"] == "BRIDGED"
    assert calls["4930666"]["offers"] == 2
    [note] = [row for row in t.rows("call_events") if row["event"] == "stepped-back"]
    assert note["detail"] == "for 5 s: no phone was reached of 1001, 1002"


@pytest.mark.fault(3)
async def test_a_phone_that_is_switched_off_is_no_miss_though_nobody_answers(theatre) -> None:
    async with theatre(QueueSettings(name="caller", ring_timeout=1)) as t:
        t.hire("1001", Endpoint(answer_after=None, is_there=False), max_no_answer=1)
        await t.call(Caller(patience=2.5))
        assert statuses(t)["1001"] == (AgentStatus.AVAILABLE, 0)
    [offer] = t.rows("offers")
    assert (offer["result"], offer["cause"]) == ("failed", "NO_ANSWER")


async def test_a_phone_that_rings_and_is_not_answered_is_a_miss(theatre) -> None:
    async with theatre(QueueSettings(name="caller", ring_timeout=1)) as t:
        t.hire("1001", Endpoint.silent(), max_no_answer=1)
        await t.call(Caller(patience=2.5))
        assert statuses(t)["1001"] == (AgentStatus.ON_BREAK, 1)
    [offer] = t.rows("offers")
    assert offer["result"] == "no-answer"


@pytest.mark.fault(22)
async def test_what_the_dialplan_exports_reaches_the_agents_leg(theatre) -> None:
    variables = {
        "cc_export_vars": "campaign,lead_number, cc_side ,origination_uuid,no such name,empty",
        "campaign": "spring; 'drop' {it} ${all},[a]=\\\"b\" :_: Ü",
        "lead_number": "4930987",
        "cc_side": "member",
        "origination_uuid": "mine",
    }
    legs: list[dict[str, str]] = []
    async with theatre() as t:
        t.hire("1001", HANGS_UP)

        def note(what: str, uuid: str, at: float, member: str) -> None:
            channel = t.stage.switch.locate(uuid)
            if what == "leg-ringing" and channel is not None:
                legs.append({key: str(value) for key, value in channel.variables.items()})

        t.stage.switch.on_observed(note)
        await t.call(Caller(variables=variables))
    [leg] = legs
    assert leg["campaign"] == "spring; 'drop'  it  $ all ,[a]=\\\"b\"   Ü"
    assert (leg["lead_number"], leg["cc_side"]) == ("4930987", "agent")
    assert leg["origination_uuid"] == leg["uuid"] != "mine"
    [call] = t.rows("calls")
    assert json.loads(call["variables"])["campaign"] == variables["campaign"], "the history has it unchanged"
