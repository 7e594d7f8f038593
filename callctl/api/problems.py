"""Answers that say what was wrong: `application/problem+json`, as RFC 9457 has it.

Rooms raise errors with words for people; here each kind gets its HTTP status, once for all resources.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from callctl.api.request_ids import IN_SCOPE
from callctl.api.shapes import Problem
from callctl.errors import (
    AgentExists,
    CallctlError,
    CommandRefused,
    ConfigError,
    DefinedInFile,
    ForeignAccount,
    LocalProtocolError,
    QueueInUse,
    ReportError,
    StoreError,
    UnknownAgent,
    UnknownCall,
    UnknownQueue,
    UnknownTier,
    UnknownToken,
    WaitEnded,
    WrongMoment,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

Handler = Callable[[Request, Exception], Awaitable[Response]]

STATUS_OF: Mapping[type[CallctlError], HTTPStatus] = {
    UnknownQueue: HTTPStatus.NOT_FOUND,
    UnknownAgent: HTTPStatus.NOT_FOUND,
    UnknownTier: HTTPStatus.NOT_FOUND,
    UnknownCall: HTTPStatus.NOT_FOUND,
    UnknownToken: HTTPStatus.NOT_FOUND,
    AgentExists: HTTPStatus.CONFLICT,
    QueueInUse: HTTPStatus.CONFLICT,
    DefinedInFile: HTTPStatus.CONFLICT,
    WrongMoment: HTTPStatus.CONFLICT,
    CommandRefused: HTTPStatus.CONFLICT,
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ForeignAccount: HTTPStatus.UNPROCESSABLE_ENTITY,
    LocalProtocolError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ReportError: HTTPStatus.UNPROCESSABLE_ENTITY,
    WaitEnded: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What is wrong with a value or a moment is the client's to mend; what a switch or a disk does is not."""


def problem(
    request: Request, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer that says what was wrong with `request`, in words for people."""
    content = Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=request.url.path,
        request_id=request.scope.get(IN_SCOPE, msgspec.UNSET),
    )
    return Response(msgspec.json.encode(content), status.value, headers, MEDIA_TYPE)


def handlers() -> dict[type[Exception], Handler]:
    """Return what makes an answer of each kind of error."""
    return {HTTPException: _refused, CallctlError: _failed, Exception: _broken}


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: a path that leads nowhere, a wrong method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: f"nothing is at {request.url.path}",
        HTTPStatus.METHOD_NOT_ALLOWED: (
            f"{request.method} cannot be used here; what can be: {(error.headers or {}).get('Allow', 'GET')}"
        ),
    }
    return problem(request, status, details.get(status, error.detail), error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    status = next(
        (STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    return problem(request, status, str(error))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return problem(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "callctl made a mistake; its log says more at this time"
    )
