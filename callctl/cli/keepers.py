"""Who keeps queues, agents and tiers: a running server, or the database while none runs; asked alike."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import attrs
import msgspec
from attrs import field, frozen

from callctl.acd.queue_sources import QueueSources
from callctl.api.client import ControlClient, RequestRefused, path_of
from callctl.errors import AgentExists, ForeignAccount, UnknownAgent, UnknownTier
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, QueueSettings, Tier
from callctl.records.accounts import agent_complaint
from callctl.store import roster as store
from callctl.store.loading import epoch


@frozen
class Roster:
    """All agents and tiers, as they stand.

    `since` is when each agent got its present status and state, as UTC text, and `registered` whether its
    phone is: both only of those of whom it is known.
    """

    agents: Sequence[AgentRecord]
    tiers: Sequence[Tier]
    since: Mapping[str, str] = field(factory=dict)
    registered: Mapping[str, bool] = field(factory=dict)

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


class Keeper(Protocol):
    """What can be asked of whoever keeps the roster. All raise CallctlError with words for people."""

    def roster(self) -> Roster:
        """Return how it stands."""
        ...

    def add_agent(self, settings: AgentSettings) -> None:
        """Add an agent, logged out; raises AgentExists."""
        ...

    def set_agent(self, settings: AgentSettings) -> None:
        """Replace an agent's settings; raises UnknownAgent and ForeignAccount."""
        ...

    def set_status(self, name: str, status: AgentStatus, reason: str, seconds: float | None) -> None:
        """Give an agent a status, for so many seconds or for good; raises UnknownAgent."""
        ...

    def remove_agent(self, name: str) -> None:
        """Remove an agent with its tiers; raises UnknownAgent."""
        ...

    def queue(self, name: str) -> QueueSettings | None:
        """Return a queue's settings; None where there is none."""
        ...

    def put_queue(self, settings: QueueSettings) -> None:
        """Add a queue, or change the one of this name; raises ConfigError and ForeignAccount."""
        ...

    def remove_queue(self, name: str) -> None:
        """Remove a queue; raises UnknownQueue and QueueInUse."""
        ...

    def put_tier(self, tier: Tier) -> None:
        """Let an agent serve a queue in this place; raises UnknownAgent and ForeignAccount."""
        ...

    def remove_tier(self, queue: str, agent: str) -> None:
        """Let an agent no longer serve a queue; raises UnknownTier."""
        ...


def roster_of(connection: sqlite3.Connection) -> Roster:
    """Return the agents and tiers that a database holds. Of phones it knows nothing."""
    return Roster(
        store.load_agents(connection), store.load_tiers(connection), since=store.load_since(connection)
    )


class DatabaseKeeper:
    """The database, open for a change by `store.roster.editing`."""

    def __init__(self, connection: sqlite3.Connection, configured: Mapping[str, QueueSettings]) -> None:
        """`configured` are the queues of callctl.toml."""
        self._connection = connection
        self._sources = QueueSources(configured)
        self._sources.know(store.load_queues(connection))
        self._queues = self._sources.in_force

    def roster(self) -> Roster:
        """Return how it stands."""
        return roster_of(self._connection)

    def add_agent(self, settings: AgentSettings) -> None:
        """Add an agent, logged out; raises AgentExists."""
        store.add_agent(self._connection, settings, time.time())

    def set_agent(self, settings: AgentSettings) -> None:
        """Replace an agent's settings; raises UnknownAgent and ForeignAccount."""
        served = [tier.queue for tier in self.roster().tiers if tier.agent == settings.name]
        if complaint := agent_complaint(settings, served, self._queues):
            raise ForeignAccount(complaint)
        store.set_agent(self._connection, settings)

    def set_status(self, name: str, status: AgentStatus, reason: str, seconds: float | None) -> None:
        """Give an agent a status, for so many seconds or for good; raises UnknownAgent."""
        now = time.time()
        until = now + seconds if seconds is not None else None
        store.set_status(self._connection, name, status, now, reason, until)

    def remove_agent(self, name: str) -> None:
        """Remove an agent with its tiers; raises UnknownAgent."""
        store.remove_agent(self._connection, name, time.time())

    def queue(self, name: str) -> QueueSettings | None:
        """Return a queue's settings; None where there is none."""
        return self._queues.get(name)

    def put_queue(self, settings: QueueSettings) -> None:
        """Add a queue, or change the one of this name; raises ConfigError and ForeignAccount."""
        roster, known = self.roster(), self._queues.get(settings.name)
        names = {tier.agent for tier in roster.tiers if tier.queue == settings.name}
        serving = [record.settings for record in roster.agents if record.settings.name in names]
        has_moved = known is not None and known.account != settings.account
        self._sources.check_put(settings, serving if has_moved else ())
        self._sources.put(settings)
        store.put_queue(self._connection, settings)

    def remove_queue(self, name: str) -> None:
        """Remove a queue; raises UnknownQueue and QueueInUse."""
        self._sources.remove(name)
        store.remove_queue(self._connection, name)

    def put_tier(self, tier: Tier) -> None:
        """Let an agent serve a queue in this place; raises UnknownAgent and ForeignAccount."""
        agent = store.get_agent(self._connection, tier.agent).settings
        if complaint := agent_complaint(agent, [tier.queue], self._queues):
            raise ForeignAccount(complaint)
        store.add_tier(self._connection, tier)

    def remove_tier(self, queue: str, agent: str) -> None:
        """Let an agent no longer serve a queue; raises UnknownTier."""
        store.remove_tier(self._connection, queue, agent)


