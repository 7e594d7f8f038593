"""Plain values become records, and a wrong one becomes an error that names its key and its place.

The types of the records' fields say what is allowed, so a new field needs no code here. Nothing is
coerced: `"false"` is not a truth value and `"5"` is no number, except where the text comes from the
environment, which has nothing but texts.
"""

from __future__ import annotations

import difflib
import functools
import math
import tomllib
import types
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from callctl.config.settings import Address, KeyPath, check_of
from callctl.errors import ConfigError

Record = TypeVar("Record", bound=attrs.AttrsInstance)


MOST_INT = 2**31 - 1
"""The largest whole number: SQLite's and FreeSWITCH's end there."""

MOST_FLOAT = 1e9
"""The largest number of seconds, or of anything else that need not be whole: thirty years."""

SECRET_KEYS = ("password", "password-hash")
"""Keys whose values are never shown."""


class EnvironmentText(str):
    """A text from the environment: read as TOML wherever something else than a text is wanted."""


class Places:
    """Where each value came from, for errors and for `callctl config show`."""

    def __init__(self, base: Path) -> None:
        """Relative paths of files start at `base`, except those from the environment."""
        self.base = base
        self._origins: dict[KeyPath, str] = {}

    @property
    def origins(self) -> Mapping[KeyPath, str]:
        """Where each value came from that is not a built-in default."""
        return dict(self._origins)

    def put(self, path: KeyPath, origin: str) -> None:
        """Say that the value at `path` came from `origin`."""
        self._origins[path] = origin

    def forget(self, section: str) -> None:
        """Forget where the values of `section` came from, as others take their place."""
        self._origins = {path: origin for path, origin in self._origins.items() if path[0] != section}

    def find(self, path: KeyPath) -> str | None:
        """Return where the value at `path` came from, or the nearest table around it; None: a default."""
        for length in range(len(path), 0, -1):
            if (origin := self._origins.get(path[:length])) is not None:
                return origin
        return None

    def error(self, path: KeyPath, complaint: str) -> ConfigError:
        """Return the error that says what is wrong at `path`."""
        return ConfigError(": ".join(filter(None, (self.find(path), key_text(path), complaint))))


def key_text(path: KeyPath) -> str:
    """Return the path as people write it: `queue.caller.ring-timeout`, `freeswitch[2].port`."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def key_of(attribute: attrs.Attribute[Any]) -> str:
    """Return the key in callctl.toml of a record's field."""
    return attribute.name.replace("_", "-")


def unknown(name: str, known: Collection[str], what: str) -> str:
    """Return a complaint about a name that is none of `known`, with the one that was perhaps meant."""
    meant = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    if meant:
        return f'unknown {what}; did you mean "{meant[0]}"?'
    return f"unknown {what}; known are {', '.join(sorted(known))}" if known else f"unknown {what}"


def table(value: object, path: KeyPath, places: Places) -> Mapping[str, object]:
    """Return `value` if it is a table."""
    if isinstance(value, EnvironmentText):
        value = _toml_value(value, path, places)
    if not isinstance(value, dict):
        raise places.error(path, f"must be a table, not {_shown(value, path)}")
    return value


def record(
    kind: type[Record],
    value: object,
    path: KeyPath,
    places: Places,
    *,
    given: Mapping[str, object] | None = None,
    beside: Collection[str] = (),
) -> Record:
    """Return the record that a table describes.

    `given` are fields that the table does not hold, such as the name that is its key; `beside` are keys
    of the table that are not fields. Raises ConfigError.
    """
    given = given or {}
    attributes = {key_of(each): each for each in attrs.fields(kind) if each.name not in given}
    values = dict(given)
    for key, each in table(value, path, places).items():
        if key in beside:
            continue
        if key not in attributes:
            raise places.error((*path, key), unknown(key, {*attributes, *beside}, "key"))
        attribute = attributes[key]
        converted = convert(each, _hints(kind)[attribute.name], (*path, key), places)
        check = check_of(kind, attribute)
        complaint = (
            check(converted) if check is not None and converted is not None else _not_negative(converted)
        )
        if complaint is not None:
            raise places.error((*path, key), f"{complaint}, not {_shown(each, (*path, key))}")
        values[attribute.name] = converted
    for key, attribute in attributes.items():
        if attribute.name not in values and attribute.default is attrs.NOTHING:
            raise places.error(path, f'needs "{key}"')
    return kind(**values)


def table_of(settings: attrs.AttrsInstance, but: Collection[str] = ()) -> dict[str, object]:
    """Return the table that describes a record, without what is not set: `record` makes it again of that.

    `but` are fields that are left out.
    """
    values = attrs.asdict(settings, recurse=False)
    return {
        name.replace("_", "-"): _plain(value)
        for name, value in values.items()
        if name not in but and value is not None
    }


