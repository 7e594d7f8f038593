"""What could run a command on a switch needs the scope admin: contacts with variables, other dialplans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.house import Visited, open_house
from tests.api.issuer import bearer, own_issuer

AGENT = "/api/v1/agents/1001"
CAN_RUN_COMMANDS = [
    "[execute_on_answer='system touch /tmp/x']user/1001",
    "{api_on_answer=reloadxml}user/1001",
    "user/1001,[execute_on_ring=hangup]user/1002",
    "loopback/app=system:touch /tmp/x",
    "Loopback/APP=system:touch",
    "loopback/system:touch/default/inline",
    "user/1001,loopback/9999",
]


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[tuple[Visited, dict[str, str], dict[str, str]]]:
    """A house with the agent 1001, a supervisor and an admin."""
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        visited.hire("1001")
        supervisor, admin = (bearer(issuer.token(scope=scope)) for scope in ("supervisor", "admin"))
        yield visited, supervisor, admin


@pytest.mark.parametrize("contact", CAN_RUN_COMMANDS)
async def test_a_contact_that_can_run_commands_needs_an_admin(
    people: tuple[Visited, dict[str, str], dict[str, str]], contact: str
) -> None:
    visited, supervisor, admin = people
    for method, path, body in (
        ("PATCH", AGENT, {"contact": contact}),
        ("PUT", AGENT, {"contact": contact}),
        ("PUT", AGENT, {"contacts": {"fs1": contact}}),
        ("PUT", "/api/v1/agents/new", {"contact": contact}),
    ):
        refusal = await visited.public.request(method, path, json=body, headers=supervisor)
        assert refusal.status_code == 403
        assert 'scope="admin"' in refusal.headers["www-authenticate"]
    agents = (await visited.control.get("/api/v1/agents")).json()["agents"]
    assert [(agent["name"], agent["contact"], agent["contacts"]) for agent in agents] == [
        ("1001", "user/1001", {})
    ]
    assert (await visited.public.patch(AGENT, json={"contact": contact}, headers=admin)).status_code == 200


async def test_what_an_admin_has_set_may_stay_when_others_change_the_rest(
    people: tuple[Visited, dict[str, str], dict[str, str]],
) -> None:
    visited, supervisor, admin = people
    contact = "[leg_timeout=10]user/1001"
    assert (await visited.public.put(AGENT, json={"contact": contact}, headers=admin)).status_code == 200
    change = {"wrap_up_time": 5}
    assert (await visited.public.patch(AGENT, json=change, headers=supervisor)).status_code == 200
    again = {"contact": contact, "wrap_up_time": 6}
    assert (await visited.public.put(AGENT, json=again, headers=supervisor)).status_code == 200
    other = {"contact": "[leg_timeout=11]user/1001"}
    assert (await visited.public.patch(AGENT, json=other, headers=supervisor)).status_code == 403


@pytest.mark.parametrize("contact", ["user/1001", "sofia/gateway/trunk/4930123", "user/1001,user/1002", ""])
async def test_a_plain_contact_needs_no_admin(
    people: tuple[Visited, dict[str, str], dict[str, str]], contact: str
) -> None:
    visited, supervisor, _ = people
    answer = await visited.public.patch(AGENT, json={"contact": contact}, headers=supervisor)
    assert answer.status_code == 200


async def test_a_transfer_that_names_applications_needs_an_admin(
    people: tuple[Visited, dict[str, str], dict[str, str]],
) -> None:
    visited, supervisor, admin = people
    visited.join("c1")
    order = {"extension": "system:touch /tmp/x", "dialplan": "inline"}
    refusal = await visited.public.post("/api/v1/calls/c1/transfer", json=order, headers=supervisor)
    assert refusal.status_code == 403
    assert visited.calls.done == []
    plain = {"extension": "1000"}
    for headers, body in ((supervisor, plain), (admin, order)):
        answer = await visited.public.post("/api/v1/calls/c1/transfer", json=body, headers=headers)
        assert answer.status_code == 202
