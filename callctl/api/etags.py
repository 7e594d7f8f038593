"""ETag and If-Match: nobody overwrites what somebody else has changed in between.

The tag is that of the settings, which people change, and not of the state beside them, which changes by
itself all the time. So it says nothing about whether an answer would be the same, and there is no 304.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any

import attrs
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request


def etag_of(settings: attrs.AttrsInstance) -> str:
    """Return the ETag of an agent's or a queue's settings."""
    content = msgspec.json.encode(_plain(msgspec.to_builtins(settings)), order="deterministic")
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def check_match(request: Request, settings: attrs.AttrsInstance | None) -> None:
    """Raise HTTPException (412) where a request is about other settings than these, None for none yet."""
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    current = None if settings is None else etag_of(settings)
    if match is not None and not _names(match, current):
        detail = (
            "it does not exist"
            if current is None
            else "it was changed since you read it; read it again, and change that"
        )
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED, detail)
    if none_match is not None and _names(none_match, current):
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED, "it exists already")


def _names(header: str, current: str | None) -> bool:
    """Say whether a list of tags, or `*`, names what there is."""
    if current is None:
        return False
    return header.strip() == "*" or current in [each.strip() for each in header.split(",")]


def _plain(value: Any) -> Any:
    """Return a value with every number as a float: 5 from a file and 5.0 from the database are the same."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
