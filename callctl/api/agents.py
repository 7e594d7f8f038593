"""`/agents`: who takes calls, how each stands, and changing that."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from callctl.acd.distributor import Distributor
from callctl.acd.views import AgentView
from callctl.api.access import check_acts_for, principal_of
from callctl.api.house import House
from callctl.api.reading import (
    AgentsQuery,
    StatusChange,
    WrapUpChange,
    body_of,
    check_name,
    query_of,
    read,
    read_body,
    record_of,
)
from callctl.api.shapes import AgentList, Answer, agent_shape
from callctl.errors import ForeignAccount, UnknownAgent, WrongMoment
from callctl.model import AgentSettings, AgentState
from callctl.records.accounts import agent_complaint


class Agents:
    """The agents as a resource."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_all(self, request: Request) -> Response:
        """GET /agents: all of them, or those who serve a `queue`."""
        queue, only = query_of(request, AgentsQuery).queue, principal_of(request).only_agent
        agents = self._house.act(lambda distributor, now: distributor.agents(now))
        shown = [
            agent_shape(agent)
            for agent in agents
            if (queue is None or queue in agent.tiers) and only in (None, agent.name)
        ]
        return Answer(AgentList(agents=shown))

    async def show(self, request: Request) -> Response:
        """GET /agents/{name}."""
        name = request.path_params["name"]
        if principal_of(request).only_agent not in (None, name):
            raise UnknownAgent(f"there is no agent {name!r}")
        return Answer(agent_shape(self._find(name)))

    async def put(self, request: Request) -> Response:
        """PUT /agents/{name}: an agent with these settings; what is not given gets its default.

        One that stands in callctl.toml is changed there alone: 409, here as by PATCH and DELETE.
        """
        name, body = request.path_params["name"], await read_body(request, AgentSettings)
        self._house.refuse_agent(name)
        settings = record_of(AgentSettings, body, name=name)
        try:
            self._find(name)
        except UnknownAgent:
            check_name(name)
            return await self._take(settings, HTTPStatus.CREATED)
        return await self._take(settings, HTTPStatus.OK)

    async def patch(self, request: Request) -> Response:
        """PATCH /agents/{name}: these settings; what is not given stays."""
        name, body = request.path_params["name"], await read_body(request, AgentSettings)
        self._house.refuse_agent(name)
        before = body_of(self._find(name).settings)
        return await self._take(record_of(AgentSettings, {**before, **body}, name=name), HTTPStatus.OK)

    async def delete(self, request: Request) -> Response:
        """DELETE /agents/{name}: the agent and its tiers; a talk goes on, and the history stays."""
        name = request.path_params["name"]
        self._house.refuse_agent(name)
        self._house.act(lambda distributor, now: distributor.remove_agent(name, now))
        await self._house.written()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def set_status(self, request: Request) -> Response:
        """POST /agents/{name}/status: what a person chose to be, why, and for how long."""
        name = request.path_params["name"]
        check_acts_for(request, name)
        change = await read(request, StatusChange)

        def set_status(distributor: Distributor, now: float) -> None:
            until = None if change.for_seconds is None else now + change.for_seconds
            distributor.set_status(name, change.status, now, change.reason, until)

        self._house.act(set_status)
        shown = agent_shape(self._find(name))
        await self._house.written()
        return Answer(shown)

    async def change_wrap_up(self, request: Request) -> Response:
        """POST /agents/{name}/wrap-up: end an agent's wrap-up, or lengthen it. 409 where there is none."""
        name = request.path_params["name"]
        check_acts_for(request, name)
        change = await read(request, WrapUpChange)
        if self._find(name).state is not AgentState.WRAP_UP:
            raise WrongMoment(f"agent {name} is not in wrap-up")
        seconds = change.extend_seconds
        if seconds is None:
            self._house.act(lambda distributor, now: distributor.end_wrap_up(name, now))
        else:
            self._house.act(lambda distributor, now: distributor.extend_wrap_up(name, seconds, now))
        return Answer(agent_shape(self._find(name)))

    async def _take(self, settings: AgentSettings, status: HTTPStatus) -> Response:
        if status is HTTPStatus.OK:
            served = self._find(settings.name).tiers
            if complaint := agent_complaint(settings, served, self._house.queues):
                raise ForeignAccount(complaint)
        self._house.act(lambda distributor, now: distributor.put_agent(settings, now))
        shown = agent_shape(self._find(settings.name))
        await self._house.written()
        return Answer(shown, status)

    def _find(self, name: str) -> AgentView:
        return self._house.act(lambda distributor, now: distributor.agent(name, now))
