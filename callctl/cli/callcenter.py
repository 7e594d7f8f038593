"""Reads what mod_callcenter has, from its file or a running one, and says what has no counterpart here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import attrs
from attrs import field, frozen

from callctl.config.convert import EnvironmentText, Places, key_of, record
from callctl.config.show import inline
from callctl.errors import CallctlError, ConfigError
from callctl.model import AgentSettings, AgentStatus, QueueSettings, Tier
from callctl.records.names import name_complaint
from callctl.records.record_template import PLACEHOLDERS, from_callcenter

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

RECORD_TEMPLATE = "record-template"

_NOWHERE = Places(Path())
_VARIABLE = re.compile(r"\$\$\{([^}]*)\}")

DEEPEST_INCLUDE = 20
"""So deep may files include each other; deeper means that one includes itself."""

_DATABASE = "agents and tiers may live there; --from-switch takes them from the running module"

SETTINGS: Mapping[str, str] = {
    "odbc-dsn": _DATABASE,
    "dbname": _DATABASE,
    "agent-originate-timeout": "set ring-timeout in the queues",
    "cc-instance-id": "callctl keeps agents apart by its own database",
}
"""What mod_callcenter's <settings> may hold, and what is to be done instead; the rest needs nothing."""

MEANS_NOTHING = frozenset({("ring-progressively-delay", "0")})
"""Values by which mod_callcenter says that nothing was set."""

LISTED_NOWHERE = ("announce-sound", "announce-frequency")
"""Parameters of a queue that `callcenter_config queue list` does not tell."""


@frozen
class Found:
    """What a mod_callcenter has, as it says it; `unread` is, in words, what could not be read."""

    queues: Mapping[str, Texts]
    agents: Mapping[str, Texts]
    tiers: tuple[Texts, ...]
    unread: tuple[str, ...] = ()


@frozen
class Taken:
    """What can be taken over, and in words what cannot, and what is other than it was.

    `given` are the keys that each queue has set.
    """

    queues: Mapping[str, QueueSettings] = field(factory=dict)
    given: Mapping[str, tuple[str, ...]] = field(factory=dict)
    agents: Mapping[str, AgentSettings] = field(factory=dict)
    statuses: Mapping[str, AgentStatus] = field(factory=dict)
    tiers: tuple[Tier, ...] = ()
    left_out: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

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


def read_file(file: Path, variables: Texts | None = None) -> Found:
    """Return what a callcenter.conf.xml has, with the files that it includes.

    `$${…}` are looked up in `variables`, in the file, and in the vars.xml of its configuration. Raises
    CallctlError for a file that cannot be read or is something else.
    """
    unread: list[str] = []
    vars_file = file.parent.parent / "vars.xml"
    root = _included(file, unread)
    known = {**(_sets(_included(vars_file, [])) if vars_file.exists() else {}), **_sets(root)}
    known.update(variables or {})
    _fill_in(root, known)
    if next(root.iter("queue"), None) is None and next(root.iter("agent"), None) is None:
        raise CallctlError(f"{file} has neither queues nor agents; is it a callcenter.conf.xml?")
    return Found(
        queues=_queues(root),
        agents={each.get("name", ""): _without_name(each.attrib) for each in root.iter("agent")},
        tiers=tuple(each.attrib for each in root.iter("tier")),
        unread=(*unread, *_settings(root)),
    )


def read_lists(queues: str, agents: str, tiers: str, configuration: str = "") -> Found:
    """Return what a running mod_callcenter answers to `callcenter_config queue|agent|tier list`.

    `configuration` is its callcenter.conf.xml as the switch has it in memory, for what the lists lack.
    """
    unread: list[str] = []
    listed = {each["name"]: _without_name(each) for each in _table(queues, "queue", unread)}
    try:
        configured: Mapping[str, Texts] = _queues(ElementTree.fromstring(configuration))
    except ElementTree.ParseError:
        configured = {}
        unread.append(f"{', '.join(LISTED_NOWHERE)}: the switch does not tell them; look at its file")
    return Found(
        # Of a queue that was loaded from elsewhere the file knows nothing.
        queues={
            name: {**{key: configured.get(name, {}).get(key, "") for key in LISTED_NOWHERE}, **texts}
            for name, texts in listed.items()
        },
        agents={each["name"]: _without_name(each) for each in _table(agents, "agent", unread)},
        tiers=tuple(_table(tiers, "tier", unread)),
        unread=tuple(unread),
    )