def _plain(value: Any) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    return table_of(value) if attrs.has(type(value)) else value


def convert(value: object, wanted: Any, path: KeyPath, places: Places) -> Any:
    """Return `value` as the type `wanted`, or raise a ConfigError that names the key and its place."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        inner = [each for each in get_args(wanted) if each is not type(None)]
        if value is None and len(inner) < len(get_args(wanted)):
            return None  # TOML knows no null, JSON does.
        return convert(value, inner[0], path, places)
    if wanted in (str, Path, Address) or (isinstance(wanted, type) and issubclass(wanted, StrEnum)):
        return _from_text(value, wanted, path, places)
    if origin is Literal:
        if value in get_args(wanted):
            return value
        raise places.error(path, f"must be one of {', '.join(get_args(wanted))}, not {_shown(value, path)}")
    if isinstance(value, EnvironmentText):
        value = _from_environment(value, wanted, path, places)
    if wanted is bool:
        if isinstance(value, bool):
            return value
        raise places.error(path, f"must be true or false, not {_shown(value, path)}")
    if wanted in (int, float):
        return _number(value, wanted, path, places)
    if origin is tuple:
        if not isinstance(value, list):
            raise places.error(path, f"must be a list, not {_shown(value, path)}")
        kind = get_args(wanted)[0]
        return tuple(convert(each, kind, (*path, index), places) for index, each in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        kind = get_args(wanted)[1]
        items = table(value, path, places).items()
        return {key: convert(each, kind, (*path, key), places) for key, each in items}
    return record(wanted, value, path, places)


def _from_text(value: object, wanted: Any, path: KeyPath, places: Places) -> Any:
    if not isinstance(value, str):
        raise places.error(path, f"must be a text in quotes, not {_shown(value, path)}")
    # A line break in a value could forge a command on Event Socket; no value here needs one.
    if any(character in value for character in "\r\n\0"):
        raise places.error(path, "must not hold a line break or NUL")
    text = str(value)
    if wanted is str:
        return text
    if wanted is Path:
        if not text:
            raise places.error(path, "must name a file")
        path_given = Path(text).expanduser()
        return path_given.absolute() if isinstance(value, EnvironmentText) else places.base / path_given
    if wanted is Address:
        try:
            return Address.parse(text)
        except ValueError as error:
            raise places.error(path, f"{error}, not {_shown(value, path)}") from None
    choices = [each.value for each in wanted]
    if text not in choices:
        raise places.error(
            path, f"{_shown(value, path)} is none of {', '.join(choices)}{_meant(text, choices)}"
        )
    return wanted(text)


def _number(value: object, wanted: type, path: KeyPath, places: Places) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise places.error(path, f"must be a number, not {_shown(value, path)}")
    if wanted is int:
        if not isinstance(value, int):
            raise places.error(path, f"must be a whole number, not {_shown(value, path)}")
        if abs(value) > MOST_INT:
            raise places.error(path, f"must be at most {MOST_INT}, not {_shown(value, path)}")
        return value
    if not math.isfinite(value) or abs(value) > MOST_FLOAT:
        raise places.error(path, f"must be an ordinary number up to 1e9, not {_shown(value, path)}")
    return float(value)


def _from_environment(value: EnvironmentText, wanted: Any, path: KeyPath, places: Places) -> object:
    """Read a text of the environment; a list may also be written with commas alone."""
    if get_origin(wanted) is tuple and not value.lstrip().startswith("["):
        return [EnvironmentText(each.strip()) for each in value.split(",") if each.strip()]
    return _toml_value(value, path, places)


def _toml_value(value: EnvironmentText, path: KeyPath, places: Places) -> object:
    try:
        document = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        document = {}
    # One value and nothing behind it: a line break would otherwise open another key.
    if len(document) != 1:
        raise places.error(path, f"cannot read {_shown(value, path)}")
    return document["value"]


def _not_negative(value: object) -> str | None:
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else (value,)
    is_negative = any(isinstance(each, int | float) and each < 0 for each in values)
    return "must not be negative" if is_negative else None


def _meant(text: str, choices: list[str]) -> str:
    meant = difflib.get_close_matches(text.lower(), [each.lower() for each in choices], n=1)
    by_lower = {each.lower(): each for each in choices}
    return f'; did you mean "{by_lower[meant[0]]}"?' if meant else ""


def _shown(value: object, path: KeyPath) -> str:
    """Return a value as a short piece of one line; a password stays hidden."""
    if path and path[-1] in SECRET_KEYS:
        return "what is there"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = (
        repr(str(value)) if isinstance(value, str) else "a table" if isinstance(value, dict) else str(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
