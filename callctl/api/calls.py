"""`/calls`: the calls that are alive and those of the past, and what may be done to a living one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import trio
from attrs import evolve, frozen
from starlette.requests import Request
from starlette.responses import Response

from callctl.acd.views import MemberView
from callctl.api.access import check_admin, principal_of
from callctl.api.house import House
from callctl.api.reading import Hangup, Priority, Transfer, query_of, read
from callctl.api.selection import CallsQuery, passes, selection_of
from callctl.api.shapes import (
    Answer,
    CallDetail,
    CallList,
    CallShape,
    DecisionShape,
    OrderTaken,
    VisitShape,
    call_shape,
    decision_shape,
    visit_shape,
)
from callctl.api.visible import Visible
from callctl.errors import ConfigError, StoreError, UnknownCall, WrongMoment
from callctl.model import CallEvent, CallRecord, PriorityChange
from callctl.store.timeline import Page, Visit, call_timeline, list_calls

PLAIN_DIALPLAN = "XML"
"""The one in FreeSWITCH's configuration; `inline` takes applications, such as `system`, for extensions."""

_CAUSE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")


class Calls:
    """The calls as a resource; each is named by its channel's UUID, or by our own key of the visit."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_all(self, request: Request) -> Response:
        """GET /calls: newest first, cut down and in pages; `live=true` gives all that are alive at once."""
        wanted = selection_of(query_of(request, CallsQuery))
        if account := Visible.to(request, self._house).account:
            if wanted.calls.account not in ("", account):
                return Answer(CallList(calls=[], next_cursor=""))
            wanted = evolve(wanted, calls=evolve(wanted.calls, account=account))
        only = principal_of(request).only_agent
        if only is not None:
            if not only or wanted.calls.agent not in ("", only):
                return Answer(CallList(calls=[], next_cursor=""))
            wanted = evolve(wanted, calls=evolve(wanted.calls, agent=only))
        if wanted.calls.live:
            alive = sorted(self._house.calls.live(), key=lambda each: each.arrival.joined_at, reverse=True)
            page = Page(calls=tuple(each for each in alive if passes(each, wanted.calls)), next_cursor="")
        else:
            page = await self._house.look_up(
                lambda db: list_calls(db, wanted.calls, limit=wanted.limit, cursor=wanted.cursor)
            )
        now, shown = self._now(), []
        for call in page.calls:
            shown.append(now.shape(call))
            # Two thousand calls take a tenth of a second, in which others want to be served, too.
            await trio.lowlevel.checkpoint()
        return Answer(CallList(calls=shown, next_cursor=page.next_cursor))

    async def show(self, request: Request) -> Response:
        """GET /calls/{uuid}: each visit to a queue, with its offers and every step of it.

        For one who waits `explanation` says why each agent is not being rung at the moment.
        """
        uuid, visible = request.path_params["uuid"], Visible.to(request, self._house)
        found = await self._visits(uuid, visible.account)
        visits = [seen for visit in found if (seen := visible.visit(visit)) is not None]
        if not visits:
            raise UnknownCall(f"there is no call {uuid!r} in the history")
        now = self._now()
        shown = [now.story(visit, self._explain(visit, visible)) for visit in visits]
        return Answer(CallDetail(uuid=visits[0].call.arrival.uuid, visits=shown))

    async def hang_up(self, request: Request) -> Response:
        """POST /calls/{uuid}/hangup: end the call."""
        order = await read(request, Hangup)
        if not _CAUSE.fullmatch(order.cause):
            raise ConfigError(f"cause: {order.cause!r} is no hangup cause, such as NORMAL_CLEARING")
        self._house.calls.hang_up(self._visible(request), order.cause)
        return self._accepted(request)

    async def withdraw(self, request: Request) -> Response:
        """POST /calls/{uuid}/withdraw: end the wait; the dialplan goes on with the caller."""
        self._house.calls.withdraw(self._visible(request))
        return self._accepted(request)

    async def transfer(self, request: Request) -> Response:
        """POST /calls/{uuid}/transfer: send the caller to an extension of the dialplan."""
        order = await read(request, Transfer)
        uuid = self._visible(request)
        if order.dialplan != PLAIN_DIALPLAN:
            check_admin(request, f"the dialplan {order.dialplan[:40]!r}")
        call = self._house.calls.find(uuid).arrival.call
        await self._house.calls.transfer(uuid, order.extension, order.dialplan, order.context)
        self._note(call, "transfer-ordered", f"{order.extension} {order.dialplan} {order.context}")
        return self._accepted(request)

    async def set_priority(self, request: Request) -> Response:
        """POST /calls/{uuid}/priority: give a waiting caller another base score, and with it a place."""
        score = (await read(request, Priority)).base_score
        record = self._house.calls.find(self._visible(request))
        call = record.arrival.call
        try:
            before = self._house.act(lambda distributor, now: distributor.set_base_score(call, score, now))
        except UnknownCall as error:
            raise WrongMoment(f"the call {call} waits no more, so it has no place in a queue") from error
        self._house.record(
            PriorityChange(
                call=call,
                at=self._house.now(),
                before=before,
                after=score,
                by=principal_of(request).subject,
            )
        )
        return Answer(self._now().shape(record))

    def _visible(self, request: Request) -> str:
        """Return the UUID of the living call that a request names; raises UnknownCall."""
        uuid: str = request.path_params["uuid"]
        Visible.to(request, self._house).call(uuid)
        return uuid

    async def _visits(self, uuid: str, account: str) -> list[Visit]:
        await self._house.written()
        try:
            return await self._house.look_up(lambda db: call_timeline(db, uuid, account))
        except (UnknownCall, StoreError):
            # While the database takes no rows, or none can be read, a living call is known all the same.
            for call in self._house.calls.live():
                if uuid in (call.arrival.uuid, call.arrival.call):
                    return [Visit(call=call, wait_seconds=None, talk_seconds=None, offers=(), steps=())]
            raise

    def _explain(self, visit: Visit, visible: Visible) -> DecisionShape | None:
        """Return why nobody is rung for one who waits; an agent is not told of the others."""
        call = visit.call.arrival.call
        if visible.who.only_agent is not None:
            return None
        try:
            decision = self._house.act(lambda distributor, now: distributor.explain(call, now))
            return decision_shape(visible.decision(decision))
        except UnknownCall:
            return None

    def _accepted(self, request: Request) -> Response:
        """The order is given; what becomes of it is for the switch, and for GET to show."""
        uuid = request.path_params["uuid"]
        return Answer(OrderTaken(uuid=uuid), HTTPStatus.ACCEPTED)

    def _note(self, call: str, event: str, detail: str) -> None:
        self._house.record(CallEvent(call=call, at=self._house.now(), event=event, detail=detail))

    def _now(self) -> _Now:
        members = self._house.act(lambda distributor, now: distributor.members(now))
        return _Now(
            {record.arrival.call: record for record in self._house.calls.live()},
            {member.call: member for member in members},
        )


@frozen
class _Now:
    """What is true at this moment, which goes over what the history says: living calls and their places."""

    alive: Mapping[str, CallRecord]
    places: Mapping[str, MemberView]

    def shape(self, call: CallRecord) -> CallShape:
        """Return a call as it stands."""
        key = call.arrival.call
        return call_shape(self.alive.get(key, call), self.places.get(key), is_live=key in self.alive)

    def story(self, visit: Visit, explanation: DecisionShape | None) -> VisitShape:
        """Return a visit with all that happened in it."""
        key = visit.call.arrival.call
        return visit_shape(
            self.alive.get(key, visit.call),
            self.places.get(key),
            is_live=key in self.alive,
            rings=visit.offers,
            steps=visit.steps,
            explanation=explanation,
        )
