"""`/calls`: the calls that are alive, and what may be done to one of them."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callctl.api.house import House
from callctl.api.reading import Hangup, Transfer, number_of, read, read_body
from callctl.api.shapes import Shape, by_call, call_shape
from callctl.errors import ConfigError, UnknownCall, WrongMoment
from callctl.model import CallEvent, CallState

FILTERS = ("queue", "agent", "account_id", "switch", "state", "caller_number")
"""The columns of a call by which a list can be cut down."""

_CAUSE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")


class Calls:
    """The calls as a resource; each is named by its channel's UUID, or by our own key of the visit."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_all(self, request: Request) -> Response:
        """GET /calls: those that are alive, longest first, cut down by any of FILTERS."""
        unknown = sorted(set(request.query_params) - set(FILTERS))
        if unknown:
            raise ConfigError(f"unknown filter {unknown[0]!r}; known are {', '.join(FILTERS)}")
        wanted = dict(request.query_params)
        if "state" in wanted and wanted["state"] not in list(CallState):
            raise ConfigError(f"state: {wanted['state']!r} is none of {', '.join(CallState)}")
        calls = [call for call in self._live() if all(call[name] == text for name, text in wanted.items())]
        return JSONResponse({"calls": calls})

    async def show(self, request: Request) -> Response:
        """GET /calls/{uuid}."""
        return JSONResponse(self._show(request.path_params["uuid"]))

    async def hang_up(self, request: Request) -> Response:
        """POST /calls/{uuid}/hangup: end the call."""
        order = await read(request, Hangup)
        if not _CAUSE.fullmatch(order.cause):
            raise ConfigError(f"cause: {order.cause!r} is no hangup cause, such as NORMAL_CLEARING")
        self._house.calls.hang_up(request.path_params["uuid"], order.cause)
        return self._accepted(request)

    async def withdraw(self, request: Request) -> Response:
        """POST /calls/{uuid}/withdraw: end the wait; the dialplan goes on with the caller."""
        self._house.calls.withdraw(request.path_params["uuid"])
        return self._accepted(request)

    async def transfer(self, request: Request) -> Response:
        """POST /calls/{uuid}/transfer: send the caller to an extension of the dialplan."""
        order = await read(request, Transfer)
        uuid = request.path_params["uuid"]
        call = self._house.calls.find(uuid).arrival.call
        await self._house.calls.transfer(uuid, order.extension, order.dialplan, order.context)
        self._note(call, "transfer-ordered", f"{order.extension} {order.dialplan} {order.context}")
        return self._accepted(request)

    async def set_priority(self, request: Request) -> Response:
        """POST /calls/{uuid}/priority: give a waiting caller another base score, and with it a place."""
        score = number_of(await read_body(request), "base_score")
        record = self._house.calls.find(request.path_params["uuid"])
        call = record.arrival.call
        try:
            self._house.act(lambda distributor, now: distributor.set_base_score(call, score, now))
        except UnknownCall as error:
            raise WrongMoment(f"the call {call} waits no more, so it has no place in a queue") from error
        self._note(call, "priority-changed", f"base score {score:g}")
        return JSONResponse(self._show(call))

    def _accepted(self, request: Request) -> Response:
        """The order is given; what becomes of it is for the switch, and for GET to show."""
        uuid = request.path_params["uuid"]
        return JSONResponse({"uuid": uuid}, HTTPStatus.ACCEPTED)

    def _note(self, call: str, event: str, detail: str) -> None:
        self._house.record(CallEvent(call=call, at=self._house.now(), event=event, detail=detail))

    def _live(self) -> list[Shape]:
        places = by_call(self._house.act(lambda distributor, now: distributor.members(now)))
        records = sorted(self._house.calls.live(), key=lambda record: record.arrival.joined_at)
        return [call_shape(record, places.get(record.arrival.call)) for record in records]

    def _show(self, uuid: str) -> Shape:
        record = self._house.calls.find(uuid)
        places = by_call(self._house.act(lambda distributor, now: distributor.members(now)))
        return call_shape(record, places.get(record.arrival.call))
