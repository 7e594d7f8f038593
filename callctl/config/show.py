"""What is in force, as TOML that can be read back, each value with where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from callctl.config.convert import SECRET_KEYS, key_of
from callctl.config.settings import Address, Config, KeyPath
from callctl.model import Tier

MASK = "********"
"""What is shown of a password: not even its length."""

DEFAULT = "default"
COMMENT_COLUMN = 48
"""Where the origins stand, so that most values end before and most lines still fit a terminal."""


def show_config(config: Config) -> str:
    """Return the whole configuration as TOML, passwords masked."""
    return "\n".join(_Shown(config).lines()) + "\n"


class _Shown:
    """One showing of one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def lines(self) -> Iterator[str]:
        yield "[server]"
        yield from self._record(self.config.server, ("server",))
        for index, switch in enumerate(self.config.switches):
            yield from ("", "[[freeswitch]]")
            hidden = ("password",) if switch.password_file is not None else ()
            yield from self._record(switch, ("freeswitch", index), hidden)
        config = self.config
        for section, settings in (("http", config.http), ("backup", config.backup), ("log", config.log)):
            yield from ("", f"[{section}]")
            yield from self._record(settings, (section,))
        for name, queue in self.config.queues.items():
            yield from ("", f"[queue.{_bare(name)}]")
            yield from self._record(queue, ("queue", name), ("name",))
        for name, agent in self.config.agents.items():
            yield from ("", f"[agent.{_bare(name)}]")
            yield from self._record(agent, ("agent", name), ("name",))
            if tiers := [tier for tier in self.config.tiers if tier.agent == name]:
                yield self._line("tiers", _tiers(tiers), ("agent", name, "tiers"))

    def _record(
        self, settings: attrs.AttrsInstance, path: KeyPath, hidden: Sequence[str] = ()
    ) -> Iterator[str]:
        for attribute in attrs.fields(type(settings)):
            if attribute.name not in hidden:
                value = getattr(settings, attribute.name)
                shown = MASK if key_of(attribute) in SECRET_KEYS else value
                yield self._line(key_of(attribute), shown, (*path, key_of(attribute)))

    def _line(self, key: str, value: object, path: KeyPath) -> str:
        origin = self.config.origins.get(path, DEFAULT)
        if value is None:
            return f"{f'# {key} is not set':<{COMMENT_COLUMN}}  # {origin}"
        return f"{f'{key} = {inline(value)}':<{COMMENT_COLUMN}}  # {origin}"


def _tiers(tiers: Sequence[Tier]) -> Mapping[str, Mapping[str, int]]:
    return {tier.queue: {"level": tier.level, "position": tier.position} for tier in tiers}


def inline(value: object) -> str:
    """Return a value as TOML in one line."""
    plain = _plain(value)
    if isinstance(plain, dict):
        pairs = (f"{_bare(key)} = {inline(each)}" for key, each in plain.items())
        return f"{{ {', '.join(pairs)} }}" if plain else "{}"
    if isinstance(plain, list):
        return f"[{', '.join(inline(each) for each in plain)}]"
    return tomli_w.dumps({"value": plain}).removeprefix("value = ").removesuffix("\n")


def _plain(value: Any) -> object:
    """Return a value of a record as TOML knows it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Address | Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple):
        return list(value)
    if attrs.has(type(value)):
        fields = attrs.fields(type(value))
        pairs = ((key_of(each), getattr(value, each.name)) for each in fields)
        return {key: MASK if key in SECRET_KEYS else each for key, each in pairs if each is not None}
    return dict(value) if isinstance(value, Mapping) else value


def _bare(name: str) -> str:
    """Return a name as a TOML key, quoted where it must be."""
    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")
