"""`/agents`: who takes calls, how each stands, and changing that."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from callctl.acd.distributor import Distributor
from callctl.acd.views import AgentView
from callctl.api.access import check_acts_for, check_admin, with_account
from callctl.api.etags import check_match, etag_of
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
from callctl.api.visible import Visible
from callctl.errors import ForeignAccount, UnknownAgent, WrongMoment
from callctl.model import AgentSettings, AgentState
from callctl.records.accounts import agent_complaint
from callctl.records.contacts import can_run_commands


class Agents:
    """The agents as a resource."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_all(self, request: Request) -> Response:
        """GET /agents: all of them, or those who serve a `queue`."""
        queue = query_of(request, AgentsQuery).queue
        agents = Visible.to(request, self._house).agents()
        shown = [agent_shape(agent) for agent in agents if queue is None or queue in agent.tiers]
        return Answer(AgentList(agents=shown))

    async def show(self, request: Request) -> Response:
        """GET /agents/{name}."""
        return self._answer(request)

    async def put(self, request: Request) -> Response:
        """PUT /agents/{name}: an agent with these settings; what is not given gets its default.

        The default of the account is that of whoever asks. One that stands in callctl.toml is changed there
        alone: 409, here as by PATCH and DELETE.
        """
        name, body = request.path_params["name"], await read_body(request, AgentSettings)
        is_new = not self._is_there(name)
        before = None
        if is_new:
            check_name(name)
        else:
            before = Visible.to(request, self._house).agent(name).settings
        self._house.refuse_agent(name)
        settings = record_of(AgentSettings, with_account(request, body), name=name)
        _check_contacts(request, settings, before)
        check_match(request, before)
        return await self._take(request, settings, HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    async def patch(self, request: Request) -> Response:
        """PATCH /agents/{name}: these settings; what is not given stays."""
        name, body = request.path_params["name"], await read_body(request, AgentSettings)
        before = Visible.to(request, self._house).agent(name).settings
        self._house.refuse_agent(name)
        body = with_account(request, {**body_of(before), **body})
        settings = record_of(AgentSettings, body, name=name)
        _check_contacts(request, settings, before)
        check_match(request, before)
        return await self._take(request, settings, HTTPStatus.OK)

    async def delete(self, request: Request) -> Response:
        """DELETE /agents/{name}: the agent and its tiers; a talk goes on, and the history stays."""
        name = request.path_params["name"]
        before = Visible.to(request, self._house).agent(name).settings
        self._house.refuse_agent(name)
        check_match(request, before)
        self._house.act(lambda distributor, now: distributor.remove_agent(name, now))
        await self._house.written()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def set_status(self, request: Request) -> Response:
        """POST /agents/{name}/status: what a person chose to be, why, and for how long."""
        name = request.path_params["name"]
        change = await read(request, StatusChange)
        self._check_acts_for(request, name)

        def set_status(distributor: Distributor, now: float) -> None:
            until = None if change.for_seconds is None else now + change.for_seconds
            distributor.set_status(name, change.status, now, change.reason, until)

        self._house.act(set_status)
        answer = self._answer(request)
        await self._house.written()
        return answer

    async def change_wrap_up(self, request: Request) -> Response:
        """POST /agents/{name}/wrap-up: end an agent's wrap-up, or lengthen it. 409 where there is none."""
        name = request.path_params["name"]
        change = await read(request, WrapUpChange)
        if self._check_acts_for(request, name).state is not AgentState.WRAP_UP:
            raise WrongMoment(f"agent {name} is not in wrap-up")
        seconds = change.extend_seconds
        if seconds is None:
            self._house.act(lambda distributor, now: distributor.end_wrap_up(name, now))
        else:
            self._house.act(lambda distributor, now: distributor.extend_wrap_up(name, seconds, now))
        return self._answer(request)

    def _check_acts_for(self, request: Request, name: str) -> AgentView:
        """Return an agent for whom this one may act; raises UnknownAgent for one who is not seen."""
        check_acts_for(request, name)
        return Visible.to(request, self._house).agent(name)

    async def _take(self, request: Request, settings: AgentSettings, status: HTTPStatus) -> Response:
        if status is HTTPStatus.OK:
            tiers = self._house.act(lambda distributor, now: distributor.agent(settings.name, now)).tiers
            if complaint := agent_complaint(settings, tiers, self._house.queues):
                raise ForeignAccount(complaint)
        self._house.act(lambda distributor, now: distributor.put_agent(settings, now))
        answer = self._answer(request, status)
        await self._house.written()
        return answer

    def _answer(self, request: Request, status: HTTPStatus = HTTPStatus.OK) -> Response:
        agent = Visible.to(request, self._house).agent(request.path_params["name"])
        return Answer(agent_shape(agent), status, {"ETag": etag_of(agent.settings)})

    def _is_there(self, name: str) -> bool:
        try:
            self._house.act(lambda distributor, now: distributor.agent(name, now))
        except UnknownAgent:
            return False
        return True


def _check_contacts(request: Request, after: AgentSettings, before: AgentSettings | None) -> None:
    """Raise the refusal of a contact that can run commands, unless it was there before, or from an admin."""
    known = {""} if before is None else {before.contact, *before.contacts.values()}
    for contact in (after.contact, *after.contacts.values()):
        if contact not in known and can_run_commands(contact):
            check_admin(request, f"the contact {contact[:100]!r}")
