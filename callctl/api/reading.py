"""JSON bodies become checked records, by the same rules as callctl.toml; keys are spelt with `_` or `-`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import attrs
import msgspec
import structlog
import trio
from attrs import field, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request

from callctl.config.convert import EnvironmentText, Places, record, table_of
from callctl.config.settings import CHECK, anything, scope
from callctl.errors import ConfigError
from callctl.model import DEFAULT_ACCOUNT, AgentSettings, AgentStatus, QueueSettings
from callctl.records.accounts import account_complaint
from callctl.records.names import name_complaint
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

Record = TypeVar("Record", bound=attrs.AttrsInstance)

MOST_BODY_BYTES = 64 * 1024
"""An agent with a contact on each of a hundred switches has 10 kB; nothing we take is larger."""

BODY_SECONDS = 10.0
"""How long a body may take to arrive."""

JSON = "application/json"

NOWHERE = Places(Path())
"""Errors name the key alone: a body has no lines and no files."""


@frozen(kw_only=True)
class AgentsQuery:
    """Which agents are wanted: those who serve `queue`, or all."""

    queue: str | None = None


@frozen(kw_only=True)
class WrapUpChange:
    """By how many seconds an agent's wrap-up is lengthened; None means that it ends now."""

    extend_seconds: float | None = None


@frozen(kw_only=True)
class StatusChange:
    """What an agent is to be, why, and for how many seconds (then Available again); None means for good."""

    status: AgentStatus
    reason: str = ""
    for_seconds: float | None = None


@frozen(kw_only=True)
class Hangup:
    """With which cause a caller is to be hung up."""

    cause: str = "NORMAL_CLEARING"


@frozen(kw_only=True)
class Transfer:
    """To which extension of the dialplan a caller is to be sent."""

    extension: str
    dialplan: str = "XML"
    context: str = "default"


@frozen(kw_only=True)
class Priority:
    """A waiting caller's new base score: seconds ahead of the others, or behind them."""

    base_score: float = field(metadata={CHECK: anything})


@frozen(kw_only=True)
class Login:
    """Who logs in: whoever holds this token, or this user of `[http.users]` with the password."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@frozen(kw_only=True)
class NewToken:
    """What a new token is to be: who holds it, what it may do, for whom, and for how many seconds."""

    subject: str
    scope: str = field(metadata={CHECK: scope})
    account: str = field(default=DEFAULT_ACCOUNT, metadata={CHECK: account_complaint})
    agent: str = ""
    seconds: float = 30 * 24 * 3600


Body = Mapping[str, object]

_QUERY, _BODY = "callctl.query", "callctl.body"


def note_operation(request: Request, *, query: type | None, body: type | None) -> None:
    """Note on a request what the table of operations says that it takes."""
    request.scope[_QUERY], request.scope[_BODY] = query, body


def query_of(request: Request, kind: type[Record]) -> Record:
    """Return the record that the parameters of the request describe; raises ConfigError for a wrong one."""
    assert kind is request.scope[_QUERY], f"{kind} is not the query that the table of operations names"
    texts = {key_of_name(name): EnvironmentText(text) for name, text in request.query_params.items()}
    return record(kind, texts, (), NOWHERE)


def check_no_query(request: Request) -> None:
    """Raise ConfigError for a request with parameters, where none are taken."""
    for name in request.query_params:
        raise ConfigError(f"{name[:40]!r}: there are no parameters here")


async def read(request: Request, kind: type[Record]) -> Record:
    """Return the record that the body describes. Raises like `read_body` and `record_of`."""
    return record_of(kind, await read_body(request, kind))


async def read_body(request: Request, kind: type) -> Body:
    """Return the JSON object in the body, an empty one for none; its keys as in callctl.toml.

    It is to be made a `kind`. Raises HTTPException for what is no JSON object, too long or too slow.
    """
    assert kind is request.scope[_BODY], f"{kind} is not the body that the table of operations names"
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type != JSON and not media_type.endswith("+json"):
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a body is {JSON}, not {media_type[:100]!r}")
    content = await _content(request)
    try:
        value = msgspec.json.decode(content) if content.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be a JSON object: {…}")
    return {key_of_name(name): each for name, each in value.items()}


def record_of(kind: type[Record], body: Body, **given: object) -> Record:
    """Return the record that `body` describes; `given` are fields that it does not hold.

    Raises ConfigError, which names the key that is wrong.
    """
    return record(kind, body, (), NOWHERE, given=given)


def body_of(settings: AgentSettings | QueueSettings) -> Body:
    """Return these settings as the body that describes them, without the name and what is not set."""
    return table_of(settings, but=("name",))


def check_name(name: str) -> str:
    """Return the name of a new agent, or raise ConfigError where no phone could be rung for it."""
    if complaint := name_complaint(name):
        raise ConfigError(f"{name!r}: {complaint}")
    return name


def key_of_name(name: str) -> str:
    """Return a name as it is spelt in callctl.toml."""
    return name.replace("_", "-")


async def _content(request: Request) -> bytes:
    content = bytearray()
    with trio.move_on_after(BODY_SECONDS) as patience:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > MOST_BODY_BYTES:
                    raise _refused(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MOST_BODY_BYTES} bytes"
                    )
    if patience.cancelled_caught:
        raise _refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s")
    return bytes(content)


def _refused(status: HTTPStatus, why: str) -> HTTPException:
    Refusals.of_this_run().note(Refusal.HTTP_BODY, log.warning, "a body was refused", why=why)
    return HTTPException(status, why)
