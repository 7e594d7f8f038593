"""The OpenAPI document: the table of operations, and the records that they take and give, in OpenAPI 3.1.

Nothing in it is written by hand that the server does not read as well. msgspec describes the records; what
the strict reader of bodies (`reading`) demands beyond the types is added to their schemas here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from callctl import __version__
from callctl.api.shapes import Problem
from callctl.config.convert import MOST_FLOAT, MOST_INT
from callctl.config.settings import Check, OneOf, Range, above_zero, anything, check_of, not_empty, scope
from callctl.model import Scope

if TYPE_CHECKING:
    from callctl.api.operations import Operation

Schema = dict[str, Any]

TOKEN = "token"
"""The name of the one way to say who asks: a bearer token."""

_SCHEMAS = "#/components/schemas/"

PROBLEM = "application/problem+json"

_PATH_PARAMETER = re.compile(r"{(\w+)}")
_ONE_LINE = r"^[^\r\n\x00]*$"
"""No text that the API takes may hold a line break or NUL: it could forge a command on Event Socket."""


_SCOPE = f"({'|'.join(Scope)})"


class Description:
    """The document as a resource. It is made when it is first asked for: that takes 50 ms."""

    def __init__(self) -> None:
        self.operations: Sequence[Operation] = ()
        """What it describes."""
        self._document: bytes | None = None

    async def show(self, request: Request) -> Response:
        """GET /openapi.json."""
        if self._document is None:
            self._document = await trio.to_thread.run_sync(
                lambda: msgspec.json.encode(document_of(self.operations))
            )
        return Response(self._document, media_type="application/json")


def document_of(operations: Iterable[Operation]) -> Schema:
    """Return the OpenAPI document of these operations."""
    table = list(operations)
    records = {each for operation in table for each in operation.gives.values() if each is not None}
    records |= {each for operation in table for each in (operation.body, operation.query) if each is not None}
    _, components = msgspec.json.schema_components(
        [Problem, *sorted(records, key=lambda each: each.__name__)],
        ref_template=_SCHEMAS + "{name}",
    )
    schemas = dict(components)
    paths: dict[str, Schema] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callctl",
            "version": __version__,
            "description": "The HTTP API of callctl, a call queue for FreeSWITCH. Every operation says the "
            "least scope that it needs. Times are UTC, durations are seconds. Errors are problem documents "
            "(RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": _reached_from(paths, schemas),
            "securitySchemes": {
                TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Made by `callctl token create`, or by the issuer that [http] names.",
                }
            },
        },
    }


def _reached_from(value: object, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the schemas that are referred to; a record that is only a body is described without its path."""
    reached: dict[str, Schema] = {}
    to_look_at = [value]
    while to_look_at:
        match to_look_at.pop():
            case {"$ref": str(reference)}:
                name = reference.removeprefix(_SCHEMAS)
                if name not in reached:
                    reached[name] = schemas[name]
                    to_look_at.append(schemas[name])
            case dict(members):
                to_look_at.extend(members.values())
            case list(items):
                to_look_at.extend(items)
    return dict(sorted(reached.items()))


def _operation(operation: Operation, schemas: dict[str, Schema]) -> Schema:
    parameters = [_path_parameter(name) for name in _PATH_PARAMETER.findall(operation.path)]
    if operation.query is not None:
        parameters += _query_parameters(operation.query, schemas)
    described: Schema = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "description": _description(operation),
        "tags": [_tag(operation)],
        "parameters": parameters,
        "responses": {
            **{
                str(status.value): _answer(operation, status, kind)
                for status, kind in operation.gives.items()
            },
            "default": {
                "description": "What was wrong, in words for people.",
                "content": {PROBLEM: {"schema": {"$ref": _SCHEMAS + "Problem"}}},
            },
        },
        "security": [
            *({TOKEN: [each.value]} for each in operation.scopes),
            # No token is needed on loopback, nor where the site says so.
            *([{}] if operation.is_open_to_monitoring else []),
        ],
    }
    if operation.body is not None:
        name = f"{operation.body.__name__}{'Change' if operation.is_partial else 'Body'}"
        schemas[name] = _body_schema(operation, schemas[operation.body.__name__])
        described["requestBody"] = {
            "required": bool(schemas[name].get("required")),
            "content": {"application/json": {"schema": {"$ref": _SCHEMAS + name}}},
        }
    return described


