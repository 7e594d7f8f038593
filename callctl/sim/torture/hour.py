"""One hour of a call centre: a world is made from a seed, runs, comes to rest, and is audited."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import trio
from attrs import field, frozen
from trio._core import _run as trio_run
from trio.testing import MockClock

from callctl.clock import SteadyClock
from callctl.config import Config
from callctl.config.settings import HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.ids import Ids
from callctl.sim.dialplan import house_dialplan
from callctl.sim.switch import Switch
from callctl.sim.torture.audit import audit, count_outcomes
from callctl.sim.torture.climate import (
    add_callbacks,
    add_overflows,
    add_preludes,
    add_transfers,
    draw_climate,
)
from callctl.sim.torture.crowd import Crowd
from callctl.sim.torture.disk import Disk
from callctl.sim.torture.house import House
from callctl.sim.torture.logs import Logs
from callctl.sim.torture.mishaps import Mishaps
from callctl.sim.torture.timeline import Timeline, Violation
from callctl.sim.torture.truth import Truth
from callctl.sim.torture.watch import Watch
from callctl.sim.torture.wires import Network

EPOCH = 1_800_000_000.0
"""When every hour begins: a Friday in January 2027."""

REST_SECONDS = 1800.0
"""How long the last callers may take to be gone: patience ends after ten minutes, and talks end."""

LAST_LOOK_SECONDS = 60.0
"""How long things are left alone after the last call, before they must be at rest."""

STORIES = 3
"""So many violations of an hour are told with all that led to them: mostly one comes of the other."""

STORY_SECONDS = 180.0
"""How much of the time before a violation is told."""


@frozen(kw_only=True)
class HourResult:
    """What came of an hour. `counts` are figures by name; `story` is for people, empty if all was well."""

    seed: str
    counts: Mapping[str, int]
    violations: tuple[str, ...]
    story: tuple[str, ...]
    digest: str


@frozen(kw_only=True)
class HourSettings:
    """What an hour is to be: `seed` says everything else."""

    seed: str
    crash_every: float = 360.0
    seconds: float = 3600.0
    tell: str = ""
    """Which violations are told with all that led to them: those that contain this."""
    directory: Path = field(
        factory=lambda: Path("/dev/shm") if os.path.isdir("/dev/shm") else Path(tempfile.gettempdir())
    )


def run_hour(settings: HourSettings) -> HourResult:
    """Run one hour under a virtual clock, and return what came of it; equal settings give equal results."""
    with (
        tempfile.TemporaryDirectory(dir=settings.directory, prefix="callctl-torture-") as directory,
        _repeatable_scheduling(settings.seed),
    ):
        hour = _Hour(settings, Path(directory) / "callctl.db")
        return trio.run(hour.run, clock=MockClock(autojump_threshold=0))


@contextmanager
def _repeatable_scheduling(seed: str) -> Iterator[None]:
    """Let Trio run its tasks in an order that the seed decides. It has no public switch for that.

    Hypothesis does the same for its users.
    """
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # Final only for Trio's own tests
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]  # as above


class _Hour:
    def __init__(self, settings: HourSettings, database: Path) -> None:
        self._settings = settings
        self._database = database
        self._chance = Random(settings.seed)
        climate = draw_climate(self._part("climate"), settings.crash_every)
        climate = add_overflows(climate, self._part("overflows"))
        climate = add_preludes(climate, self._part("preludes"))
        climate = add_callbacks(climate, self._part("callbacks"))
        self._climate = add_transfers(climate, self._part("transfers"))
        self._timeline = Timeline(EPOCH)

    def _part(self, name: str) -> Random:
        """Return a chance of its own for each part, so that a change of one leaves the others alone."""
        return Random(f"{self._settings.seed}/{name}")

    async def run(self) -> HourResult:
        self._clock = SteadyClock(EPOCH)
        self._logs = Logs(self._timeline, self._clock, self._database.parent)
        with self._logs.taken():
            async with trio.open_nursery() as nursery:
                result = await self._live_through(nursery)
                nursery.cancel_scope.cancel()
        return result

    async def _live_through(self, nursery: trio.Nursery) -> HourResult:
        climate, timeline, clock = self._climate, self._timeline, self._clock
        timeline.add(clock.now(), "hour", f"{climate}")
        truth, disk = Truth(timeline), Disk(self._database)
        switches: dict[str, Switch] = {}
        for name in climate.switches:
            chance = self._part(name)
            switches[name] = Switch(
                name=name,
                random=chance,
                ids=Ids(chance),
                dial=lambda host, port: house.dial(host, port),
                dialplan=house_dialplan(),
                clock=clock,
            )
            truth.watch(switches[name])
        house = House(
            self._config(),
            switches=switches,
            network=Network(self._part("network"), climate.latency_seconds),
            disk=disk,
            timeline=timeline,
            clock=clock,
            chance=self._part("house"),
        )
        about: dict[str, Any] = {
            "house": house,
            "switches": switches,
            "truth": truth,
            "timeline": timeline,
            "clock": clock,
        }
        keys, consults = self._part("keys"), self._part("consults")
        crowd = Crowd(
            climate,
            chance=self._part("crowd"),
            keys=keys,
            consults=consults,
            transfers=self._part("transferring"),
            **about,
        )
        mishaps = Mishaps(climate, disk=disk, chance=self._part("mishaps"), **about)
        watch = Watch(climate, crowd=crowd, mishaps=mishaps, disk=disk, **about)
        for switch in switches.values():
            await nursery.start(switch.run)
        nursery.start_soon(house.run)
        nursery.start_soon(watch.run)
        with trio.move_on_after(self._settings.seconds):
            async with trio.open_nursery() as people:
                people.start_soon(crowd.run)
                people.start_soon(mishaps.run)
        timeline.add(clock.now(), "hour", "is over; nobody comes any more, and nothing goes wrong")
        violations = await self._come_to_rest(house, switches, watch)
        house.retire()
        with trio.move_on_after(LAST_LOOK_SECONDS):
            await house.retired.wait()
        watch.look()
        violations += watch.violations
        now = clock.now()
        violations += audit(
            self._database,
            truth,
            watch.promised,
            watch.promised_callbacks,
            watch.could_know,
            now,
        )
        violations += [Violation(now, error, ()) for error in self._logs.faults]
        counts = Counter(mishaps.counts)
        counts.update(
            {f"calls {outcome}": number for outcome, number in count_outcomes(self._database).items()}
        )
        counts.update(
            callers=len(truth.stories), lives=house.lives, kills=house.kills, healed=watch.healed_leases
        )
        counts["sent"] = sum(len(story.entered) for story in truth.stories.values())
        counts["talks"] = sum(len(story.talks) for story in truth.stories.values())
        return HourResult(
            seed=self._settings.seed,
            counts=counts,
            violations=tuple(timeline.readable(violation.what) for violation in violations),
            story=tuple(self._story(violations)),
            digest=timeline.digest(),
        )

    def _config(self) -> Config:
        climate = self._climate
        return Config(
            server=ServerSettings(database=self._database, default_queue=climate.queues[0].name),
            switches=tuple(SwitchSettings(name=name, host=name) for name in climate.switches),
            http=HttpSettings(),
            log=LogSettings(),
            queues={queue.name: queue for queue in climate.queues},
            agents={agent.name: agent for agent in climate.agents},
            tiers=climate.tiers,
        )

    async def _come_to_rest(self, house: House, switches: dict[str, Switch], watch: Watch) -> list[Violation]:
        """Wait until all calls have come to their end, and say what does not."""
        with trio.move_on_after(REST_SECONDS):
            # Nobody tells when the last channel is gone.
            while not self._is_quiet(house, switches):  # noqa: ASYNC110
                await trio.sleep(1.0)
        await trio.sleep(LAST_LOOK_SECONDS)
        now = self._clock.now()
        left = [
            Violation(
                now, f"the channel {channel.uuid} is left", (channel.uuid, channel.variable("cc_agent"))
            )
            for switch in switches.values()
            for channel in switch.channels()
        ]
        if house.server is None:
            return [*left, Violation(now, "callctl is not there in the end", ())]
        for session in house.server.reception.sessions.values():
            about = (session.arrival.call, session.arrival.uuid)
            left.append(Violation(now, f"the session of {session.arrival.uuid} is left", about))
        agents = house.server.dispatcher.ask(lambda distributor, at: distributor.agents(at))
        for agent in agents:
            if agent.call:
                left.append(
                    Violation(now, f"{agent.name} is {agent.state} in the end", (agent.name, agent.call))
                )
        return left

    def _is_quiet(self, house: House, switches: dict[str, Switch]) -> bool:
        if house.server is None or house.server.reception.sessions:
            return False
        return not any(switch.channels() for switch in switches.values())

    def _story(self, violations: list[Violation]) -> Iterator[str]:
        wanted = [violation for violation in violations if self._settings.tell in violation.what]
        for violation in wanted[:STORIES]:
            yield f"--- {self._timeline.readable(violation.what)}"
            yield from self._timeline.story(violation.about, STORY_SECONDS, violation.at)
