"""Reads what mod_callcenter has, from its file or a running one, and says what has no counterpart here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import attrs
from attrs import field, frozen

from callctl.config.convert import EnvironmentText, Places, key_of, record
from callctl.config.show import inline
from callctl.errors import CallctlError, ConfigError
from callctl.model import AgentSettings, AgentStatus, QueueSettings, Tier
from callctl.records.names import name_complaint

Record = TypeVar("Record", bound=attrs.AttrsInstance)
Texts = Mapping[str, str]
"""One queue, agent or tier as mod_callcenter has it: its values as texts, by its names."""

COUNTS_OF_A_RUNNING_ONE = frozenset(
    {
        *("calls-answered", "calls-abandoned", "state", "last-bridge-start", "last-bridge-end"),
        *("last-offered-call", "last-status-change", "no-answer-count", "talk-time", "ready-time"),
        *("external-calls-count", "instance-id", "uuid"),
    }
)
"""What its lists tell of the moment: nothing of it is a setting."""

YES, NO = (
    frozenset({"yes", "on", "true", "t", "enabled", "active", "allow"}),
    frozenset({"no", "off", "false", "f", "disabled", "inactive", "disallow"}),
)
"""What FreeSWITCH takes for a truth value (switch_true in switch_utils.h)."""

_NOWHERE = Places(Path())
_VARIABLE = re.compile(r"\$\$\{(\w+)\}")


@frozen
class Found:
    """What a mod_callcenter has, as it says it."""

    queues: Mapping[str, Texts]
    agents: Mapping[str, Texts]
    tiers: tuple[Texts, ...]


@frozen
class Taken:
    """What can be taken over, and in words what cannot. `given` are the keys that each queue has set."""

    queues: Mapping[str, QueueSettings] = field(factory=dict)
    given: Mapping[str, tuple[str, ...]] = field(factory=dict)
    agents: Mapping[str, AgentSettings] = field(factory=dict)
    statuses: Mapping[str, AgentStatus] = field(factory=dict)
    tiers: tuple[Tier, ...] = ()
    left_out: tuple[str, ...] = ()

    def queues_as_toml(self) -> str:
        """Return the queues as sections of callctl.toml, each with the keys that it had set."""
        sections = []
        for name, queue in self.queues.items():
            lines = [f"[queue.{inline(name)}]"]
            for attribute in attrs.fields(QueueSettings):
                if key_of(attribute) in self.given[name]:
                    lines.append(f"{key_of(attribute)} = {inline(getattr(queue, attribute.name))}")
            sections.append("\n".join(lines) + "\n")
        return "\n".join(sections)


def read_file(file: Path) -> Found:
    """Return what a callcenter.conf.xml has; `$${…}` are looked up in the vars.xml of its configuration.

    Raises CallctlError for a file that cannot be read or is something else.
    """
    root = _parsed(file, _variables(file.parent.parent / "vars.xml"))
    if next(root.iter("queue"), None) is None and next(root.iter("agent"), None) is None:
        raise CallctlError(f"{file} has neither queues nor agents; is it a callcenter.conf.xml?")
    return Found(
        queues={
            each.get("name", ""): {
                param.get("name", ""): param.get("value", "") for param in each.iter("param")
            }
            for each in root.iter("queue")
        },
        agents={each.get("name", ""): _without_name(each.attrib) for each in root.iter("agent")},
        tiers=tuple(each.attrib for each in root.iter("tier")),
    )


def read_lists(queues: str, agents: str, tiers: str) -> Found:
    """Return what a running mod_callcenter answers to `callcenter_config queue|agent|tier list`."""
    return Found(
        queues={each["name"]: _without_name(each) for each in _table(queues)},
        agents={each["name"]: _without_name(each) for each in _table(agents)},
        tiers=tuple(_table(tiers)),
    )


def take_over(found: Found, known_queues: Collection[str] = ()) -> Taken:
    """Return what of it can be taken over, and what cannot; `known_queues` stay as they are."""
    left_out: list[str] = []
    queues, given = {}, {}
    for name, texts in found.queues.items():
        if complaint := name_complaint(name):
            left_out.append(f"queue {name!r}: {complaint}")
            continue
        if name in known_queues:
            left_out.append(f"queue {name}: it is there already, and stays as it is")
            continue
        queues[name], given[name] = _taken(QueueSettings, name, texts, f"queue {name}", left_out)
    agents: dict[str, AgentSettings] = {}
    statuses: dict[str, AgentStatus] = {}
    for name, texts in found.agents.items():
        if complaint := name_complaint(name):
            left_out.append(f"agent {name!r}: {complaint}")
            continue
        kind = texts.get("type", "callback")
        if kind != "callback":
            left_out.append(f"agent {name}: type {kind!r}; callctl rings a phone for each call")
            continue
        statuses[name] = _status(name, texts.get("status", ""), left_out)
        settings = {key: text for key, text in texts.items() if key not in ("status", "type")}
        agent, _ = _taken(AgentSettings, name, settings, f"agent {name}", left_out)
        holder = next(
            (each.name for each in agents.values() if agent.contact and each.contact == agent.contact), None
        )
        if holder is not None:
            left_out.append(
                f"agent {name}: contact {agent.contact!r} is agent {holder}'s; one phone serves one agent"
            )
            agent = attrs.evolve(agent, contact="")
        agents[name] = agent
    tiers = tuple(_tiers(found, agents, left_out))
    return Taken(queues, given, agents, statuses, tiers, tuple(left_out))


def _taken(
    kind: type[Record], name: str, texts: Texts, what: str, left_out: list[str]
) -> tuple[Record, tuple[str, ...]]:
    """Return the record with every value that fits, and the keys of those."""
    fits: dict[str, object] = {}
    for key, text in texts.items():
        if text == "" or key in COUNTS_OF_A_RUNNING_ONE:
            continue
        if variable := _VARIABLE.search(text):
            left_out.append(f"{what}: {key} {text!r}; the variable {variable[1]} is not known here")
            continue
        value = EnvironmentText(
            {**dict.fromkeys(YES, "true"), **dict.fromkeys(NO, "false")}.get(text.lower(), text)
        )
        try:
            record(kind, {key: value}, (), _NOWHERE, given={"name": name})
        except ConfigError as error:
            left_out.append(f"{what}: {error}")
        else:
            fits[key] = value
    return record(kind, fits, (), _NOWHERE, given={"name": name}), tuple(fits)


def _status(name: str, text: str, left_out: list[str]) -> AgentStatus:
    try:
        return AgentStatus(text or AgentStatus.LOGGED_OUT)
    except ValueError:
        left_out.append(f"agent {name}: status {text!r} is none of {', '.join(AgentStatus)}")
        return AgentStatus.LOGGED_OUT


def _tiers(found: Found, agents: Collection[str], left_out: list[str]) -> Iterator[Tier]:
    queues = [name for name in found.queues if name_complaint(name) is None]
    for texts in found.tiers:
        queue, agent = texts.get("queue", ""), texts.get("agent", "")
        what = f"tier of agent {agent} in queue {queue}"
        if queue not in queues or agent not in agents:
            left_out.append(f"{what}: there is no such {'queue' if queue not in queues else 'agent'}")
            continue
        place = {key: EnvironmentText(texts[key]) for key in ("level", "position") if texts.get(key)}
        try:
            yield record(Tier, place, (), _NOWHERE, given={"queue": queue, "agent": agent})
        except ConfigError as error:
            left_out.append(f"{what}: {error}; it is 1 now")
            yield Tier(queue=queue, agent=agent)


def _table(answer: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a list of the `api`: a line of names, lines of values, and `+OK`."""
    head, *lines = answer.splitlines() or [""]
    names = [name.replace("_", "-") for name in head.split("|")]
    for line in lines:
        values = line.split("|")
        if len(values) == len(names):
            yield dict(zip(names, values, strict=True))


def _without_name(texts: Texts) -> Texts:
    return {key: text for key, text in texts.items() if key != "name"}


def _variables(file: Path) -> Texts:
    """Return the variables that a vars.xml sets; none if there is no such file."""
    if not file.exists():
        return {}
    sets: Iterable[ElementTree.Element] = _parsed(file, {}).iter("X-PRE-PROCESS")
    pairs = (each.get("data", "").partition("=") for each in sets if each.get("cmd") == "set")
    return {name.strip(): value for name, equals, value in pairs if equals}


def _parsed(file: Path, variables: Texts) -> ElementTree.Element:
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise CallctlError(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise CallctlError(f"{file}: cannot be read: {error.strerror}") from None
    text = _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise CallctlError(f"{file}: not XML: {error}") from None
