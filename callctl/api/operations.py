"""The one table of operations: every route, who may use it, what it takes, and what it gives.

From it come the routes on TCP and on the control socket, the check of the scope, the OpenAPI document, the
table in the documentation, and the tests that walk every route. There is no route outside of it.

To add an operation, add it to `operations_of`. The endpoint reads its query with `query_of` and its body with
`read` or `read_body` (both in `reading`), and gives the `Answer` of a record. What it really takes and gives
is compared with the table at each request, so that the OpenAPI document cannot be untrue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import attrs
from attrs import field, frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from callctl.api.access import Principal, insufficient, note
from callctl.api.agents import Agents
from callctl.api.calls import Calls
from callctl.api.events import Events, EventsQuery
from callctl.api.health import Health
from callctl.api.house import House
from callctl.api.listeners import take_stream_place
from callctl.api.live import Live
from callctl.api.login import Logins
from callctl.api.metrics import Metrics
from callctl.api.openapi import Description
from callctl.api.queues import Queues
from callctl.api.reading import (
    AgentsQuery,
    Hangup,
    Login,
    NewToken,
    Priority,
    StatusChange,
    Transfer,
    WrapUpChange,
    check_no_query,
    note_operation,
)
from callctl.api.selection import CallsQuery
from callctl.api.shapes import (
    AgentList,
    AgentShape,
    Alive,
    Answer,
    CallDetail,
    CallList,
    CallShape,
    LoggedIn,
    MadeToken,
    Me,
    OrderTaken,
    QueueDetail,
    QueueList,
    Ready,
    TierList,
    TierShape,
    TokenList,
)
from callctl.api.tokens import Tokens
from callctl.model import AgentSettings, QueueSettings, Scope, Tier

API = "/api/v1"
JSON = "application/json"

Endpoint = Callable[[Request], Awaitable[Response]]


@frozen(kw_only=True)
class Operation:
    """One method of one path.

    `scope` is the least that is needed, None for what is open to everybody. `for_agent` says in words what
    somebody with the scope `agent` alone gets from it; "" means nothing, where `scope` is another one. With
    `every_account` only a principal of account `*` may use it. What `is_open_to_monitoring` needs no token on
    loopback, nor where `[http] metrics = "open"` says so.

    `query` and `body` are the records that it takes. A field of the body that is also part of the path
    (`name` in `/agents/{name}`) is not in the body. With `is_partial` each field may be missing. `gives` is
    the record of each answer that is no problem, None where the answer is empty or no JSON; the first is the
    usual one. `media_type` is that of the usual answer. An operation that `streams` answers without an end,
    and has a place among the streams while it does.
    """

    method: str
    path: str
    summary: str
    endpoint: Endpoint = field(repr=False)
    scope: Scope | None
    for_agent: str = ""
    every_account: bool = False
    is_open_to_monitoring: bool = False
    query: type[attrs.AttrsInstance] | None = None
    body: type[attrs.AttrsInstance] | None = None
    is_partial: bool = False
    gives: Mapping[HTTPStatus, type[Any] | None]
    media_type: str = JSON
    streams: bool = False

    @property
    def name(self) -> str:
        """What it is called in the log, in the documentation and in tests: `GET /api/v1/agents`."""
        return f"{self.method} {self.path}"

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """One of these suffices; none where it is open to everybody."""
        if self.scope is None:
            return ()
        return (
            (self.scope, Scope.AGENT) if self.for_agent and self.scope is not Scope.AGENT else (self.scope,)
        )

    def check(self, principal: Principal) -> None:
        """Raise the refusal of a principal that may not use it at all."""
        if self.scope is None:
            return
        if not any(principal.may(scope) for scope in self.scopes):
            raise insufficient(f"this needs the scope {' or '.join(self.scopes)}", self.scopes)
        if self.every_account and not principal.sees_every_account:
            raise insufficient("this shows every account, and needs a token of the account *")

    @property
    def is_health(self) -> bool:
        """Whether it must answer in any case, and to everybody."""
        return self.path in ("/healthz", "/readyz")

    def check_answer(self, response: Response) -> None:
        """Raise AssertionError where an answer is none that the table names: a mistake of ours."""
        status = HTTPStatus(response.status_code)
        given = response.record_type if isinstance(response, Answer) else None
        if status not in self.gives or self.gives[status] is not given:
            raise AssertionError(
                f"{self.name} gave {status.value} with {given}, which the table does not name"
            )


Admit = Callable[[Request, Operation], Awaitable[Principal | None]]
"""Says who asks for an operation, None where it is open to everybody; raises HTTPException for a refusal."""


def operations_of(house: House, metrics: Metrics) -> tuple[Operation, ...]:
    """Return the table, with endpoints that work on `house`."""
    description = Description()
    description.operations = (
        *_health(house, metrics),
        *_logins(house),
        *_agents(house),
        *_queues(house),
        *_calls(house),
        *_streams(house),
        *_tokens(house),
        Operation(
            method="GET",
            path=f"{API}/openapi.json",
            summary="This API, as an OpenAPI document.",
            endpoint=description.show,
            scope=Scope.READ,
            for_agent="all of it",
            gives={HTTPStatus.OK: None},
        ),
    )
    return tuple(description.operations)


def _health(house: House, metrics: Metrics) -> Iterable[Operation]:
    health = Health(house, metrics)
    yield Operation(
        method="GET",
        path="/healthz",
        summary="Whether the process works at all.",
        endpoint=health.alive,
        scope=None,
        gives={HTTPStatus.OK: Alive},
    )
    yield Operation(
        method="GET",
        path="/readyz",
        summary="Whether calls should be sent here, and if not, why not.",
        endpoint=health.ready,
        scope=None,
        gives={HTTPStatus.OK: Ready, HTTPStatus.SERVICE_UNAVAILABLE: Ready},
    )
    yield Operation(
        method="GET",
        path="/metrics",
        summary="The figures of every account, for Prometheus.",
        endpoint=health.show_metrics,
        scope=Scope.READ,
        every_account=True,
        is_open_to_monitoring=True,
        gives={HTTPStatus.OK: None},
        media_type="text/plain",
    )


def _logins(house: House) -> Iterable[Operation]:
    logins = Logins(house)
    yield Operation(
        method="POST",
        path="/login",
        summary="Exchange a token, or a user's password, for a cookie; for browsers.",
        endpoint=logins.log_in,
        scope=None,
        body=Login,
        gives={HTTPStatus.OK: LoggedIn},
    )
    yield Operation(
        method="POST",
        path="/logout",
        summary="End the login of the cookie.",
        endpoint=logins.log_out,
        scope=None,
        gives={HTTPStatus.NO_CONTENT: None},
    )


def _agents(house: House) -> Iterable[Operation]:
    agents = Agents(house)
    one = f"{API}/agents/{{name}}"
    yield Operation(
        method="GET",
        path=f"{API}/agents",
        summary="The agents, or those who serve a queue.",
        endpoint=agents.list_all,
        scope=Scope.READ,
        for_agent="itself alone",
        query=AgentsQuery,
        gives={HTTPStatus.OK: AgentList},
    )
    yield Operation(
        method="GET",
        path=one,
        summary="An agent: the settings, and how it stands.",
        endpoint=agents.show,
        scope=Scope.READ,
        for_agent="itself alone",
        gives={HTTPStatus.OK: AgentShape},
    )
    yield Operation(
        method="PUT",
        path=one,
        summary="Add an agent with these settings, or replace its settings.",
        endpoint=agents.put,
        scope=Scope.SUPERVISOR,
        body=AgentSettings,
        gives={HTTPStatus.OK: AgentShape, HTTPStatus.CREATED: AgentShape},
    )
    yield Operation(
        method="PATCH",
        path=one,
        summary="Change these settings of an agent; the others stay.",
        endpoint=agents.patch,
        scope=Scope.SUPERVISOR,
        body=AgentSettings,
        is_partial=True,
        gives={HTTPStatus.OK: AgentShape},
    )
    yield Operation(
        method="DELETE",
        path=one,
        summary="Remove an agent and its tiers; a talk goes on, and the history stays.",
        endpoint=agents.delete,
        scope=Scope.SUPERVISOR,
        gives={HTTPStatus.NO_CONTENT: None},
    )
    yield Operation(
        method="POST",
        path=f"{one}/status",
        summary="Set what an agent chose to be, why, and for how long.",
        endpoint=agents.set_status,
        scope=Scope.AGENT,
        for_agent="its own",
        body=StatusChange,
        gives={HTTPStatus.OK: AgentShape},
    )
    yield Operation(
        method="POST",
        path=f"{one}/wrap-up",
        summary="End an agent's wrap-up, or lengthen it.",
        endpoint=agents.change_wrap_up,
        scope=Scope.AGENT,
        for_agent="its own",
        body=WrapUpChange,
        gives={HTTPStatus.OK: AgentShape},
    )


def _queues(house: House) -> Iterable[Operation]:
    queues = Queues(house)
    tier = f"{API}/queues/{{queue}}/tiers/{{agent}}"
    yield Operation(
        method="GET",
        path=f"{API}/queues",
        summary="How the queues stand.",
        endpoint=queues.list_all,
        scope=Scope.READ,
        for_agent="the queues that it serves",
        gives={HTTPStatus.OK: QueueList},
    )
    yield Operation(
        method="GET",
        path=f"{API}/queues/{{name}}",
        summary="A queue with its parameters, who waits in it, and who serves it.",
        endpoint=queues.show,
        scope=Scope.READ,
        gives={HTTPStatus.OK: QueueDetail},
    )
    yield Operation(
        method="PUT",
        path=f"{API}/queues/{{name}}",
        summary="Add a queue with these parameters, or replace its parameters.",
        endpoint=queues.put,
        scope=Scope.ADMIN,
        body=QueueSettings,
        gives={HTTPStatus.OK: QueueDetail, HTTPStatus.CREATED: QueueDetail},
    )
    yield Operation(
        method="PATCH",
        path=f"{API}/queues/{{name}}",
        summary="Change these parameters of a queue; the others stay.",
        endpoint=queues.patch,
        scope=Scope.ADMIN,
        body=QueueSettings,
        is_partial=True,
        gives={HTTPStatus.OK: QueueDetail},
    )
    yield Operation(
        method="DELETE",
        path=f"{API}/queues/{{name}}",
        summary="Remove a queue; who waits in it is served, and its tiers and the history stay.",
        endpoint=queues.delete,
        scope=Scope.ADMIN,
        gives={HTTPStatus.NO_CONTENT: None},
    )
    yield Operation(
        method="GET",
        path=f"{API}/queues/{{queue}}/tiers",
        summary="Who serves a queue, by level and position.",
        endpoint=queues.list_tiers,
        scope=Scope.READ,
        gives={HTTPStatus.OK: TierList},
    )
    yield Operation(
        method="GET",
        path=tier,
        summary="An agent's place in a queue.",
        endpoint=queues.show_tier,
        scope=Scope.READ,
        gives={HTTPStatus.OK: TierShape},
    )
    yield Operation(
        method="PUT",
        path=tier,
        summary="Let an agent serve a queue, or change its place in it.",
        endpoint=queues.put_tier,
        scope=Scope.SUPERVISOR,
        body=Tier,
        gives={HTTPStatus.OK: TierShape, HTTPStatus.CREATED: TierShape},
    )
    yield Operation(
        method="DELETE",
        path=tier,
        summary="Let an agent serve a queue no longer; a ring or talk goes on.",
        endpoint=queues.delete_tier,
        scope=Scope.SUPERVISOR,
        gives={HTTPStatus.NO_CONTENT: None},
    )


def _calls(house: House) -> Iterable[Operation]:
    calls = Calls(house)
    one = f"{API}/calls/{{uuid}}"
    yield Operation(
        method="GET",
        path=f"{API}/calls",
        summary="Calls of now and of the past, newest first, in pages.",
        endpoint=calls.list_all,
        scope=Scope.READ,
        for_agent="the calls that it answered",
        query=CallsQuery,
        gives={HTTPStatus.OK: CallList},
    )
    yield Operation(
        method="GET",
        path=one,
        summary="A call: each visit to a queue, with its offers and every step of it.",
        endpoint=calls.show,
        scope=Scope.READ,
        for_agent="the calls that it answered or is offered",
        gives={HTTPStatus.OK: CallDetail},
    )
    yield Operation(
        method="POST",
        path=f"{one}/hangup",
        summary="Hang the caller up.",
        endpoint=calls.hang_up,
        scope=Scope.SUPERVISOR,
        body=Hangup,
        gives={HTTPStatus.ACCEPTED: OrderTaken},
    )
    yield Operation(
        method="POST",
        path=f"{one}/transfer",
        summary="Send the caller to an extension of the dialplan.",
        endpoint=calls.transfer,
        scope=Scope.SUPERVISOR,
        body=Transfer,
        gives={HTTPStatus.ACCEPTED: OrderTaken},
    )
    yield Operation(
        method="POST",
        path=f"{one}/priority",
        summary="Give a waiting caller another base score, and with it a place.",
        endpoint=calls.set_priority,
        scope=Scope.SUPERVISOR,
        body=Priority,
        gives={HTTPStatus.OK: CallShape},
    )
    yield Operation(
        method="POST",
        path=f"{one}/withdraw",
        summary="End the wait; the dialplan goes on with the caller.",
        endpoint=calls.withdraw,
        scope=Scope.SUPERVISOR,
        gives={HTTPStatus.ACCEPTED: OrderTaken},
    )


def _tokens(house: House) -> Iterable[Operation]:
    tokens = Tokens(house)
    yield Operation(
        method="GET",
        path=f"{API}/me",
        summary="Who asks, and what that one may do.",
        endpoint=tokens.me,
        scope=Scope.READ,
        for_agent="itself",
        gives={HTTPStatus.OK: Me},
    )
    yield Operation(
        method="GET",
        path=f"{API}/tokens",
        summary="The tokens that callctl made or that were revoked; never a token itself.",
        endpoint=tokens.list_all,
        scope=Scope.ADMIN,
        gives={HTTPStatus.OK: TokenList},
    )
    yield Operation(
        method="POST",
        path=f"{API}/tokens",
        summary="Make a token, which is shown this once.",
        endpoint=tokens.create,
        scope=Scope.ADMIN,
        body=NewToken,
        gives={HTTPStatus.CREATED: MadeToken},
    )
    yield Operation(
        method="DELETE",
        path=f"{API}/tokens/{{jti}}",
        summary="Revoke a token by its name, also one that another issuer made.",
        endpoint=tokens.revoke,
        scope=Scope.ADMIN,
        gives={HTTPStatus.NO_CONTENT: None},
    )


def _streams(house: House) -> Iterable[Operation]:
    yield Operation(
        method="GET",
        path=f"{API}/events",
        summary="What happens, as server-sent events; Last-Event-ID goes on from the one that was read last.",
        endpoint=Events(house).stream,
        scope=Scope.READ,
        for_agent="what concerns itself",
        query=EventsQuery,
        gives={HTTPStatus.OK: None},
        media_type="text/event-stream",
        streams=True,
    )
    yield Operation(
        method="GET",
        path=f"{API}/live",
        summary="How everything stands, and then what changes, at most once a second, as server-sent events.",
        endpoint=Live(house).stream,
        scope=Scope.READ,
        gives={HTTPStatus.OK: None},
        media_type="text/event-stream",
        streams=True,
    )


def routes_of(operations: Sequence[Operation], admit: Admit) -> list[BaseRoute]:
    """Return a route for each path; any other method than its own is refused, with those that there are."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, by_method, admit) for path, by_method in by_path.items()]


def _route(path: str, by_method: Mapping[str, Operation], admit: Admit) -> Route:
    async def endpoint(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        note(request, await admit(request, operation))
        if operation.query is None and not operation.is_health:
            check_no_query(request)
        if operation.streams:
            take_stream_place()
        note_operation(request, query=operation.query, body=operation.body)
        response = await operation.endpoint(request)
        operation.check_answer(response)
        return response

    return Route(path, endpoint, methods=list(by_method))