def _queues(root: ElementTree.Element) -> dict[str, Texts]:
    return {
        each.get("name", ""): {param.get("name", ""): param.get("value", "") for param in each.iter("param")}
        for each in root.iter("queue")
    }


def _settings(root: ElementTree.Element) -> Iterator[str]:
    """Say of each setting of the module, in words, what becomes of it."""
    for settings in root.iter("settings"):
        for param in settings.iter("param"):
            if instead := SETTINGS.get(param.get("name", "")):
                # A data source may hold a password.
                value = "" if "odbc" in param.get("name", "") else f" {param.get('value', '')!r}"
                yield f"settings: {param.get('name')}{value}; {instead}"


def take_over(found: Found, known_queues: Collection[str] = ()) -> Taken:
    """Return what of it can be taken over, and what cannot; `known_queues` stay as they are."""
    left_out, changed = list(found.unread), list[str]()
    queues, given = {}, {}
    for name, texts in found.queues.items():
        if complaint := _name_complaint(name):
            left_out.append(f"queue {name!r}: {complaint}")
            continue
        if name in known_queues:
            left_out.append(f"queue {name}: it is there already, and stays as it is")
            continue
        queues[name], given[name] = _taken(QueueSettings, name, texts, f"queue {name}", left_out)
    agents: dict[str, AgentSettings] = {}
    statuses: dict[str, AgentStatus] = {}
    for name, texts in found.agents.items():
        if complaint := _name_complaint(name):
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
    tiers = tuple(_tiers(found, agents, left_out, changed))
    return Taken(queues, given, agents, statuses, tiers, tuple(left_out), tuple(changed))


def _name_complaint(name: str) -> str | None:
    """Return in words why a queue or an agent cannot have this name, or None."""
    if variable := _VARIABLE.search(name):
        return _unknown(variable[1])
    return name_complaint(name)


def _unknown(variable: str) -> str:
    return f"the variable {variable} is not known here; give it with --set {variable}=VALUE"


def _taken(
    kind: type[Record], name: str, texts: Texts, what: str, left_out: list[str]
) -> tuple[Record, tuple[str, ...]]:
    """Return the record with every value that fits, and the keys of those."""
    fits: dict[str, object] = {}
    for key, text in texts.items():
        if text == "" or key in COUNTS_OF_A_RUNNING_ONE or (key, text) in MEANS_NOTHING:
            continue
        if variable := _VARIABLE.search(text):
            left_out.append(f"{what}: {key} {text!r}; {_unknown(variable[1])}")
            continue
        if key == RECORD_TEMPLATE:
            here = from_callcenter(text)
            if here is None:
                names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                left_out.append(f"{what}: {key} {text!r}; write it anew with an absolute path and {names}")
                continue
            text = here
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


def _tiers(found: Found, agents: Collection[str], left_out: list[str], changed: list[str]) -> Iterator[Tier]:
    queues = [name for name in found.queues if _name_complaint(name) is None]
    shifts = {
        (queue, key): _shift(found, queue, key, changed) for queue in queues for key in ("level", "position")
    }
    for texts in found.tiers:
        queue, agent = texts.get("queue", ""), texts.get("agent", "")
        what = f"tier of agent {agent} in queue {queue}"
        if queue not in queues or agent not in agents:
            left_out.append(f"{what}: there is no such {'queue' if queue not in queues else 'agent'}")
            continue
        place = {
            key: EnvironmentText(_shifted(texts.get(key) or "1", shifts[queue, key]))
            for key in ("level", "position")
        }
        try:
            yield record(Tier, place, (), _NOWHERE, given={"queue": queue, "agent": agent})
        except ConfigError as error:
            left_out.append(f"{what}: {error}; it is 1 now")
            yield Tier(queue=queue, agent=agent)


