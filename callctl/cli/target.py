"""Where a command works: on a running server through its control socket, or on the database when none runs.

This is the one place that decides it. Agents and tiers that stand in callctl.toml count in both; their
status can be changed, but what the file says of them is changed in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from attrs import evolve

from callctl.api.client import ControlClient
from callctl.cli.keepers import DatabaseKeeper, Keeper, Roster, ServerKeeper, roster_of
from callctl.config import Config
from callctl.config.paths import control_socket
from callctl.errors import CallctlError
from callctl.model import AgentRecord, AgentState, AgentStatus
from callctl.store import roster as store
from callctl.store.schema import open_history


def running_server(config: Config) -> ControlClient | None:
    """Return the way to the server of this configuration, or None if none runs."""
    client = ControlClient(control_socket(config.server.database))
    return client if client.is_served() else None


def need_server(config: Config) -> ControlClient:
    """Return the way to the server, or raise CallctlError if none runs."""
    client = running_server(config)
    if client is None:
        raise CallctlError(f"no server runs on {config.server.database}; callctl serve starts one")
    return client


@contextmanager
def edit_roster(config: Config) -> Iterator[Keeper]:
    """Give whoever keeps agents and tiers, to change them.

    In the database, what the block did stands whole or not at all. Raises StoreError when the database
    cannot be changed.
    """
    client = running_server(config)
    if client is not None:
        yield ServerKeeper(client)
        return
    with store.editing(config.server.database) as connection:
        keeper = DatabaseKeeper(connection)
        _take_over(config, keeper)
        yield keeper


def read_roster(config: Config) -> Roster:
    """Return agents and tiers as they stand, at a server or in database and file; raises StoreError."""
    client = running_server(config)
    if client is not None:
        return ServerKeeper(client).roster()
    if not config.server.database.exists():
        return _laid_over(config, Roster((), ()))
    with closing(open_history(config.server.database)) as connection:
        return _laid_over(config, roster_of(connection))


def _laid_over(config: Config, roster: Roster) -> Roster:
    """Return `roster` with what callctl.toml says of agents and tiers, as a server does at its start."""
    agents = {record.settings.name: record for record in roster.agents}
    for settings in config.agents.values():
        known = agents.get(settings.name)
        new = AgentRecord(settings=settings, status=AgentStatus.LOGGED_OUT, state=AgentState.IDLE)
        agents[settings.name] = evolve(known, settings=settings) if known else new
    tiers = {(tier.queue, tier.agent): tier for tier in (*roster.tiers, *config.tiers)}
    return evolve(roster, agents=tuple(agents.values()), tiers=tuple(tiers.values()))


def _take_over(config: Config, keeper: Keeper) -> None:
    """Bring the agents of callctl.toml into the database, so that their status can be changed."""
    known = {record.settings.name for record in keeper.roster().agents}
    for settings in config.agents.values():
        if settings.name not in known:
            keeper.add_agent(settings)
