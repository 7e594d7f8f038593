"""Find callctl.toml, lay the environment over it, and check what one section says of another."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from callctl.config.convert import EnvironmentText, Places, record, table, unknown
from callctl.config.http_check import http_complaints
from callctl.config.places import key_lines
from callctl.config.settings import (
    BackupSettings,
    Config,
    HttpSettings,
    KeyPath,
    LogSettings,
    ServerSettings,
    SwitchSettings,
)
from callctl.errors import ConfigError
from callctl.model import AgentSettings, QueueSettings, Tier
from callctl.records.accounts import target_complaints, tier_complaint
from callctl.records.names import name_complaint
from callctl.records.telephone_keys import queue_complaints

SEARCH = (Path("callctl.toml"), Path("/etc/callctl/callctl.toml"))
"""Where a configuration is looked for when nobody names one."""

SECTIONS = ("server", "freeswitch", "http", "backup", "log", "queue", "agent")
SHORT_NAMES: Mapping[str, KeyPath] = {
    "CALLCTL_LOG_FORMAT": ("log", "format"),
    "CALLCTL_LOG_LEVEL": ("log", "level"),
}
INSTEAD_OF = {"password": "password-file", "password-file": "password"}
"""Of such two keys, the one from the environment takes the place of the file's other one."""

Document = dict[str, Any]