def _answer(operation: Operation, status: HTTPStatus, kind: type | None) -> Schema:
    answer: Schema = {"description": status.phrase}
    if kind is not None:
        answer["content"] = {"application/json": {"schema": {"$ref": _SCHEMAS + kind.__name__}}}
    elif status is not HTTPStatus.NO_CONTENT:
        answer["content"] = {operation.media_type: {}}
    return answer


def _description(operation: Operation) -> str:
    if not operation.scopes:
        return "Open to everybody."
    words = f"Needs the scope {' or '.join(operation.scopes)}."
    if operation.for_agent:
        words += f" A token of an agent alone gets {operation.for_agent}."
    if operation.every_account:
        words += " Needs a token of the account `*`."
    return words


def _operation_id(operation: Operation) -> str:
    words = [operation.method.lower()]
    for part in operation.path.removeprefix("/api/v1").strip("/").split("/"):
        words.append(f"of_{part[1:-1]}" if part.startswith("{") else re.sub(r"\W", "_", part))
    return "_".join(words)


def _tag(operation: Operation) -> str:
    first = operation.path.removeprefix("/api/v1").strip("/").partition("/")[0]
    return "monitoring" if not operation.path.startswith("/api/") else first.partition(".")[0]


def _path_parameter(name: str) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    }


def _query_parameters(query: type[attrs.AttrsInstance], schemas: Mapping[str, Schema]) -> list[Schema]:
    described = schemas[query.__name__]
    required = described.get("required", [])
    return [
        {
            "name": each.name,
            "in": "query",
            "required": each.name in required,
            "schema": _in_range(query, each, _without_null(described["properties"][each.name])),
        }
        for each in attrs.fields(query)
    ]


def _body_schema(operation: Operation, described: Schema) -> Schema:
    """Return what the strict reader takes for this record: no other keys, no null, values in their ranges."""
    assert operation.body is not None, "only an operation with a body has a schema of it"
    in_path = set(_PATH_PARAMETER.findall(operation.path))
    properties = {
        each.name: _in_range(operation.body, each, _without_null(described["properties"][each.name]))
        for each in attrs.fields(operation.body)
        if each.name not in in_path
    }
    required = [name for name in described.get("required", []) if name in properties]
    return {
        "title": described["title"],
        "description": described.get("description", ""),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required and not operation.is_partial else {}),
    }


def _in_range(record: type, attribute: attrs.Attribute[Any], schema: Schema) -> Schema:
    """Add to a field's schema what its value must be beyond its type.

    A rule that is no range and no choice, such as that of a dial string, is not said here: what breaks it is
    answered by 422, with the rule in words.
    """
    limits = _limits(check_of(record, attribute))
    return {**_plain_range(schema, limits), **schema, **limits}


def _limits(check: Check | None) -> Schema:
    match check:
        case Range(lowest, highest):
            return {"minimum": lowest} if highest == math.inf else {"minimum": lowest, "maximum": highest}
        case OneOf(choices):
            return {"enum": list(choices)}
    if check is anything:
        return {"minimum": -MOST_FLOAT}
    if check is above_zero:
        return {"exclusiveMinimum": 0}
    if check is scope:
        return {"pattern": f"^ *{_SCOPE}( +{_SCOPE})* *$"}
    return {"minLength": 1} if check is not_empty else {}


def _plain_range(schema: Schema, limits: Schema) -> Schema:
    least: Schema = {} if "exclusiveMinimum" in limits else {"minimum": 0}
    match schema.get("type"):
        case "integer":
            return {**schema, **least, "maximum": MOST_INT}
        case "number":
            return {**schema, **least, "maximum": MOST_FLOAT}
        case "string":
            return {**schema, "pattern": _ONE_LINE}
        case "array":
            return {**schema, "items": _plain_range(schema["items"], {})}
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return {**schema, "additionalProperties": _plain_range(schema["additionalProperties"], {})}
    return schema


def _without_null(schema: Schema) -> Schema:
    """Return a schema that says nothing of null: what may be left out is left out, and never null."""
    if "anyOf" not in schema:
        return schema
    kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
