"""Changes queues while callers wait in them: each is in force at once, and touches no call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from callctl.acd.distributor import Distributor
from callctl.acd.limits import depends_on_presence
from callctl.acd.queue_sources import QueueSources
from callctl.call.dispatcher import Dispatcher
from callctl.call.switch import Switch
from callctl.call.variables import prelude_of
from callctl.model import Fact, QueueRemoved, QueueSettings, QueueTargets

log = structlog.get_logger(__name__)


def has_preludes(queues: Mapping[str, QueueSettings]) -> bool:
    """Say whether the agents of any queue hear or press something before they get a caller."""
    return any(map(prelude_of, queues.values()))


def watches_phones(queues: Mapping[str, QueueSettings]) -> bool:
    """Say whether any queue asks who is on a call of its own, or whose phone is registered."""
    return any(
        queue.skip_agents_with_external_calls or depends_on_presence(queue) or not queue.join_when_empty
        for queue in queues.values()
    )


class QueueChanges:
    """The one way to change the queues of a server that runs."""

    def __init__(
        self,
        sources: QueueSources,
        *,
        dispatcher: Dispatcher,
        switches: Mapping[str, Switch],
        record: Callable[[Fact], None],
    ) -> None:
        self._sources = sources
        self._dispatcher = dispatcher
        self._switches = switches
        self._record = record
        self._record_targets(*sources.in_force)
        self._warn()

    async def put(self, settings: QueueSettings) -> None:
        """Add a queue, or change the one of this name. Raises what `QueueSources.check_put` does."""

        def put(distributor: Distributor, now: float) -> None:
            agents = [agent.settings for agent in distributor.agents(now) if settings.name in agent.tiers]
            known = self._sources.in_force.get(settings.name)
            has_moved = known is not None and known.account != settings.account
            self._sources.check_put(settings, agents if has_moved else ())
            distributor.put_queue(settings, now)
            self._sources.put(settings)

        self._dispatcher.act(put)
        self._record(settings)
        self._record_targets(settings.name)
        await self._have_switches_follow()

    async def remove(self, name: str) -> None:
        """Let nobody join a queue any more; who waits in it is served as before, and its tiers stay.

        Raises UnknownQueue, and QueueInUse for one that another queue sends callers to.
        """
        self._sources.remove(name)
        self._dispatcher.act(lambda distributor, now: distributor.remove_queue(name, now))
        self._record(QueueRemoved(queue=name))
        await self._have_switches_follow()

    async def reload(
        self, configured: Mapping[str, QueueSettings], also: Callable[[Distributor, float], None]
    ) -> None:
        """Take over what callctl.toml says of queues, and do `also` what it says besides."""
        gone = self._sources.reload(configured)

        def take_over(distributor: Distributor, now: float) -> None:
            for queue in self._sources.in_force.values():
                distributor.put_queue(queue, now)
            for name in gone:
                distributor.remove_queue(name, now)
            also(distributor, now)

        self._dispatcher.act(take_over)
        self._record_targets(*configured)
        self._warn()
        await self._have_switches_follow()

    def _record_targets(self, *names: str) -> None:
        """Let the history's views count with the thresholds of these queues."""
        for name in names:
            queue = self._sources.in_force[name]
            self._record(
                QueueTargets(
                    queue=queue.name,
                    service_level_seconds=queue.service_level_seconds,
                    short_abandon_seconds=queue.short_abandon_seconds,
                )
            )

    def _warn(self) -> None:
        """Say what callctl.toml has made wrong of the queues in the database."""
        for problem in self._sources.problems():
            log.warning(problem)

    async def _have_switches_follow(self) -> None:
        queues = self._sources.in_force
        for switch in self._switches.values():
            switch.media.look_again()
            await switch.widen(has_preludes=has_preludes(queues), watches_phones=watches_phones(queues))
