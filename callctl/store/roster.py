"""Changes queues, agents and tiers in the database while no server runs; a running one is asked instead.

A server reads them at its start and owns them from then on, so `editing` takes the same lock as a server
does. Everything in one `editing` block is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import evolve

from callctl.clock import iso_utc
from callctl.errors import AgentExists, UnknownAgent, UnknownTier
from callctl.model import (
    DOWN,
    AgentRecord,
    AgentRemoved,
    AgentSettings,
    AgentSpan,
    AgentState,
    AgentStatus,
    Fact,
    QueueRemoved,
    QueueSettings,
    Tier,
    TierRemoved,
    TokenRecord,
)
from callctl.store.connections import ServerLock, connect, store_error, transaction
from callctl.store.loading import agent_of, load_agents, load_queues, load_since, load_tiers, select
from callctl.store.rows import CLOSE_EARLIER_SPANS, entries_of
from callctl.store.schema import migrate

__all__ = [
    "add_agent",
    "add_tier",
    "editing",
    "get_agent",
    "load_agents",
    "load_queues",
    "load_since",
    "load_tiers",
    "put_queue",
    "put_token",
    "remove_agent",
    "remove_queue",
    "remove_tier",
    "set_agent",
    "set_status",
    "set_tier",
]


@contextmanager
def editing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database at `path` for the functions of this room, creating or migrating it if need be.

    What the block did stands when it is left, or nothing of it after an error. Raises StoreError when a
    server runs on the database, or it cannot be used.
    """
    with ServerLock(path):
        migrate(path)
        try:
            with closing(connect(path)) as connection, transaction(connection):
                yield connection
        except sqlite3.Error as error:
            raise store_error(path, error) from error


def get_agent(connection: sqlite3.Connection, name: str) -> AgentRecord:
    """Return the agent of this name; raises UnknownAgent, naming those that there are."""
    for row in select(connection, "SELECT * FROM agents WHERE name = ?", (name,)):
        return agent_of(row)
    names = [str(row["name"]) for row in select(connection, "SELECT name FROM agents ORDER BY name LIMIT 10")]
    known = f"there are {', '.join(names)}" if names else "there are none yet"
    raise UnknownAgent(f"there is no agent {name!r}; {known}")


def add_agent(connection: sqlite3.Connection, settings: AgentSettings, now: float) -> AgentRecord:
    """Add an agent, logged out, and return it; raises AgentExists."""
    if select(connection, "SELECT 1 FROM agents WHERE name = ?", (settings.name,)):
        raise AgentExists(f"there is an agent {settings.name!r} already; change it with callctl agent set")
    record = AgentRecord(settings=settings, status=AgentStatus.LOGGED_OUT, state=AgentState.IDLE)
    _write(connection, record, _span(record, now))
    return record


def set_agent(connection: sqlite3.Connection, settings: AgentSettings) -> AgentRecord:
    """Give the agent of this name new settings, and return it; raises UnknownAgent."""
    record = evolve(get_agent(connection, settings.name), settings=settings)
    _write(connection, record)
    return record


def remove_agent(connection: sqlite3.Connection, name: str, now: float) -> None:
    """Remove an agent and its tiers; its history stays. Raises UnknownAgent."""
    get_agent(connection, name)
    _write(connection, AgentRemoved(agent=name))
    connection.execute(
        "UPDATE agent_spans SET ended_at = max(started_at, ?) WHERE agent = ? AND ended_at IS NULL",
        (iso_utc(now), name),
    )


def set_status(
    connection: sqlite3.Connection,
    name: str,
    status: AgentStatus,
    now: float,
    reason: str = "",
    until: float | None = None,
) -> AgentRecord:
    """Give an agent a status, for a reason, `until` a time or for good, and return it.

    Raises UnknownAgent.
    """
    before = get_agent(connection, name)
    is_present = status in (AgentStatus.AVAILABLE, AgentStatus.AVAILABLE_ON_DEMAND)
    record = evolve(
        before,
        status=status,
        state=AgentState.WAITING if is_present else AgentState.IDLE,
        reason=reason,
        misses=0 if is_present else before.misses,
        status_until=until,
    )
    _write(connection, record, _span(record, now))
    return record


def add_tier(connection: sqlite3.Connection, tier: Tier) -> None:
    """Let an agent serve a queue, or give it another place in it; raises UnknownAgent."""
    get_agent(connection, tier.agent)
    _write(connection, tier)


def set_tier(connection: sqlite3.Connection, tier: Tier) -> None:
    """Give an agent another place in a queue that it serves; raises UnknownTier."""
    _get_tier(connection, tier.queue, tier.agent)
    _write(connection, tier)


def remove_tier(connection: sqlite3.Connection, queue: str, agent: str) -> None:
    """Let an agent no longer serve a queue; raises UnknownTier."""
    _get_tier(connection, queue, agent)
    _write(connection, TierRemoved(queue=queue, agent=agent))


def put_token(connection: sqlite3.Connection, token: TokenRecord) -> None:
    """Keep what is known of a token for the HTTP API."""
    _write(connection, token)


def put_queue(connection: sqlite3.Connection, settings: QueueSettings) -> None:
    """Add a queue, or give the one of this name other settings."""
    _write(connection, settings)


def remove_queue(connection: sqlite3.Connection, name: str) -> None:
    """Remove a queue; its tiers stay, for when there is such a queue again."""
    _write(connection, QueueRemoved(queue=name))


def _get_tier(connection: sqlite3.Connection, queue: str, agent: str) -> None:
    get_agent(connection, agent)
    if not select(connection, "SELECT 1 FROM tiers WHERE queue = ? AND agent = ?", (queue, agent)):
        raise UnknownTier(
            f"the agent {agent!r} has no tier in the queue {queue!r}; callctl tier add makes one"
        )


def _span(record: AgentRecord, now: float) -> AgentSpan:
    # Whatever the status, nobody is available while no server runs.
    return AgentSpan(
        agent=record.settings.name,
        started_at=now,
        ended_at=None,
        status=record.status,
        state=AgentState.IDLE,
        reason=DOWN if record.state is AgentState.WAITING else record.reason,
    )


def _write(connection: sqlite3.Connection, *facts: Fact) -> None:
    for fact in facts:
        for entry in entries_of(fact):
            connection.execute(entry.sql(), entry.values())
        if isinstance(fact, AgentSpan):
            connection.execute(CLOSE_EARLIER_SPANS, (fact.agent,))