def _shift(found: Found, queue: str, key: str, changed: list[str]) -> int:
    """Return by how much each level, or position, of a queue is raised so that the lowest one is 1.

    mod_callcenter takes 0 and less as well. Their order must stay, so one of them alone cannot become 1.
    """
    texts = [tier.get(key) or "1" for tier in found.tiers if tier.get("queue") == queue]
    lowest = min((int(text) for text in texts if _is_whole(text)), default=1)
    if lowest >= 1:
        return 0
    slower = ""
    if key == "level" and found.queues[queue].get("tier-rule-wait-multiply-level", "").lower() in YES:
        slower = "; with tier-rule-wait-multiply-level each level opens later than it did"
    changed.append(f"queue {queue}: every {key} is {1 - lowest} higher, as the lowest was {lowest}{slower}")
    return 1 - lowest


def _shifted(text: str, by: int) -> str:
    return str(int(text) + by) if by and _is_whole(text) else text


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None


def _table(answer: str, what: str, unread: list[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a list of the `api`: a line of names, lines of values, and `+OK`.

    A value that holds a bar makes a line that nobody can take apart; it goes to `unread`.
    """
    head, *lines = answer.splitlines() or [""]
    names = [name.replace("_", "-") for name in head.split("|")]
    for line in lines:
        values = line.split("|")
        if len(values) == len(names):
            yield dict(zip(names, values, strict=True))
        elif len(values) > 1:
            unread.append(f"{what} {values[0]}: a value holds a bar, so its line cannot be read: {line}")


def _without_name(texts: Texts) -> Texts:
    return {key: text for key, text in texts.items() if key != "name"}


def _included(file: Path, unread: list[str], depth: int = 0) -> ElementTree.Element:
    """Return the root of an XML file, with the files in place that it includes, as FreeSWITCH does it."""
    if depth > DEEPEST_INCLUDE:
        raise CallctlError(f"{file}: is included by a file that it includes")
    root = _parsed(file)
    for parent in list(root.iter()):
        for each in list(parent):
            if each.tag != "X-PRE-PROCESS" or each.get("cmd") != "include":
                continue
            place, pattern = list(parent).index(each), each.get("data", "")
            parent.remove(each)
            paths = _matching(file.parent, pattern)
            if not paths:
                unread.append(f"include {pattern!r}: there is no such file")
            for path in reversed(paths):
                included = _included(path, unread, depth + 1)
                # FreeSWITCH puts in what stands in <include>, or the element itself.
                for part in reversed(list(included) if included.tag == "include" else [included]):
                    parent.insert(place, part)
    return root


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files that an include names, in the order of their names."""
    if pattern.startswith("/"):
        folder, pattern = Path("/"), pattern.lstrip("/")
    return sorted(path for path in folder.glob(pattern) if path.is_file()) if pattern else []


def _sets(root: ElementTree.Element) -> dict[str, str]:
    """Return the variables that a configuration sets, in which earlier ones may stand."""
    known: dict[str, str] = {}
    for each in root.iter("X-PRE-PROCESS"):
        name, equals, value = each.get("data", "").partition("=")
        if each.get("cmd") == "set" and equals:
            known[name.strip()] = _filled_in(value, known)
    return known


def _fill_in(root: ElementTree.Element, variables: Texts) -> None:
    """Put the values of variables in their places; those that are not known stay as they are."""
    for each in root.iter():
        for key, text in each.attrib.items():
            each.set(key, _filled_in(text, variables))


def _filled_in(text: str, variables: Texts) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)


def _parsed(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(file.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise CallctlError(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise CallctlError(f"{file}: cannot be read: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise CallctlError(f"{file}: not XML: {error}") from None
