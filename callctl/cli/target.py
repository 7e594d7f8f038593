"""Where a command works: on a running server through its control socket, or on the database when none runs.

This is the one place that decides it. Agents and tiers that stand in callctl.toml count in both; their
status can be changed, but what the file says of them is changed in the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from attrs import evolve

from callctl.api.client import ControlClient
from callctl.cli.keepers import DatabaseKeeper, Keeper, Roster, ServerKeeper, roster_of
from callctl.config import Config
from callctl.config.paths import control_socket
from callctl.errors import CallctlError, DatabaseInUse
from callctl.model import AgentRecord, AgentState, AgentStatus
from callctl.store import roster as store
from callctl.store.schema import open_history

BETWEEN_SECONDS = 5.0
"""How long a server is waited for that starts or stops: it has the database, and no control socket."""

AGAIN_SECONDS = 0.1


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
    with ExitStack() as stack:
        yield _keeper(config, stack)


def _keeper(config: Config, stack: ExitStack) -> Keeper:
    give_up_at = time.monotonic() + BETWEEN_SECONDS
    while True:
        client = running_server(config)
        if client is not None:
            return ServerKeeper(client)
        try:
            connection = stack.enter_context(store.editing(config.server.database))
        except DatabaseInUse as error:
            if time.monotonic() >= give_up_at:
                raise CallctlError(
                    f"a callctl (pid {error.pid}) starts or stops on {config.server.database}; "
                    "try again in a moment"
                ) from error
            time.sleep(AGAIN_SECONDS)
        else:
            keeper = DatabaseKeeper(connection, config.queues)
            _take_over(config, keeper)
            return keeper


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
