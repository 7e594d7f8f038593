"""What stands in callctl.toml, or in the environment, can be changed there alone.

The file wins over the database at each start and at each reload: a change elsewhere would be undone without
a word. The command line and the HTTP API ask here, so that both refuse it, and say where it stands.
"""

from __future__ import annotations

from callctl.config.settings import Config, KeyPath
from callctl.errors import DefinedInFile


def refuse_agent(config: Config, name: str) -> None:
    """Raise DefinedInFile if the configuration says what this agent is."""
    if name in config.agents:
        _refuse(config, ("agent", name), f"agent {name}")


def refuse_queue(config: Config, name: str) -> None:
    """Raise DefinedInFile if the configuration says what this queue is."""
    if name not in config.queues:
        return
    if not any(path[:2] == ("queue", name) for path in config.origins):
        raise DefinedInFile(
            f"queue {name} is the one that there is without a configuration; write [queue.{name}] into "
            "callctl.toml to change it"
        )
    _refuse(config, ("queue", name), f"queue {name}")


def refuse_tier(config: Config, queue: str, agent: str) -> None:
    """Raise DefinedInFile if the configuration says what this tier is."""
    if any((tier.queue, tier.agent) == (queue, agent) for tier in config.tiers):
        path = ("agent", agent, "tiers", queue)
        _refuse(config, path, f"the tier of agent {agent} in queue {queue}")


def _refuse(config: Config, path: KeyPath, what: str) -> None:
    # Of an agent that single variables of the environment make up, the table itself stands nowhere.
    places = (place for known, place in config.origins.items() if known[: len(path)] == path)
    where = config.origins.get(path) or next(places, "the configuration")
    raise DefinedInFile(f"{what} stands in {where}; change it there")