class ServerKeeper:
    """The running server, through its control socket: every change is in force when the call returns."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def roster(self) -> Roster:
        """Return how it stands at this moment."""
        shapes = self._client.get(path_of("agents"))["agents"]
        tiers = [
            Tier(queue=queue, agent=shape["name"], **place)
            for shape in shapes
            for queue, place in shape["tiers"].items()
        ]
        order = sorted(tiers, key=lambda tier: (tier.queue, tier.level, tier.position, tier.agent))
        return Roster(
            tuple(_record(shape) for shape in shapes),
            tuple(order),
            since={shape["name"]: shape["since"] for shape in shapes},
            registered={
                shape["name"]: shape["registered"] for shape in shapes if shape["registered"] is not None
            },
        )

    def add_agent(self, settings: AgentSettings) -> None:
        """Add an agent, logged out; raises AgentExists."""
        if any(record.settings.name == settings.name for record in self.roster().agents):
            raise AgentExists(
                f"there is an agent {settings.name!r} already; change it with callctl agent set"
            )
        self._client.put(path_of("agents", settings.name), _body(settings))

    def set_agent(self, settings: AgentSettings) -> None:
        """Replace an agent's settings; raises UnknownAgent."""
        self._client.patch(path_of("agents", settings.name), _body(settings))

    def set_status(self, name: str, status: AgentStatus, reason: str, seconds: float | None) -> None:
        """Give an agent a status, for so many seconds or for good."""
        change: dict[str, object] = {"status": status.value, "reason": reason}
        if seconds is not None:
            change["for_seconds"] = seconds
        self._client.post(path_of("agents", name, "status"), change)

    def remove_agent(self, name: str) -> None:
        """Remove an agent with its tiers."""
        self._client.delete(path_of("agents", name))

    def queue(self, name: str) -> QueueSettings | None:
        """Return a queue's settings; None where there is none."""
        try:
            shape = self._client.get(path_of("queues", name))
        except RequestRefused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        settings = shape["settings"]
        return None if settings is None else msgspec.convert(settings, QueueSettings)

    def put_queue(self, settings: QueueSettings) -> None:
        """Add a queue, or change the one of this name."""
        body = msgspec.to_builtins(settings)
        del body["name"]
        self._client.put(path_of("queues", settings.name), body)

    def remove_queue(self, name: str) -> None:
        """Remove a queue."""
        self._client.delete(path_of("queues", name))

    def put_tier(self, tier: Tier) -> None:
        """Let an agent serve a queue in this place."""
        place = {"level": tier.level, "position": tier.position}
        self._client.put(path_of("queues", tier.queue, "tiers", tier.agent), place)

    def remove_tier(self, queue: str, agent: str) -> None:
        """Let an agent no longer serve a queue."""
        self._client.delete(path_of("queues", queue, "tiers", agent))


def _body(settings: AgentSettings) -> dict[str, object]:
    return {name: value for name, value in attrs.asdict(settings).items() if name != "name"}


def _record(shape: Mapping[str, Any]) -> AgentRecord:
    names = (attribute.name for attribute in attrs.fields(AgentSettings))
    return AgentRecord(
        settings=AgentSettings(**{name: shape[name] for name in names}),
        status=AgentStatus(shape["status"]),
        state=AgentState(shape["state"]),
        reason=shape["reason"],
        misses=shape["misses"],
        calls_answered=shape["calls_answered"],
        talk_seconds=shape["talk_seconds"],
        status_until=None if shape["status_until"] is None else epoch(shape["status_until"]),
    )
