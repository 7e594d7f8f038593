"""A token sees and touches the things of its account, and nothing of another one, on any route.

The walk takes every operation of the table with tokens of two accounts and of each scope, for a thing of the
own account, for one of the other, and for one that is not there. An operation that is new has to be added
to `WALK`, or the test fails.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve, frozen

from callctl.api.app import public_app
from callctl.api.operations import Operation
from callctl.model import (
    AgentSettings,
    AgentStatus,
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Outcome,
    PassedOver,
    QueueSettings,
    Reason,
    Scope,
    Strategy,
    Tier,
    TokenRecord,
)
from tests.api.house import Visited, open_house
from tests.api.issuer import Issuer, bearer, own_issuer
from tests.api.test_operations import OPERATIONS

ACCOUNTS = ("acme", "globex")
SCOPES = tuple(Scope)
STREAM_SECONDS = 0.3
"""How long an answer without an end is read."""

NOBODY = "nobody"
"""The account of things that are not there."""

WALK: Mapping[str, Any] = {
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": None,
    "POST /login": {"token": "no token"},
    "POST /logout": None,
    "GET /api/v1/agents": None,
    "GET /api/v1/events": None,
    "GET /api/v1/live": None,
    "GET /api/v1/agents/{name}": None,
    "PUT /api/v1/agents/{name}": {"contact": "user/1"},
    "PATCH /api/v1/agents/{name}": {"wrap_up_time": 7},
    "DELETE /api/v1/agents/{name}": None,
    "POST /api/v1/agents/{name}/status": {"status": "On Break"},
    "POST /api/v1/agents/{name}/wrap-up": {},
    "GET /api/v1/queues": None,
    "GET /api/v1/queues/{name}": None,
    "PUT /api/v1/queues/{name}": {"ring_timeout": 7},
    "PATCH /api/v1/queues/{name}": {"ring_timeout": 7},
    "DELETE /api/v1/queues/{name}": None,
    "GET /api/v1/queues/{queue}/tiers": None,
    "GET /api/v1/queues/{queue}/tiers/{agent}": None,
    "PUT /api/v1/queues/{queue}/tiers/{agent}": {"level": 2},
    "DELETE /api/v1/queues/{queue}/tiers/{agent}": None,
    "GET /api/v1/calls": None,
    "GET /api/v1/calls/{uuid}": None,
    "POST /api/v1/calls/{uuid}/hangup": {},
    "POST /api/v1/calls/{uuid}/transfer": {"extension": "1000"},
    "POST /api/v1/calls/{uuid}/priority": {"base_score": 5},
    "POST /api/v1/calls/{uuid}/withdraw": None,
    "GET /api/v1/me": None,
    "GET /api/v1/openapi.json": None,
    "GET /api/v1/tokens": None,
    "POST /api/v1/tokens": {
        "subject": "crm",
        "scope": "agent",
        "account": "{account}",
        "agent": "{account}-1",
    },
    "DELETE /api/v1/tokens/{jti}": None,
}
"""The body of each operation, None where it takes none."""

QUERIES: Mapping[str, bytes] = {"GET /api/v1/events": b"after=0"}
"""The parameters with which an operation shows all that it can."""

ABOUT_CALLS = ("/calls", "/events", "/live")
"""Where an account sees the names of shared queues and agents: on its own calls."""

MAKES = frozenset({"PUT /api/v1/agents/{name}", "PUT /api/v1/queues/{name}", "DELETE /api/v1/tokens/{jti}"})
"""What makes a thing of a name that is not there yet; of a name of another account it says that it is not."""

OPEN = frozenset({"GET /healthz", "GET /readyz", "GET /metrics", "POST /login", "POST /logout"})
"""What shows nothing of any account, or all of it to whoever watches over the machine."""

NEEDS_WRAP_UP = frozenset({"POST /api/v1/agents/{name}/wrap-up"})
"""What can be done at some moments alone: 409 says as much of a thing as 200."""


@frozen
class Got:
    """An answer: its status and its text, headers included."""

    status: int
    text: str


def queues() -> Mapping[str, QueueSettings]:
    own = [QueueSettings(name=f"{account}-queue", account=account) for account in ACCOUNTS]
    return {each.name: each for each in (*own, QueueSettings(name="shared-queue", account="*"))}


def populate(visited: Visited) -> None:
    """Let each account have an agent, a token, a call that waits, one in the shared queue, and a past one."""
    act, now = visited.house.act, visited.house.now()
    for name, account, served in (
        *((f"{account}-1", account, (f"{account}-queue", "shared-queue")) for account in ACCOUNTS),
        ("shared-1", "*", (*(f"{account}-queue" for account in ACCOUNTS), "shared-queue")),
    ):
        settings = AgentSettings(
            name=name, account=account, contact=f"user/{name}", display_name=f"{account} person"
        )
        act(lambda d, now, settings=settings: d.put_agent(settings, now))
        for queue in served:
            act(lambda d, now, queue=queue, name=name: d.put_tier(Tier(queue=queue, agent=name), now))
    for account in ACCOUNTS:
        about = {"account": account, "account_id": account, "caller_name": account, "lead_number": account}
        waiting = visited.join(f"{account}-call", f"{account}-queue", **about)
        visited.join(f"{account}-shared-call", "shared-queue", **about)
        past = f"{account}-past"
        arrival = evolve(waiting.arrival, call=past, uuid=f"uuid-{past}", joined_at=now - 60)
        chosen, others = f"{account}-1", [f"{other}-1" for other in (*ACCOUNTS, "shared") if other != account]
        for fact in (
            waiting,
            CallRecord(
                arrival=evolve(arrival, queue="shared-queue"),
                state=CallState.ENDED,
                reason=Reason.BRIDGED,
                outcome=Outcome.HANDLED,
                hung_up_by=HungUpBy.CALLER,
                agent=chosen,
                bridged_at=now - 50,
                ended_at=now - 40,
            ),
            CallEvent(call=past, at=now - 60, event="joined", detail="shared-queue, position 1"),
            OfferRecord(
                id=f"offer-{past}",
                call=past,
                agent=chosen,
                leg_uuid=f"leg-{past}",
                offered_at=now - 55,
                ended_at=now - 50,
                result=OfferResult.ANSWERED,
            ),
            Decision(
                id=f"decision-{past}",
                at=now - 55,
                call=past,
                queue="shared-queue",
                strategy=Strategy.LONGEST_IDLE_AGENT,
                chosen=(chosen,),
                order=(chosen, *others),
                passed_over=tuple(PassedOver(agent=each, why=f"{chosen} waits longer") for each in others),
            ),
        ):
            visited.house.record(fact)
        visited.house.access.tokens.add(
            TokenRecord(
                jti=f"{account}-jti",
                subject=f"{account} crm",
                account=account,
                scope="read",
                created_at=now,
                expires_at=now + 1000,
            )
        )


@asynccontextmanager
async def two_accounts(folder: Path) -> AsyncIterator[tuple[Visited, Issuer]]:
    await trio.Path(folder).mkdir()
    issuer, http = own_issuer(folder)
    async with open_house(folder / "callctl.db", http, queues()) as visited:
        populate(visited)
        await visited.house.written()
        yield visited, issuer


def path_of(operation: Operation, account: str) -> str:
    name = f"{account}-queue" if "/queues/" in operation.path else f"{account}-1"
    return operation.path.format(
        name=name,
        queue=f"{account}-queue",
        agent=f"{account}-1",
        uuid=f"uuid-{account}-call",
        jti=f"{account}-jti",
    )


async def ask(visited: Visited, operation: Operation, token: str, account: str, mine: str) -> Got:
    """Send a request straight to the application, and read its answer; one without an end for a while."""
    body = WALK[operation.name]
    content = (
        b""
        if body is None
        else json.dumps(body).replace("{account}", account).replace("{mine}", mine).encode()
    )
    headers = [(name.lower().encode(), value.encode()) for name, value in bearer(token).items()]
    if content:
        headers.append((b"content-type", b"application/json"))
    path = path_of(operation, account)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": operation.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": QUERIES.get(operation.name, b""),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"x-request-id", b"the-walk"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    status, parts, is_sent = 0, list[str](), False

    async def receive() -> dict[str, Any]:
        nonlocal is_sent
        if is_sent:
            await trio.sleep_forever()
        is_sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            status = message["status"]
            parts.append(str(message["headers"]))
        else:
            parts.append(message.get("body", b"").decode())

    with trio.move_on_after(STREAM_SECONDS if operation.streams else 10) as patience:
        await public_app(visited.house, visited.metrics)(scope, receive, send)
    assert operation.streams or not patience.cancelled_caught, f"{operation.name} does not end"
    return Got(status, "\n".join(parts))


def things_of(visited: Visited, account: str) -> tuple[Any, ...]:
    """Return what of an account must not be touched by another one."""
    agents = [each for each in visited.house.act(lambda d, now: d.agents(now)) if account in each.name]
    members = visited.house.act(lambda d, now: d.members(now))
    return (
        [
            (each.settings, each.status, each.state, each.call, each.tiers)
            for each in agents
            if account in each.name
        ],
        [(each.call, each.base_score) for each in members if account in each.call],
        [each for each in visited.calls.done if any(account in part for part in each)],
        [each for each in visited.house.access.tokens.all() if each.account == account],
        {name: each for name, each in visited.house.queues.items() if account in name},
    )


def check_nothing_is_seen(operation: Operation, got: Got, other: str) -> None:
    assert other not in got.text, f"{operation.name} shows something of {other}"
    if not any(part in operation.path for part in ABOUT_CALLS):
        assert "shared" not in got.text, f"{operation.name} shows something that is shared"


def body_of(got: Got) -> tuple[int, str]:
    """Return an answer without its headers, in which the length of the name tells."""
    return got.status, got.text.partition("\n")[2]


def test_every_operation_is_in_the_walk() -> None:
    assert {operation.name for operation in OPERATIONS} == set(WALK)


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.name not in OPEN], ids=lambda it: it.name
)
async def test_the_walk_sees_and_touches_nothing_of_another_account(
    tmp_path: Path, operation: Operation
) -> None:
    statuses = set()
    for mine, other in (ACCOUNTS, ACCOUNTS[::-1]):
        for scope in SCOPES:
            async with two_accounts(tmp_path / f"{mine}-{scope}") as (visited, issuer):
                token = issuer.token(scope=scope.value, account=mine, agent=f"{mine}-1")
                before = things_of(visited, other)
                foreign = await ask(visited, operation, token, other, mine)
                missing = await ask(visited, operation, token, NOBODY, mine)
                own = await ask(visited, operation, token, mine, mine)
                if "{" not in operation.path:
                    check_nothing_is_seen(
                        operation,
                        evolve(foreign, text=foreign.text.replace(f"no agent '{other}-1'", "")),
                        other,
                    )
                elif operation.name in MAKES and foreign.status != 403:
                    assert (foreign.status, "there is no" in foreign.text) == (404, True)
                else:
                    assert foreign.status in (403, 404)
                    hidden = evolve(foreign, text=foreign.text.replace(other, NOBODY))
                    assert body_of(hidden) == body_of(missing)
                check_nothing_is_seen(operation, own, other)
                if operation.streams and own.status == 200:
                    assert mine in own.text, "a stream that shows nothing shows nothing wrong"
                assert things_of(visited, other) == before
                statuses.add(own.status)
    of_use = {200, 201, 202, 204} | ({409} if operation.name in NEEDS_WRAP_UP else set())
    assert statuses & of_use, "nobody may use it"


async def test_in_a_shared_queue_only_the_agent_who_was_rung_is_named(tmp_path: Path) -> None:
    async with two_accounts(tmp_path / "house") as (visited, issuer):
        token = issuer.token(scope="read", account="acme")
        for uuid in ("uuid-acme-past", "uuid-acme-shared-call"):
            answer = await visited.public.get(f"/api/v1/calls/{uuid}", headers=bearer(token))
            assert answer.status_code == 200
            assert "globex" not in answer.text
            assert "shared-1" not in answer.text
            assert "acme-1" in answer.text
        everything = bearer(issuer.token(scope="read", account="*"))
        answer = await visited.public.get("/api/v1/calls/uuid-acme-past", headers=everything)
        assert "globex-1" in answer.text


async def test_the_calls_that_begin_alike_are_counted_in_the_own_account_alone(tmp_path: Path) -> None:
    async with two_accounts(tmp_path / "house") as (visited, issuer):
        headers = bearer(issuer.token(scope="read", account="acme"))
        assert (await visited.public.get("/api/v1/calls/uuid-acme-pa", headers=headers)).status_code == 200
        shown = await visited.public.get("/api/v1/calls/uuid-", headers=headers)
        assert (shown.status_code, "globex" in shown.text) == (404, False)


async def test_an_agent_of_the_account_shows_no_call_of_another_one(tmp_path: Path) -> None:
    async with two_accounts(tmp_path / "house") as (visited, issuer):
        act = visited.house.act
        act(lambda d, now: d.leave("acme-shared-call", now))
        act(lambda d, now: d.leave("acme-call", now))
        act(lambda d, now: d.set_status("acme-1", AgentStatus.AVAILABLE, now))
        assert act(lambda d, now: d.agent("acme-1", now)).call == "globex-shared-call"
        headers = bearer(issuer.token(scope="read", account="acme"))
        shown = (await visited.public.get("/api/v1/agents/acme-1", headers=headers)).json()
        assert (shown["state"], shown["call"]) == ("Reserved", "")
        everything = bearer(issuer.token(scope="read", account="*"))
        shown = (await visited.public.get("/api/v1/agents/acme-1", headers=everything)).json()
        assert shown["call"] == "globex-shared-call"


async def test_what_a_token_makes_is_of_its_account(tmp_path: Path) -> None:
    async with two_accounts(tmp_path / "house") as (visited, issuer):
        headers = bearer(issuer.token(scope="admin", account="acme"))
        put, patch = visited.public.put, visited.public.patch
        made = await put("/api/v1/agents/new", json={}, headers=headers)
        assert (made.status_code, made.json()["account"]) == (201, "acme")
        for account in ("globex", "*", "default"):
            body = {"account": account}
            assert (await put("/api/v1/agents/other", json=body, headers=headers)).status_code == 403
            assert (await patch("/api/v1/agents/acme-1", json=body, headers=headers)).status_code == 403
        replaced = await put("/api/v1/agents/acme-1", json={"contact": "user/2"}, headers=headers)
        assert replaced.json()["account"] == "acme"
        everything = bearer(issuer.token(scope="admin", account="*"))
        refused = await patch("/api/v1/agents/acme-1", json={"account": "globex"}, headers=everything)
        assert (refused.status_code, refused.json()["detail"]) == (
            422,
            "agent acme-1 of account globex cannot serve queue acme-queue of account acme",
        )
        crossing = await put("/api/v1/queues/globex-queue/tiers/acme-1", json={}, headers=everything)
        assert crossing.status_code == 422


async def test_calls_are_asked_for_by_account(tmp_path: Path) -> None:
    async with two_accounts(tmp_path / "house") as (visited, issuer):
        for account, wanted, count in (("*", "acme", 2), ("acme", "acme", 2), ("acme", "globex", 0)):
            headers = bearer(issuer.token(scope="read", account=account))
            for live, number in (("true", count), ("", count)):
                query = {"account": wanted, **({"live": live} if live else {})}
                answer = await visited.public.get("/api/v1/calls", params=query, headers=headers)
                assert {each["account"] for each in answer.json()["calls"]} <= {wanted}
                assert len(answer.json()["calls"]) == number