def find_config(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: `path`, else CALLCTL_CONFIG, else the first that exists, else None."""
    if path is not None:
        return path
    if environ.get("CALLCTL_CONFIG"):
        return Path(environ["CALLCTL_CONFIG"])
    return next((each for each in SEARCH if each.is_file()), None)


def load_config(path: Path | None, environ: Mapping[str, str], *, passwords: bool = True) -> Config:
    """Return what the file and the environment say together, checked.

    `path` is a file that must exist; None looks for one and is content with none. Relative paths in
    the file start at its directory. Without `passwords` the files that hold one are left alone: most commands
    need none, and not everybody may read them. Raises ConfigError, in one line, that names key and place.
    """
    found = find_config(path, environ)
    document: Document = {}
    lines: Mapping[KeyPath, int] = {}
    places = Places(found.absolute().parent if found is not None else Path.cwd())
    if found is not None:
        document, lines = _read(found)
    for key_path, line in lines.items():
        places.put(key_path, f"{found}:{line}")
    _apply_environment(document, environ, places)
    return _checked(document, places, found, passwords=passwords)


def read_text(path: Path) -> str:
    """Return the text of the file, or raise ConfigError."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _read(path: Path) -> tuple[Document, Mapping[KeyPath, int]]:
    text = read_text(path)
    try:
        return tomllib.loads(text), key_lines(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _apply_environment(document: Document, environ: Mapping[str, str], places: Places) -> None:
    """Lay FS_SERVERS and the CALLCTL_… variables over the document."""
    if "FS_SERVERS" in environ:
        document["freeswitch"] = []
        places.forget("freeswitch")
        for index, switch in enumerate(_switches_of(environ["FS_SERVERS"])):
            document["freeswitch"].append(switch)
            for key in switch:
                places.put(("freeswitch", index, key), "FS_SERVERS")
    for name, text in sorted(environ.items()):
        path = SHORT_NAMES.get(name) or _path_of(name, document)
        if path is None:
            continue
        _put(document, path, EnvironmentText(text), name, places)


def _switches_of(text: str) -> Iterator[Document]:
    """Read `host,port,password|…`; an empty part takes localhost, 8021 and ClueCon."""
    parts = text.split("|")
    for number, each in enumerate(parts, 1):
        if not each.strip() and len(parts) > 1:
            raise ConfigError(f"FS_SERVERS: switch {number} is empty; take one | away, or name its host")
        # A password may hold commas, so only the first two divide.
        host, port, password = (*(part.strip() for part in each.split(",", 2)), "", "")[:3]
        if port and not (port.isascii() and port.isdigit()):
            raise ConfigError(f"FS_SERVERS: switch {number}: port must be a number, not {port!r}")
        yield {
            "name": f"fs{number}",
            "host": host or "localhost",
            "port": int(port or 8021),
            "password": password or "ClueCon",
        }


def _path_of(variable: str, document: Document) -> KeyPath | None:
    """Return the key path that `CALLCTL_SECTION__KEY` or `CALLCTL_SECTION__NAME__KEY` names, if it does."""
    section, *rest = variable.removeprefix("CALLCTL_").lower().split("__")
    if not variable.startswith("CALLCTL_") or not rest:
        return None
    if section not in SECTIONS:
        raise ConfigError(f"{variable}: {unknown(section, SECTIONS, 'section')}")
    key = rest[-1].replace("_", "-")
    if section in ("server", "http", "backup", "log"):
        expected = 1
        path: KeyPath = (section, key)
    elif section == "freeswitch":
        expected = 2
        path = ("freeswitch", _switch_index(variable, rest[0], document), key)
    else:
        expected = 2
        path = (section, _name_meant(rest[0], document.get(section)), key)
    if len(rest) != expected:
        shape = f"CALLCTL_{section.upper()}__{'NAME__' if expected == 2 else ''}KEY"
        raise ConfigError(f"{variable}: must have the form {shape}")
    return path


def _switch_index(variable: str, name: str, document: Document) -> int:
    switches = document.setdefault("freeswitch", [{"name": "fs1"}])
    names = [each.get("name") for each in switches if isinstance(each, dict)]
    for index, each in enumerate(names):
        if isinstance(each, str) and _folded(each) == _folded(name):
            return index
    raise ConfigError(f"{variable}: there is no switch {name!r}")


def _name_meant(name: str, named: object) -> str:
    """Return the name as configured that a variable's part means, as a variable has neither case nor `-`."""
    known = named if isinstance(named, dict) else {}
    return next((each for each in known if _folded(each) == _folded(name)), name)


def _folded(name: str) -> str:
    return "".join(each if each.isalnum() else "_" for each in name.lower())


def _put(document: Document, path: KeyPath, value: object, origin: str, places: Places) -> None:
    inner: Any = document
    for length, part in enumerate(path[:-1], 1):
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[int(part)]
        if not isinstance(inner, dict | list):
            raise places.error(path[:length], "must be a table")
    inner.pop(INSTEAD_OF.get(str(path[-1])), None)
    inner[path[-1]] = value
    places.put(path, origin)


def _checked(document: Document, places: Places, found: Path | None, *, passwords: bool) -> Config:
    """Return the records that the whole document describes."""
    for section in document:
        if section not in SECTIONS:
            raise places.error((section,), unknown(section, SECTIONS, "section"))
    server = record(ServerSettings, document.get("server", {}), ("server",), places)
    queues = {
        name: record(QueueSettings, value, ("queue", name), places, given={"name": name})
        for name, value in _named(document, "queue", places)
    } or {"caller": QueueSettings(name="caller")}
    for queue in queues.values():
        for key, complaint in (*queue_complaints(queue), *target_complaints(queue, queues)):
            raise places.error(("queue", queue.name, key.replace("_", "-")), complaint)
    if server.default_queue not in queues:
        complaint = f"there is no [queue.{server.default_queue}]; queues are {', '.join(queues)}"
        raise places.error(("server", "default-queue"), complaint)
    agents: dict[str, AgentSettings] = {}
    tiers: list[Tier] = []
    for name, value in _named(document, "agent", places):
        path: KeyPath = ("agent", name)
        agents[name] = record(AgentSettings, value, path, places, given={"name": name}, beside=("tiers",))
        tiers += _tiers(agents[name], value, queues, places)
    switches = _switches(document, places, passwords=passwords)
    _check_contacts(agents, switches, places)
    backup = record(BackupSettings, document.get("backup", {}), ("backup",), places)
    if backup.folder is not None:
        backup = evolve(backup, folder=places.base / backup.folder)
    return Config(
        server=evolve(server, database=places.base / server.database),
        switches=switches,
        http=_http(document, places),
        log=record(LogSettings, document.get("log", {}), ("log",), places),
        queues=queues,
        agents=agents,
        tiers=tuple(tiers),
        backup=backup,
        path=found,
        origins=places.origins,
    )


def _named(document: Document, section: str, places: Places) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield name and table of each `[section.NAME]`."""
    for name, value in table(document.get(section, {}), (section,), places).items():
        if complaint := name_complaint(name):
            raise places.error((section, name), complaint)
        yield name, table(value, (section, name), places)


def _tiers(
    agent: AgentSettings, values: Mapping[str, object], queues: Mapping[str, QueueSettings], places: Places
) -> Iterator[Tier]:
    """Yield the tiers that an agent's table names."""
    path: KeyPath = ("agent", agent.name, "tiers")
    for queue, value in table(values.get("tiers", {}), path, places).items():
        if queue not in queues:
            raise places.error((*path, queue), unknown(queue, queues, "queue"))
        if complaint := tier_complaint(agent, queues[queue]):
            raise places.error((*path, queue), complaint)
        yield record(Tier, value, (*path, queue), places, given={"queue": queue, "agent": agent.name})


def _http(document: Document, places: Places) -> HttpSettings:
    settings = record(HttpSettings, document.get("http", {}), ("http",), places)
    for key, complaint in http_complaints(settings):
        raise places.error(("http", key.replace("_", "-")), complaint)
    return settings


def _switches(document: Document, places: Places, *, passwords: bool) -> tuple[SwitchSettings, ...]:
    listed = document.get("freeswitch", [{"name": "fs1"}])
    if not isinstance(listed, list):
        raise places.error(("freeswitch",), "is a list: write [[freeswitch]] in double brackets")
    if not listed:
        raise places.error(("freeswitch",), "needs at least one switch")
    switches: list[SwitchSettings] = []
    for index, value in enumerate(listed):
        path: KeyPath = ("freeswitch", index)
        switch = record(SwitchSettings, value, path, places)
        if any(switch.name == other.name for other in switches):
            raise places.error((*path, "name"), f"there is another switch {switch.name!r}")
        if switch.password_file is not None:
            if "password" in value:
                raise places.error((*path, "password"), 'give either this or "password-file"')
            if passwords:
                secret = _secret(places.base / switch.password_file, (*path, "password-file"), places)
                switch = evolve(switch, password=secret)
        switches.append(switch)
    return tuple(switches)


def _secret(file: Path, path: KeyPath, places: Places) -> str:
    """Return the first line of a file that holds nothing but a password."""
    try:
        secret = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise places.error(path, f"{file} cannot be read: {why}") from None
    if not secret or not secret.isprintable():
        raise places.error(path, f"{file} must hold one line, the password")
    return secret


def _check_contacts(
    agents: Mapping[str, AgentSettings], switches: tuple[SwitchSettings, ...], places: Places
) -> None:
    """Refuse a contact for a switch that is not there, and two agents on one phone."""
    names = [switch.name for switch in switches]
    holders: dict[tuple[str, str], str] = {}
    for agent in agents.values():
        for switch in agent.contacts:
            if switch not in names:
                raise places.error(
                    ("agent", agent.name, "contacts", switch), unknown(switch, names, "switch")
                )
        for switch in names:
            contact = agent.contact_on(switch)
            holder = holders.setdefault((switch, contact), agent.name) if contact else agent.name
            if holder != agent.name:
                key = "contacts" if switch in agent.contacts else "contact"
                complaint = f"{contact!r} is agent {holder!r}'s already; one phone serves one agent"
                raise places.error(("agent", agent.name, key), complaint)
