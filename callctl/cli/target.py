"""Where agents and tiers are changed: in the database, while no server runs on it.

This is the one place that decides it. A running server owns its agents and is asked through its control
socket; the database refuses changes meanwhile, and says which process holds it. Agents and tiers that
stand in callctl.toml count as well: their status can be changed, what the file says of them cannot.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from attrs import evolve, frozen

from callctl.config import Config
from callctl.errors import CallctlError, UnknownAgent, UnknownTier
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Tier
from callctl.store import roster as store
from callctl.store.connections import open_reader


@frozen
class Roster:
    """All agents and tiers, to look at."""

    agents: Sequence[AgentRecord]
    tiers: Sequence[Tier]

    def agent(self, name: str) -> AgentRecord:
        """Return one agent, or raise UnknownAgent."""
        for record in self.agents:
            if record.settings.name == name:
                return record
        raise UnknownAgent(f"there is no agent {name}; callctl agent list names them all")

    def tier(self, queue: str, agent: str) -> Tier:
        """Return one tier, or raise UnknownTier."""
        for tier in self.tiers:
            if (tier.queue, tier.agent) == (queue, agent):
                return tier
        raise UnknownTier(f"agent {agent} does not serve queue {queue}; callctl tier add lets it")


class RosterEditor:
    """Changes agents and tiers in the database, each change after the other, until the block is left."""

    def __init__(self, config: Config, connection: sqlite3.Connection) -> None:
        self._config = config
        self._connection = connection

    @property
    def roster(self) -> Roster:
        """How it stands now."""
        return Roster(store.load_agents(self._connection), store.load_tiers(self._connection))

    def add_agent(self, settings: AgentSettings) -> None:
        """Add an agent, logged out; raises AgentExists."""
        store.add_agent(self._connection, settings, time.time())

    def set_agent(self, settings: AgentSettings) -> None:
        """Replace an agent's settings; raises UnknownAgent."""
        self._refuse_in_file(("agent", settings.name), f"agent {settings.name}")
        store.set_agent(self._connection, settings)

    def set_status(
        self, name: str, status: AgentStatus, reason: str = "", seconds: float | None = None
    ) -> None:
        """Give an agent a status, for so many seconds or for good; raises UnknownAgent."""
        now = time.time()
        until = now + seconds if seconds is not None else None
        store.set_status(self._connection, name, status, now, reason, until)

    def remove_agent(self, name: str) -> None:
        """Remove an agent with its tiers; raises UnknownAgent."""
        self._refuse_in_file(("agent", name), f"agent {name}")
        store.remove_agent(self._connection, name, time.time())

    def add_tier(self, tier: Tier) -> None:
        """Let an agent serve a queue; raises UnknownAgent."""
        store.add_tier(self._connection, tier)

    def set_tier(self, tier: Tier) -> None:
        """Change an agent's place in a queue; raises UnknownTier."""
        self._refuse_tier_in_file(tier.queue, tier.agent)
        store.set_tier(self._connection, tier)

    def remove_tier(self, queue: str, agent: str) -> None:
        """Let an agent no longer serve a queue; raises UnknownTier."""
        self._refuse_tier_in_file(queue, agent)
        store.remove_tier(self._connection, queue, agent)

    def _refuse_tier_in_file(self, queue: str, agent: str) -> None:
        self._refuse_in_file(("agent", agent, "tiers", queue), f"the tier of agent {agent} in queue {queue}")

    def _refuse_in_file(self, path: tuple[str, ...], what: str) -> None:
        if path in self._config.origins:
            raise CallctlError(f"{what} stands in {self._config.origins[path]}; change it there")


@contextmanager
def edit_roster(config: Config) -> Iterator[RosterEditor]:
    """Open the roster for changes; what the block does stands whole, or not at all.

    Raises StoreError when the database cannot be changed, for example because a server runs on it.
    """
    with store.editing(config.server.database) as connection:
        editor = RosterEditor(config, connection)
        _take_over(config, editor)
        yield editor


def read_roster(config: Config) -> Roster:
    """Return the roster as the database and callctl.toml have it; raises StoreError."""
    if not config.server.database.exists():
        return _laid_over(config, Roster((), ()))
    with closing(open_reader(config.server.database)) as connection:
        return _laid_over(config, Roster(store.load_agents(connection), store.load_tiers(connection)))


def _laid_over(config: Config, roster: Roster) -> Roster:
    """Return `roster` with what callctl.toml says of agents and tiers, as a server does at its start."""
    agents = {record.settings.name: record for record in roster.agents}
    for settings in config.agents.values():
        known = agents.get(settings.name)
        new = AgentRecord(settings=settings, status=AgentStatus.LOGGED_OUT, state=AgentState.IDLE)
        agents[settings.name] = evolve(known, settings=settings) if known else new
    tiers = {(tier.queue, tier.agent): tier for tier in (*roster.tiers, *config.tiers)}
    return Roster(tuple(agents.values()), tuple(tiers.values()))


def _take_over(config: Config, editor: RosterEditor) -> None:
    """Bring the agents and tiers of callctl.toml into the database, so that their status can be changed."""
    known = {record.settings.name: record.settings for record in editor.roster.agents}
    for settings in config.agents.values():
        if settings.name not in known:
            editor.add_agent(settings)
    for tier in config.tiers:
        editor.add_tier(tier)
