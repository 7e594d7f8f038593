"""Every route comes from the one table, and who may use it stands there."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import attrs
import httpx2
import pytest
from attrs import evolve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from callctl.api.access import Principal
from callctl.api.operations import API, Operation, operations_of, routes_of
from callctl.api.problems import handlers
from callctl.api.shapes import AgentShape, Alive, Answer, CallShape, Ready
from callctl.model import EVERY_ACCOUNT, AgentSettings, Arrival, CallRecord, CallState, Scope
from callctl.store.rows import entries_of
from tests.api.house import Visited


class _Nothing:
    """Stands where the table's maker wants a server; nothing is asked of it here."""

    def __getattr__(self, name: str) -> _Nothing:
        return self


NOTHING: Any = _Nothing()
OPERATIONS = operations_of(NOTHING, NOTHING)
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def principal(*scopes: Scope, account: str = EVERY_ACCOUNT, agent: str = "") -> Principal:
    return Principal(subject="ada", scopes=frozenset(scopes), account=account, agent=agent)


def client_of(operation: Operation, who: Principal) -> httpx2.AsyncClient:
    async def admit(_request: Request, asked: Operation) -> Principal:
        asked.check(who)
        return who

    app = Starlette(routes=routes_of([operation], admit), exception_handlers=handlers())
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://callctl")


def example(gives: Any = Alive, answer: Any = None) -> Operation:
    async def endpoint(_request: Request) -> Response:
        return Answer(answer or Alive(alive=True))

    return Operation(
        method="GET",
        path="/example",
        summary="An example.",
        endpoint=endpoint,
        scope=Scope.READ,
        gives={HTTPStatus.OK: gives},
    )


def test_each_operation_stands_in_the_table_once() -> None:
    assert len(BY_NAME) == len(OPERATIONS)


def test_all_that_is_open_to_everybody_lies_outside_of_the_api() -> None:
    is_open = {each.path: each.scope is None or each.is_open_to_monitoring for each in OPERATIONS}
    assert [path for path in is_open if is_open[path]] == [
        "/healthz",
        "/readyz",
        "/metrics",
        "/login",
        "/logout",
    ]
    assert all(path.startswith(API) for path in is_open if not is_open[path])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_each_route_is_there_and_without_keys_says_on_tcp_how_to_set_them(
    visited: Visited, operation: Operation
) -> None:
    path = operation.path.format(name="nobody", queue="nowhere", agent="nobody", uuid="none", jti="none")
    # What has no end is asked for its head alone.
    method = "HEAD" if operation.streams else operation.method
    there = await visited.control.request(method, path)
    assert there.status_code not in (405, 500)
    if there.status_code == 404:
        assert not there.json()["detail"].startswith("nothing is at"), "it is the thing that is missing"
    public = await visited.public.request(operation.method, path)
    if not operation.path.startswith(API):
        assert public.status_code == there.status_code
    else:
        assert public.status_code == 401
        assert public.headers["content-type"] == "application/problem+json"
        assert public.headers["www-authenticate"] == 'Bearer realm="callctl"'
        assert "jwt-secret-file" in public.json()["detail"]


@pytest.mark.parametrize(
    ("scope", "may", "may_not"),
    [
        (
            Scope.READ,
            ["GET /api/v1/agents", "GET /api/v1/queues/{name}", "GET /api/v1/calls/{uuid}"],
            [
                "POST /api/v1/agents/{name}/status",
                "PUT /api/v1/agents/{name}",
                "POST /api/v1/calls/{uuid}/hangup",
            ],
        ),
        (
            Scope.AGENT,
            ["GET /api/v1/agents", "POST /api/v1/agents/{name}/status", "POST /api/v1/agents/{name}/wrap-up"],
            ["GET /api/v1/queues/{name}", "PUT /api/v1/agents/{name}", "POST /api/v1/calls/{uuid}/hangup"],
        ),
        (
            Scope.SUPERVISOR,
            ["GET /api/v1/queues/{name}", "PUT /api/v1/agents/{name}", "POST /api/v1/calls/{uuid}/hangup"],
            [],
        ),
    ],
)
def test_a_scope_covers_what_the_table_says(scope: Scope, may: list[str], may_not: list[str]) -> None:
    who = principal(scope, agent="1001")
    for name in may:
        BY_NAME[name].check(who)
    for name in may_not:
        with pytest.raises(HTTPException) as refusal:
            BY_NAME[name].check(who)
        assert refusal.value.status_code == 403


def test_admin_may_do_everything() -> None:
    for operation in OPERATIONS:
        operation.check(principal(Scope.ADMIN))


async def test_a_token_that_does_not_suffice_is_told_what_would() -> None:
    async with client_of(evolve(example(), scope=Scope.ADMIN), principal(Scope.READ)) as client:
        answer = await client.get("/example")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "this needs the scope admin"
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="callctl", error="insufficient_scope", scope="admin"'
    )


async def test_what_shows_every_account_needs_a_token_of_every_account() -> None:
    operation = evolve(example(), every_account=True)
    for account, status in (("acme", 403), ("default", 403), (EVERY_ACCOUNT, 200)):
        async with client_of(operation, principal(Scope.READ, account=account)) as client:
            assert (await client.get("/example")).status_code == status


async def test_an_answer_that_the_table_does_not_name_is_our_mistake() -> None:
    for operation in (
        example(gives=Ready),
        example(gives=None),
        evolve(example(), gives={HTTPStatus.CREATED: Alive}),
    ):
        async with client_of(operation, principal(Scope.READ)) as client:
            with capture_logs():
                assert (await client.get("/example")).status_code == 500
    async with client_of(example(), principal(Scope.READ)) as client:
        assert (await client.get("/example")).json() == {"alive": True}


def test_every_column_of_a_call_and_every_setting_of_an_agent_is_shown() -> None:
    arrival = Arrival(call="c1", uuid="u1", switch="fs1", queue="caller", arrived_at=0, joined_at=0)
    [entry] = entries_of(CallRecord(arrival=arrival, state=CallState.WAITING))
    assert set(entry.row) < set(CallShape.__struct_fields__)
    assert {attribute.name for attribute in attrs.fields(AgentSettings)} < set(AgentShape.__struct_fields__)


async def test_unknown_parameters_are_refused(visited: Visited) -> None:
    for path in ("agents?quee=sales", "queues?queue=sales", "calls?quee=sales", "calls/c1?x=1"):
        answer = await visited.control.get(f"/api/v1/{path}")
        assert answer.status_code == 422, path


def test_whoever_has_the_scope_agent_acts_for_that_agent_alone() -> None:
    agent = principal(Scope.AGENT, agent="1001")
    assert agent.acts_for("1001")
    assert not agent.acts_for("1002")
    assert not principal(Scope.AGENT).acts_for("")
    assert not principal(Scope.READ, agent="1001").acts_for("1001")
    assert principal(Scope.SUPERVISOR).acts_for("1002")
    assert (agent.only_agent, principal(Scope.AGENT).only_agent, principal(Scope.READ).only_agent) == (
        "1001",
        "",
        None,
    )


def test_an_account_sees_its_own_things_and_nothing_shared() -> None:
    acme = principal(Scope.ADMIN, account="acme")
    assert [acme.sees(account) for account in ("acme", "globex", EVERY_ACCOUNT)] == [True, False, False]
    everything = principal(Scope.READ)
    assert all(everything.sees(account) for account in ("acme", "globex", EVERY_ACCOUNT))
