"""What a configuration that cannot be used still says: where the database is, and so the running server.

A server goes on with what it read before. Whoever has just spoilt the file must still be able to reach it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from callctl.config.load import find_config, read_text
from callctl.config.settings import Config, HttpSettings, LogSettings, ServerSettings
from callctl.errors import ConfigError


def config_without_file(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return a configuration that says where the database is, and nothing else of the file.

    `path` and `environ` are as for `load_config`. What cannot be read at all says that it is in its default
    place. The queues, agents and switches of the server are not in it; the server itself knows them.
    """
    found = find_config(path, environ)
    base = found.absolute().parent if found is not None else Path.cwd()
    said = environ.get("CALLCTL_SERVER__DATABASE") or (_database_in(found) if found is not None else "")
    database = base / (said or ServerSettings().database)
    return Config(
        server=ServerSettings(database=database),
        switches=(),
        http=HttpSettings(),
        log=LogSettings(),
        queues={},
        agents={},
        tiers=(),
        path=found,
    )


def _database_in(path: Path) -> str:
    try:
        text = read_text(path)
    except ConfigError:
        return ""
    try:
        server = tomllib.loads(text).get("server")
    except tomllib.TOMLDecodeError:
        server = _server_of_damaged(text)
    database = server.get("database") if isinstance(server, Mapping) else ""
    return database if isinstance(database, str) else ""


def _server_of_damaged(text: str) -> Mapping[str, object]:
    """Return what the lines of `[server]` say that are TOML by themselves."""
    server: dict[str, object] = {}
    is_in_it = False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            is_in_it = line.partition("#")[0].replace(" ", "").strip() == "[server]"
        elif is_in_it:
            try:
                server |= tomllib.loads(line)
            except tomllib.TOMLDecodeError:
                continue
    return server
