"""Where queues come from: callctl.toml, and the database for those made by command or by the HTTP API.

The file wins: what it says of a queue holds, whatever the database says of one of the same name, and is
changed in the file alone. What a change would make wrong is refused before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from callctl.acd.check import check_queues
from callctl.errors import ConfigError, ForeignAccount, QueueInUse, UnknownQueue
from callctl.model import AgentSettings, QueueSettings
from callctl.records.accounts import target_complaints, targets_of, tier_complaint
from callctl.records.telephone_keys import queue_complaints


class QueueSources:
    """The queues of both sources, and those that are in force."""

    def __init__(self, configured: Mapping[str, QueueSettings]) -> None:
        """`configured` are those of callctl.toml."""
        self._configured = dict(configured)
        self._stored: dict[str, QueueSettings] = {}
        self.in_force: dict[str, QueueSettings] = dict(configured)
        """The queues that there are, by name; the same mapping for good, as others look into it."""

    def know(self, stored: Iterable[QueueSettings]) -> None:
        """Take in the queues of the database."""
        self._stored.update({queue.name: queue for queue in stored})
        self._bring_into_force()

    def problems(self) -> list[str]:
        """Return what is wrong with the queues in force when they are looked at together, in words."""
        return _problems(self.in_force)

    def check_put(self, settings: QueueSettings, agents: Iterable[AgentSettings] = ()) -> None:
        """Raise why this queue cannot be put into the database; `agents` are those who serve it.

        ConfigError says what is wrong with it, ForeignAccount what would cross from one account into another.
        """
        for field, complaint in queue_complaints(settings):
            raise ConfigError(f"{field}: {complaint}")
        after = {**self.in_force, settings.name: settings}
        for queue in after.values():
            for _, complaint in target_complaints(queue, after):
                if settings.name in (queue.name, *(name for _, name in targets_of(queue))):
                    raise ForeignAccount(complaint)
        for agent in agents:
            if crossing := tier_complaint(agent, settings):
                raise ForeignAccount(crossing)
        before = set(self.problems())
        if new := [problem for problem in _problems(after) if problem not in before]:
            raise ConfigError("; ".join(new))

    def put(self, settings: QueueSettings) -> None:
        """Let the database have this queue, which `check_put` has let pass."""
        self._stored[settings.name] = settings
        self._bring_into_force()

    def remove(self, name: str) -> None:
        """Let the database have this queue no more. Raises UnknownQueue, and QueueInUse for a target."""
        if name not in self._stored:
            raise UnknownQueue(f"there is no queue {name!r}")
        if name not in self._configured:
            for queue in self.in_force.values():
                if queue.name != name and any(target == name for _, target in targets_of(queue)):
                    raise QueueInUse(f"queue {queue.name} sends callers to queue {name}; change that first")
        del self._stored[name]
        self._bring_into_force()

    def reload(self, configured: Mapping[str, QueueSettings]) -> list[str]:
        """Take in what callctl.toml says now, and return the names of the queues that are no more."""
        before = list(self.in_force)
        self._configured = dict(configured)
        self._bring_into_force()
        return [name for name in before if name not in self.in_force]

    def _bring_into_force(self) -> None:
        # Those of the file first, and once more over those of the database.
        in_force = {**self._configured, **self._stored, **self._configured}
        self.in_force.clear()
        self.in_force.update(in_force)


def _problems(queues: Mapping[str, QueueSettings]) -> list[str]:
    crossing = [words for queue in queues.values() for _, words in target_complaints(queue, queues)]
    return check_queues(queues.values()) + crossing
