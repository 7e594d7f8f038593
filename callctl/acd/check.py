"""What is wrong with queues and agents when they are looked at together, told before they are used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from callctl.acd.hours import parse_hours
from callctl.errors import ConfigError
from callctl.model import AgentSettings, QueueSettings
from callctl.records.contacts import contact_complaint, phones_of
from callctl.records.names import name_complaint
from callctl.records.targets import TARGETS, target_queue


def check_queues(queues: Iterable[QueueSettings]) -> list[str]:
    """Return what makes these queues unusable, in words: targets, loops of overflows, opening hours."""
    by_name = {queue.name: queue for queue in queues}
    found: list[str] = []
    for queue in by_name.values():
        if queue.hours is not None:
            try:
                parse_hours(queue.hours)
            except ConfigError as error:
                found.append(f"queue {queue.name!r}: {error}")
        for rule in queue.overflow:
            if rule.waited is rule.expected_wait is rule.waiting is None and not rule.nobody_there:
                found.append(f"queue {queue.name!r}: the overflow to {rule.to!r} has no condition")
        for target in _targets(queue):
            found += _target_problems(queue, target, by_name)
    return found + _loops(by_name)


def check_agents(agents: Iterable[AgentSettings]) -> list[str]:
    """Return what is wrong with the agents' names and contacts, in words.

    An earlier callctl has taken some that no phone can be rung for.
    Two who share one can be rung at once, and one of them will be busy. Of several phones in one contact
    only one can have the UUID that a leg has from us, and FreeSWITCH does not ring the others.
    """
    sharing: defaultdict[str, set[str]] = defaultdict(set)
    found = []
    for agent in agents:
        if complaint := name_complaint(agent.name):
            found.append(f"the agent {agent.name!r} is never rung: {complaint}")
        for contact in {agent.contact, *agent.contacts.values()} - {""}:
            sharing[contact].add(agent.name)
    for contact, names in sorted(sharing.items()):
        if complaint := contact_complaint(contact):
            found.append(f"the contact {contact!r} of {', '.join(sorted(names))} {complaint}")
        if len(names) > 1:
            found.append(f"the agents {', '.join(sorted(names))} share the contact {contact!r}")
        if len(phones_of(contact)) > 1:
            found.append(
                f"the contact {contact!r} of {', '.join(sorted(names))} names several phones, "
                "and the second is not rung when the first is; name one"
            )
    return found


def _targets(queue: QueueSettings) -> list[str]:
    targets = [rule.to for rule in queue.overflow]
    return [*targets, queue.closed_target] if queue.closed_target else targets


def _target_problems(queue: QueueSettings, target: str, known: Mapping[str, QueueSettings]) -> Iterable[str]:
    name = target_queue(target)
    if not any(target.startswith(kind) and target != kind for kind in TARGETS):
        kinds = ", ".join(f"{kind}…" for kind in TARGETS)
        yield f"queue {queue.name!r}: {target!r} is no target; targets are {kinds}"
    elif name is not None and name not in known:
        yield f"queue {queue.name!r}: there is no queue {name!r} to overflow to"


def _loops(queues: Mapping[str, QueueSettings]) -> list[str]:
    """Find each loop once, told from its first queue by name."""
    found: list[str] = []

    def walk(path: tuple[str, ...]) -> None:
        queue = queues.get(path[-1])
        following = {target_queue(target) for target in _targets(queue)} if queue is not None else set()
        for name in sorted(name for name in following if name is not None):
            if name == path[0]:
                found.append(f"the overflows of the queues go round in a loop: {' > '.join((*path, name))}")
            elif name not in path and name > path[0]:
                walk((*path, name))

    for name in sorted(queues):
        walk((name,))
    return found
