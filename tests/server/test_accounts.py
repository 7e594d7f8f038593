"""Whose a call is, and that nobody is transferred from one account into another."""

from __future__ import annotations

import pytest
from attrs import evolve

from callctl.model import OverflowRule, QueueSettings
from callctl.sim.api import run_api
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, CALLER, HANGS_UP

SHARED = evolve(CALLER, account="*")
ACME = QueueSettings(name="acme-sales", account="acme", ring_timeout=2)
GLOBEX = QueueSettings(name="globex-help", account="globex", ring_timeout=2)


@pytest.mark.parametrize(
    ("queue", "account_id", "account"),
    [
        ("acme-sales", "default", "acme"),
        ("acme-sales", "globex", "acme"),
        ("caller", "globex", "globex"),
        ("caller", "4711", "4711"),
        ("caller", "default", "default"),
    ],
)
async def test_a_call_is_of_its_queues_account_and_in_a_shared_queue_of_its_own(
    theatre, queue: str, account_id: str, account: str
) -> None:
    async with theatre(SHARED, ACME, GLOBEX) as t:
        t.hire("1001", HANGS_UP, queue, account="*")
        await t.call(Caller(variables={"queue": queue, "account_id": account_id}))
    [call] = t.rows("calls")
    assert (call["account"], call["account_id"], call["reason"]) == (account, account_id, "BRIDGED")


async def test_an_overflow_into_a_shared_queue_keeps_the_account(theatre) -> None:
    acme = evolve(ACME, overflow=(OverflowRule(waited=0.1, to="queue:caller"),))
    async with theatre(SHARED, acme) as t:
        t.hire("1001", HANGS_UP, account="*")
        await t.call(Caller(variables={"queue": "acme-sales", "account_id": "4711"}))
    assert [(row["queue"], row["account"]) for row in t.rows("calls", order="joined_at")] == [
        ("acme-sales", "acme"),
        ("caller", "acme"),
    ]


async def transferred(t, queue: str) -> None:
    """Let a caller of acme's queue be sent to another queue, and wait until the next visit has begun."""
    switch = t.stage.switch
    uuid = switch.place_call(Caller(variables={"queue": "acme-sales"}, patience=2))
    await t.until(lambda: run_api(switch, f"uuid_getvar {uuid} callctl_account") == "acme")
    # As callctl-enter does in the dialplan.
    run_api(switch, f"uuid_setvar {uuid} callctl_call")
    run_api(switch, f"uuid_setvar {uuid} queue {queue}")
    run_api(switch, f"uuid_transfer {uuid} callctl XML public")
    await t.until(lambda: len(t.rows("calls")) == 2)
    await t.until(lambda: not switch.is_known(uuid))


@pytest.mark.parametrize("default", [SHARED, evolve(CALLER, account="globex")], ids=["shared", "foreign"])
async def test_nobody_is_transferred_into_a_queue_of_another_account(theatre, default: QueueSettings) -> None:
    async with theatre(default, ACME, GLOBEX) as t:
        await transferred(t, "globex-help")
        assert t.waiting() == 0
    first, second = t.rows("calls", order="joined_at")
    assert (first["account"], first["reason"]) == ("acme", "TRANSFERRED")
    if default is SHARED:
        assert (second["queue"], second["account"]) == ("caller", "acme")
    else:
        assert (second["queue"], second["account"], second["reason"]) == ("globex-help", "acme", "ERROR")


async def test_an_agent_transfers_callers_within_the_account(theatre) -> None:
    acme_help = evolve(ACME, name="acme-help")
    async with theatre(SHARED, ACME, acme_help) as t:
        await transferred(t, "acme-help")
    assert [row["queue"] for row in t.rows("calls", order="joined_at")] == ["acme-sales", "acme-help"]


async def test_a_mistyped_queue_leads_to_a_default_queue_of_the_same_account_alone(theatre) -> None:
    async with theatre(evolve(CALLER, account="globex"), ACME) as t:
        t.hire("1001", ANSWERS, account="globex")
        await t.call(Caller(variables={"queue": "acme-sails", "account_id": "acme"}, patience=1))
        await t.call(Caller(variables={"queue": "acme-sails", "account_id": "4711"}, talk_seconds=0.1))
    first, second = t.rows("calls", order="joined_at")
    assert (first["account"], first["reason"], first["agent"]) == ("acme", "ERROR", "")
    assert (second["account"], second["reason"], second["agent"]) == ("globex", "BRIDGED", "1001")


async def test_the_agents_phone_rings_for_no_call_of_another_account(theatre) -> None:
    async with theatre(SHARED, ACME, GLOBEX) as t:
        t.hire("1001", Endpoint(answer_after=0.05, talk_seconds=0.1), "globex-help", account="globex")
        await t.call(Caller(variables={"queue": "acme-sales"}, patience=0.5))
    assert t.rows("offers") == []
