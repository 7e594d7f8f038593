"""Reads the table `events`: what other systems are told, in the order in which it was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Set
from functools import cached_property

import msgspec
from attrs import frozen

from callctl.store.event_types import Envelope
from callctl.store.loading import select

PAGE_EVENTS = 500
"""How many are read at once: about 5 ms."""

PRUNED_THROUGH = "events_pruned_through"
"""The key in `meta` of the last sequence that `prune` removed."""


@frozen(slots=False)
class StoredEvent:
    """A row of `events`. `data` is JSON."""

    sequence: int
    id: str
    type: str
    at: str
    account: str
    call: str
    queue: str
    agent: str
    data: str

    @cached_property
    def envelope(self) -> bytes:
        """The event as it is sent, in JSON on one line."""
        return msgspec.json.encode(
            Envelope(
                id=self.id,
                type=self.type,
                timestamp=self.at,
                account=self.account,
                sequence=self.sequence,
                data=msgspec.Raw(self.data.encode()),
            )
        )


@frozen(kw_only=True)
class EventFilter:
    """Which events are wanted: each set that is not empty must hold the event's value.

    `account` is whose things are seen, None for all. `only_agent` limits all to what concerns one agent.
    """

    types: Set[str] = frozenset()
    queues: Set[str] = frozenset()
    agents: Set[str] = frozenset()
    calls: Set[str] = frozenset()
    account: str | None = None
    only_agent: str | None = None

    def takes(self, event: StoredEvent) -> bool:
        """Say whether this event is wanted."""
        return (
            (self.account is None or event.account == self.account)
            and (self.only_agent is None or event.agent == self.only_agent)
            and (not self.types or event.type in self.types)
            and (not self.queues or event.queue in self.queues)
            and (not self.agents or event.agent in self.agents)
            and (not self.calls or event.call in self.calls)
        )


_COLUMNS = "sequence, id, type, at, account, call_id, queue, agent, data"


def events_after(
    connection: sqlite3.Connection, sequence: int, limit: int = PAGE_EVENTS
) -> list[StoredEvent]:
    """Return the next events after this one, oldest first. Raises StoreError."""
    rows = select(
        connection,
        f"SELECT {_COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (sequence, limit),
    )
    return [StoredEvent(*row) for row in rows]


def last_sequence(connection: sqlite3.Connection) -> int:
    """Return the sequence of the newest event that was ever written, 0 for none. Raises StoreError."""
    rows = select(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'")
    return int(rows[0][0]) if rows else 0


def pruned_through(connection: sqlite3.Connection) -> int:
    """Return the sequence up to which events were removed as too old, 0 for none. Raises StoreError."""
    rows = select(connection, "SELECT value FROM meta WHERE key = ?", (PRUNED_THROUGH,))
    return int(rows[0][0]) if rows else 0
