"""`/queues`: how each queue stands, who waits in it, and who serves it."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from callctl.acd.distributor import Distributor
from callctl.api.access import with_account
from callctl.api.etags import check_match, etag_of
from callctl.api.house import House
from callctl.api.reading import body_of, check_name, read_body, record_of
from callctl.api.shapes import Answer, QueueList, TierList, queue_detail, queue_shape, tier_shape
from callctl.api.visible import Visible
from callctl.errors import UnknownQueue, UnknownTier
from callctl.model import QueueSettings, Tier


class Queues:
    """The queues as a resource, and the tiers below them."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_all(self, request: Request) -> Response:
        """GET /queues."""
        queues = Visible.to(request, self._house).queues()
        shown = [queue_shape(queue, self._house.queues.get(queue.name)) for queue in queues]
        return Answer(QueueList(queues=shown))

    async def show(self, request: Request) -> Response:
        """GET /queues/{name}: with its parameters, who waits, and who serves it."""
        return self._answer(request)

    async def put(self, request: Request) -> Response:
        """PUT /queues/{name}: a queue with these parameters; what is not given gets its default.

        The default of the account is that of whoever asks. One that stands in callctl.toml is changed there
        alone: 409, here as by PATCH and DELETE.
        """
        name, body = request.path_params["name"], await read_body(request, QueueSettings)
        is_new, before = name not in self._house.queues, None
        if is_new:
            check_name(name)
        else:
            before = self._configured(request, name)
        self._house.refuse_queue(name)
        settings = record_of(QueueSettings, with_account(request, body), name=name)
        check_match(request, before)
        return await self._take(request, settings, HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    async def patch(self, request: Request) -> Response:
        """PATCH /queues/{name}: these parameters; what is not given stays, what is null is unset."""
        name, body = request.path_params["name"], await read_body(request, QueueSettings)
        before = self._configured(request, name)
        self._house.refuse_queue(name)
        body = with_account(request, {**body_of(before), **body})
        settings = record_of(QueueSettings, body, name=name)
        check_match(request, before)
        return await self._take(request, settings, HTTPStatus.OK)

    async def delete(self, request: Request) -> Response:
        """DELETE /queues/{name}: nobody joins it any more; who waits is served, and the history stays."""
        name = request.path_params["name"]
        before = self._configured(request, name)
        self._house.refuse_queue(name)
        check_match(request, before)
        await self._house.remove_queue(name)
        await self._house.written()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _configured(self, request: Request, name: str) -> QueueSettings:
        """Return the settings of a queue that is seen; raises UnknownQueue."""
        visible = Visible.to(request, self._house)
        visible.queue(name)
        settings = visible.settings_of(name)
        if settings is None:
            raise UnknownQueue(f"there is no queue {name!r}")
        return settings

    async def _take(self, request: Request, settings: QueueSettings, status: HTTPStatus) -> Response:
        await self._house.put_queue(settings)
        await self._house.written()
        return self._answer(request, status)

    def _answer(self, request: Request, status: HTTPStatus = HTTPStatus.OK) -> Response:
        name, visible = request.path_params["name"], Visible.to(request, self._house)
        queue, settings = visible.queue(name), visible.settings_of(name)
        detail = queue_detail(
            queue,
            settings,
            visible.members_of(name),
            [agent for agent in visible.agents() if name in agent.tiers],
        )
        return Answer(detail, status, None if settings is None else {"ETag": etag_of(settings)})

    async def list_tiers(self, request: Request) -> Response:
        """GET /queues/{queue}/tiers: who serves the queue, in the order of level and position."""
        queue, visible = request.path_params["queue"], Visible.to(request, self._house)
        visible.queue(queue)
        agents = visible.agents()
        places = sorted((*agent.tiers[queue], agent.name) for agent in agents if queue in agent.tiers)
        tiers = [
            Tier(queue=queue, agent=agent, level=level, position=position)
            for level, position, agent in places
        ]
        return Answer(TierList(tiers=[tier_shape(tier) for tier in tiers]))

    async def show_tier(self, request: Request) -> Response:
        """GET /queues/{queue}/tiers/{agent}."""
        queue, agent = self._check_tier(request)
        tier = self._house.act(lambda distributor, now: _tier_of(distributor, queue, agent, now))
        if tier is None:
            raise UnknownTier(f"the agent {agent!r} has no tier in the queue {queue!r}")
        return Answer(tier_shape(tier))

    async def put_tier(self, request: Request) -> Response:
        """PUT /queues/{queue}/tiers/{agent}: let the agent serve the queue, or change the place in it.

        One that stands in callctl.toml is changed there alone: 409, here as by DELETE.
        """
        body = await read_body(request, Tier)
        queue, agent = self._check_tier(request)
        tier = record_of(Tier, body, queue=queue, agent=agent)
        self._house.refuse_tier(queue, agent)

        def put(distributor: Distributor, now: float) -> bool:
            is_new = _tier_of(distributor, queue, agent, now) is None
            distributor.put_tier(tier, now)
            return is_new

        is_new = self._house.act(put)
        await self._house.written()
        return Answer(tier_shape(tier), HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    async def delete_tier(self, request: Request) -> Response:
        """DELETE /queues/{queue}/tiers/{agent}: the agent serves it no more; a ring or talk goes on."""
        queue, agent = request.path_params["queue"], request.path_params["agent"]
        visible = Visible.to(request, self._house)
        if visible.account:
            visible.queue(queue)
        visible.agent(agent)
        self._house.refuse_tier(queue, agent)
        self._house.act(lambda distributor, now: distributor.remove_tier(queue, agent, now))
        await self._house.written()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _check_tier(self, request: Request) -> tuple[str, str]:
        """Return the queue and the agent that a request names; raises UnknownQueue and UnknownAgent."""
        queue, agent = request.path_params["queue"], request.path_params["agent"]
        visible = Visible.to(request, self._house)
        visible.agent(agent)
        visible.queue(queue)
        return queue, agent


def _tier_of(distributor: Distributor, queue: str, agent: str, now: float) -> Tier | None:
    """Return an agent's place in a queue, None for none. Raises UnknownAgent and UnknownQueue."""
    place = distributor.agent(agent, now).tiers.get(queue)
    if place is None:
        distributor.queue(queue, now)
        return None
    level, position = place
    return Tier(queue=queue, agent=agent, level=level, position=position)
