"""Phones of the directory: several for one user, the same user in two domains, and names that break a leg."""

from __future__ import annotations

import pytest
import trio

from tests.live.centre import CallCentre
from tests.live.patience import until
from tests.live.sip import Phone, open_phone

MINE = "1001@127.0.0.1"
OTHER = "1001@b.example"


async def settle() -> None:
    """Let the switch be asked: a second after a phone is gone."""
    await trio.sleep(2.0)


async def seen_as(centre: CallCentre, registered: bool | None) -> None:
    await until(lambda: centre.agent_view("1001").registered is registered)


def phones(centre: CallCentre) -> int:
    return centre.freeswitch.ports.phones


@pytest.mark.fault(14)
@pytest.mark.parametrize("how", ["unregister", "expire"])
async def test_one_of_two_phones_that_is_gone_does_not_block_the_agent(centre: CallCentre, how: str) -> None:
    centre.agent_at("1001", "user/1001")
    async with open_phone(phones(centre)) as first, open_phone(phones(centre)) as second:
        await first.register(MINE)
        await second.register(MINE)
        await seen_as(centre, True)
        await gone(centre, first if how == "unregister" else None, f"register-{first.port}-{MINE}")
        await settle()
        assert centre.agent_view("1001").registered is True
        caller = await centre.call()
        await centre.row(caller, "bridged_at IS NOT NULL")
        assert (len(first.rung), len(second.rung)) == (0, 1)
        await centre.hang_up(caller)
        await centre.row(caller)
        await gone(centre, second if how == "unregister" else None, MINE)
        await seen_as(centre, False)
        await second.register(MINE)
        await seen_as(centre, True)


async def gone(centre: CallCentre, phone: Phone | None, whom: str) -> None:
    """Take a registration back, from the phone or as one that has run out."""
    if phone is not None:
        await phone.register(MINE, expires=0)
    else:
        await centre.console.api(f"sofia profile phones flush_inbound_reg {whom}")


@pytest.mark.fault(14)
async def test_the_same_user_of_another_domain_is_somebody_else(centre: CallCentre) -> None:
    centre.agent_at("1001", "user/1001")
    async with open_phone(phones(centre)) as mine, open_phone(phones(centre)) as other:
        await mine.register(MINE)
        await other.register(OTHER)
        await seen_as(centre, True)
        # Its own call: of the other domain's user, as the phone names itself.
        await other.call("answer", f"<sip:{OTHER}>")
        await until(lambda: has_call_of(centre, OTHER))
        await settle()
        assert centre.agent_view("1001").external_call is False
        await other.register(OTHER, expires=0)
        await settle()
        assert centre.agent_view("1001").registered is True
        caller = await centre.call()
        await centre.row(caller, "bridged_at IS NOT NULL")
        assert (len(mine.rung), len(other.rung)) == (1, 0)
        await centre.hang_up(caller)
        await mine.call("answer", f"<sip:{MINE}>")
        await until(lambda: centre.agent_view("1001").external_call)
        await centre.console.api("hupall")
        await until(lambda: not centre.agent_view("1001").external_call)


async def has_call_of(centre: CallCentre, address: str) -> bool:
    return any(channel["presence_id"] == address for channel in await centre.console.channels())


@pytest.mark.fault(15)
async def test_nobody_joins_a_queue_whose_only_phone_is_not_registered(centre: CallCentre) -> None:
    centre.agent_at("1001", "user/1001", queue="needed")
    async with open_phone(phones(centre)) as phone:
        await phone.register(MINE)
        await seen_as(centre, True)
        await phone.register(MINE, expires=0)
        await seen_as(centre, False)
        caller = await centre.call("visit-needed", wait=False)
        assert (await centre.row(caller))["reason"] == "EMPTY"


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"Sami\\ ", "Sami"),
        (r"Dr. \"Q\" Neil", "Dr. 'Q' Neil"),
        ("A/B Ltd", "A-B Ltd"),
        ("CallQ:#Ada", "CallQ #Ada"),
        ("ada@b.example", "ada b.example"),
        ("100%0aX", "100 X"),
        ("Müller \u009b2J", "Müller 2J"),
        ("Ada Caller", "Ada Caller"),
    ],
)
async def test_whatever_the_caller_is_called_the_phone_rings_and_shows_it(
    centre: CallCentre, name: str, shown: str
) -> None:
    centre.agent_at("1001", "user/1001")
    ports = centre.freeswitch.ports
    async with open_phone(ports.phones) as phone, open_phone(ports.trunk) as trunk:
        await phone.register(MINE)
        await seen_as(centre, True)
        await trunk.call("callctl", f'"{name}" <sip:4930123@127.0.0.1>')
        await until(lambda: bool(phone.rung))
        assert phone.rung[0].startswith(f'From: "{shown}" <sip:4930123@')
        await until(lambda: bool(centre.rows("SELECT 1 FROM calls WHERE bridged_at IS NOT NULL")))
        await centre.console.api("hupall")


@pytest.mark.fault(3)
async def test_a_phone_that_is_switched_off_is_not_one_that_nobody_answers(centre: CallCentre) -> None:
    """The registration stands, and nothing comes back from there until the ring timeout."""
    centre.agent_at("1001", "user/1001", max_no_answer=1)
    async with open_phone(phones(centre)) as phone:
        await phone.register(MINE)
        await seen_as(centre, True)
        phone.is_off = True
        caller = await centre.call()
        await until(lambda: centre.offers(caller) == [("1001", "failed")])
        view = centre.agent_view("1001")
        assert (view.status, view.misses) == ("Available", 0)
        assert "reached no phone" in view.why_not_free
        await centre.hang_up(caller)
