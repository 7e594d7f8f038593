"""What goes wrong in an hour, and when: each kind of mishap comes by itself, as often as the climate says.

A switch has one trouble at a time, and knows from when on it has none; only then can callctl be held to
what it promises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

import trio

from callctl.clock import SteadyClock
from callctl.sim.switch import Switch
from callctl.sim.torture.climate import CUT_AND_SEND, Climate
from callctl.sim.torture.disk import Disk
from callctl.sim.torture.house import House
from callctl.sim.torture.timeline import Timeline
from callctl.sim.torture.truth import Truth

SENDS_TO_DIE_IN = 40
"""A kill that waits for a send waits for so many at most: those of about five calls."""

SHUTDOWN_SECONDS = 25.0
"""What a switch needs at most to shut down."""

INSTANTS = (
    "socket-connected",
    "leg-ringing",
    "leg-answered",
    "bridge-ordered",
    "bridged",
    "unbridged",
    "hung-up",
)
"""Instants in which callctl may be killed."""


class Mishaps:
    """The bad luck of one hour. `counts` says how often each kind struck."""

    def __init__(
        self,
        climate: Climate,
        *,
        house: House,
        switches: dict[str, Switch],
        disk: Disk,
        truth: Truth,
        timeline: Timeline,
        clock: SteadyClock,
        chance: Random,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._climate = climate
        self._house = house
        self._switches = switches
        self._disk = disk
        self._truth = truth
        self._timeline = timeline
        self._clock = clock
        self._chance = chance
        self._troubled: dict[str, str] = {}
        self._instant = ""
        for switch in switches.values():
            switch.faults.late_events = climate.late_events
            switch.faults.late_seconds = climate.late_seconds
            switch.faults.lost_jobs = climate.lost_jobs
            switch.faults.missing_completions = climate.missing_completions
            switch.on_observed(self._notice)

    def is_troubled(self, switch: Switch) -> bool:
        """Say whether something is wrong with a switch or the way to it."""
        return switch.name in self._troubled

    async def run(self) -> None:
        """Strike until cancelled; whatever is wrong then is put right."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "stop": self._stop,
            "restart-loop": self._restart_loop,
            "switch-crash": self._switch_crash,
            "switch-shutdown": self._switch_shutdown,
            "link-drop": self._link_drop,
            "socket-drop": self._socket_drop,
            "all-sockets-drop": self._all_sockets_drop,
            "stall": self._stall,
            "network-loss": self._network_loss,
            "slow-api": self._slow_api,
            "disk-full": self._disk_full,
            "database-locked": self._database_locked,
            "originate-refused": self._originate_refused,
            "login-refused": self._login_refused,
            "failed-bridges": self._failed_bridges,
            CUT_AND_SEND: self._cut_and_send,
        }
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._again_and_again, self._crash, self._climate.seconds_between_crashes)
                for kind, mean_seconds in self._climate.mishaps.items():
                    nursery.start_soon(self._again_and_again, kinds[kind], mean_seconds)
        finally:
            self._instant = ""
            self._house.kill_at_send(0, None)

    async def _again_and_again(self, strike: Callable[[], Awaitable[None]], mean_seconds: float) -> None:
        while True:
            await trio.sleep(self._chance.expovariate(1 / mean_seconds))
            await strike()

    def _say(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self._timeline.add(self._clock.now(), "mishap", what)

    @contextmanager
    def _trouble(self, kind: str, what: str) -> Iterator[Switch | None]:
        """Choose a switch that has no trouble yet, and let it have some."""
        well = [switch for name, switch in self._switches.items() if name not in self._troubled]
        if not well:
            yield None
            return
        switch = self._chance.choice(well)
        self._troubled[switch.name] = kind
        self._say(kind, f"{switch.name}: {what}")
        try:
            yield switch
        finally:
            del self._troubled[switch.name]
            self._timeline.add(self._clock.now(), "mishap", f"{switch.name}: end of {kind}")

    # --- callctl ---

    async def _crash(self) -> None:
        """Kill callctl: now, in the midst of a send, or in the instant in which something happens."""
        way = self._chance.random()
        if way < 0.3:
            self._kill()
        elif way < 0.65:
            self._house.kill_at_send(self._chance.randint(1, SENDS_TO_DIE_IN), self._kill)
        else:
            self._instant = self._chance.choice(INSTANTS)

    def _notice(self, name: str, _uuid: str, _at: float, _other: str) -> None:
        if name == self._instant:
            self._instant = ""
            delay = self._chance.choice((0.0, self._chance.uniform(0.0, 0.1)))
            next(iter(self._switches.values())).later(delay, self._kill)

    def _kill(self) -> None:
        if self._house.server is not None or self._house.is_starting:
            self.counts["crash"] += 1
            self._house.kill(min(60.0, self._chance.expovariate(1 / self._climate.seconds_down)))

    async def _stop(self) -> None:
        if self._house.server is not None:
            self._say("stop", "callctl is to stop")
            self._house.stop(min(60.0, self._chance.expovariate(1 / self._climate.seconds_down)))

    async def _restart_loop(self) -> None:
        """callctl dies in the first moments of each life, several times."""
        self._say("restart-loop", "callctl does not come up for long")
        for _ in range(self._chance.randint(2, 6)):
            self._kill()
            await trio.sleep(self._chance.uniform(0.0, 3.0))

    # --- the switches ---

    async def _switch_crash(self) -> None:
        with self._trouble("switch-crash", "crashes") as switch:
            if switch is not None:
                switch.crash()
                self._truth.crashed(switch, self._clock.now())
                try:
                    await trio.sleep(self._chance.uniform(0.1, 60.0))
                finally:
                    switch.restart()

    async def _switch_shutdown(self) -> None:
        with self._trouble("switch-shutdown", "shuts down") as switch:
            if switch is not None:
                switch.shut_down()
                try:
                    await trio.sleep(SHUTDOWN_SECONDS + self._chance.uniform(0.1, 60.0))
                finally:
                    self._truth.crashed(switch, self._clock.now())
                    switch.restart()

    async def _link_drop(self) -> None:
        with self._trouble("link-drop", "loses callctl's inbound connection") as switch:
            if switch is not None:
                for listener in list(switch.events.listeners):
                    if not listener.is_outbound:
                        listener.kill(None)

    async def _socket_drop(self) -> None:
        with self._trouble("socket-drop", "loses one caller's socket") as switch:
            if switch is not None:
                sockets = [listener for listener in switch.events.listeners if listener.is_outbound]
                if sockets:
                    self._chance.choice(sockets).kill(None)

    async def _all_sockets_drop(self) -> None:
        with self._trouble("all-sockets-drop", "loses every connection") as switch:
            if switch is not None:
                switch.drop_connections()

    async def _stall(self) -> None:
        with self._trouble("stall", "says nothing") as switch:
            if switch is not None:
                switch.stall()
                try:
                    await trio.sleep(self._chance.choice((1.0, 10.0, 100.0)))
                finally:
                    switch.go_on()

    async def _network_loss(self) -> None:
        with self._trouble("network-loss", "is cut off") as switch:
            if switch is not None:
                switch.lose_network()
                try:
                    await trio.sleep(self._chance.choice((1.0, 10.0, 100.0)))
                finally:
                    switch.find_network()

    async def _slow_api(self) -> None:
        with self._trouble("slow-api", "takes its time for api commands") as switch:
            if switch is not None:
                switch.faults.api_seconds = self._chance.choice((0.05, 0.5))
                try:
                    await trio.sleep(20.0)
                finally:
                    switch.faults.api_seconds = 0.0

    async def _originate_refused(self) -> None:
        with self._trouble("originate-refused", "refuses every originate") as switch:
            if switch is not None:
                switch.faults.refuse_originate = "NORMAL_CIRCUIT_CONGESTION"
                try:
                    await trio.sleep(15.0)
                finally:
                    switch.faults.refuse_originate = ""

    async def _login_refused(self) -> None:
        with self._trouble("login-refused", "refuses the password") as switch:
            if switch is not None:
                switch.faults.refuse_login = True
                switch.drop_connections()
                try:
                    await trio.sleep(20.0)
                finally:
                    switch.faults.refuse_login = False

    async def _failed_bridges(self) -> None:
        with self._trouble("failed-bridges", "bridges nobody") as switch:
            if switch is not None:
                switch.faults.failed_bridges = 0.7
                try:
                    await trio.sleep(30.0)
                finally:
                    switch.faults.failed_bridges = 0.0

    async def _cut_and_send(self) -> None:
        """Somebody sends a caller elsewhere just when callctl, or its connection, is gone."""
        with self._trouble(CUT_AND_SEND, "loses callctl as a caller is sent elsewhere") as switch:
            if switch is None:
                return
            if self._chance.random() < 0.5:
                self._kill()
            else:
                for listener in list(switch.events.listeners):
                    if not listener.is_outbound:
                        listener.kill(None)
            await trio.sleep(self._chance.choice((0.0, 0.001, self._chance.uniform(0.0, 5.0))))
            waiting = [
                story
                for story in self._truth.alive.values()
                if story.switch is switch and not story.is_talking and not story.is_called_back
            ]
            if waiting and switch.is_running:
                queue = self._chance.choice(("", "", self._climate.queues[0].name))
                self._truth.send(self._chance.choice(waiting), queue, self._clock.now())

    # --- the disk ---

    async def _disk_full(self) -> None:
        self._say("disk-full", "the disk is full")
        self._disk.is_full = True
        try:
            await trio.sleep(self._chance.choice((0.5, 10.0, 60.0)))
        finally:
            self._disk.is_full = False
            self._timeline.add(self._clock.now(), "mishap", "the disk has room again")

    async def _database_locked(self) -> None:
        self._say("database-locked", "another program holds the database")
        self._disk.lock()
        try:
            await trio.sleep(self._chance.choice((0.5, 10.0, 60.0)))
        finally:
            self._disk.unlock()
            self._timeline.add(self._clock.now(), "mishap", "the database is free again")
