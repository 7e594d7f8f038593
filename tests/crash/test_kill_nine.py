"""`kill -9` at random moments, under load: nobody is lost, no place changes, no agent is stuck.

The process is the real one, as are its sockets and its file; the switch is the stand-in, in the test's own
process, and what it saw is the truth that the file is compared with.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio
from attrs import define, field

from callctl.cli.stage import free_port
from callctl.ids import Ids
from callctl.sim.dialplan import house_dialplan
from callctl.sim.switch import Switch
from tests.crash.audit import Known, read, wrongs_of
from tests.crash.load import Load
from tests.crash.patience import until
from tests.crash.process import ServerProcess
from tests.crash.witness import LOOK_SECONDS, Witness

WAITING = 50
TALKING = 20
AGENTS = 28
"""As many as it takes for 20 to talk, while the others ring."""

UNSEEN = "SELECT count(*) AS n FROM calls WHERE reason = 'UNSEEN'"

MUSIC_SECONDS = 1
"""What the dialplan plays between two tries to reach callctl."""


@define
class Figures:
    """How fast callctl was back, each in seconds from the start of the process."""

    serving: list[float] = field(factory=list)
    last_caller_back: list[float] = field(factory=list)
    first_offer: list[float] = field(factory=list)

    def __str__(self) -> str:
        return "; ".join(
            f"{name} p50 {sorted(values)[len(values) // 2]:.2f} max {max(values):.2f} s"
            for name, values in (
                ("serving", self.serving),
                ("last caller back", self.last_caller_back),
                ("first offer", self.first_offer),
            )
            if values
        )


class Run:
    """One run: a full house, killed and started again and again."""

    def __init__(self, switch: Switch, server: ServerProcess, seed: int, impatient_share: float) -> None:
        self.switch = switch
        self.server = server
        self.chance = Random(seed)
        self.witness = Witness(switch)
        self.load = Load(
            switch, self.witness, Random(seed + 1), waiting=WAITING, impatient_share=impatient_share
        )
        self.first_places: dict[str, str] = {}
        self.written_talks: set[str] = set()
        """Who talked, as far as the file said at a kill."""
        self.figures = Figures()
        self._waited: set[str] = set()

    async def look(self) -> None:
        """Look at the agents' legs, again and again."""
        while True:
            kills, back = self.server.killed_at, self.server.serving_at
            is_there = len(back) > len(kills)
            self.witness.look(back[-1] if is_there else float("inf"), kills[-1] if kills else 0.0)
            await trio.sleep(LOOK_SECONDS)

    async def be_full(self) -> None:
        """Wait until as many wait and talk as there should be."""
        witness = self.witness
        await until(lambda: len(witness.waiting()) >= WAITING and len(witness.talking()) >= TALKING)

    async def kill(self) -> None:
        """Kill callctl, note what it had promised, and start it again after a moment."""
        await self.server.kill()
        for row in read(self.server.database, "SELECT uuid, joined_at, bridged_at FROM calls"):
            self.first_places.setdefault(row["uuid"], row["joined_at"])
            if row["bridged_at"] is not None:
                self.written_talks.add(row["uuid"])
        self._waited = {story.uuid for story in self.witness.waiting()}
        await trio.sleep(self.chance.uniform(0.0, 2.0))
        self.server.start()

    async def come_back(self) -> None:
        """Wait until callctl takes calls again, and everybody who waited is back; note how long that took."""
        await self.server.until_serving()
        begun_at = self.server.started_at[-1]
        await until(lambda: not self._away(begun_at) and bool(self._rings_since(begun_at)))
        figures = self.figures
        figures.serving.append(self.server.serving_at[-1] - begun_at)
        figures.last_caller_back.append(max(at for at, _ in self._sockets_since(begun_at)) - begun_at)
        figures.first_offer.append(min(self._rings_since(begun_at)) - begun_at)

    def all_have_served_again(self) -> bool:
        """Say whether every agent was rung since callctl is back."""
        back_at = self.server.serving_at[-1]
        return len({ring.agent for ring in self.witness.rings.values() if ring.began_at > back_at}) == AGENTS

    def _away(self, begun_at: float) -> set[str]:
        """Return who waited at the last kill, and waits still, with no way to callctl yet."""
        waiting = {story.uuid for story in self.witness.waiting()}
        return self._waited & waiting - {uuid for _, uuid in self._sockets_since(begun_at)}

    def _sockets_since(self, at: float) -> list[tuple[float, str]]:
        return [(came, uuid) for came, uuid in self.witness.sockets if came > at and uuid in self._waited]

    def _rings_since(self, at: float) -> list[float]:
        return [ring.began_at for ring in self.witness.rings.values() if ring.began_at > at]


async def endure(folder: Path, *, kills: int, seed: int, impatient_share: float) -> Run:
    """Kill callctl so many times under load, serve everybody, and return what there is to be looked at."""
    chance = Random(seed)
    port = await free_port()
    async with trio.open_nursery() as nursery:
        switch = Switch(
            random=chance,
            ids=Ids(chance),
            dialplan=house_dialplan(f"127.0.0.1:{port}", music_seconds=MUSIC_SECONDS),
        )
        await nursery.start(switch.run)
        switch_port = await nursery.start(switch.listen_inbound)
        server = ServerProcess(folder, port=port, switch_port=switch_port)
        run = Run(switch, server, seed, impatient_share)
        await server.hire(run.load.hire(AGENTS))
        nursery.start_soon(run.load.run)
        try:
            server.start()
            await server.until_serving()
            nursery.start_soon(run.look)
            for _ in range(kills):
                await run.be_full()
                await trio.sleep(run.chance.uniform(0.0, 2.0))
                await run.kill()
                if run.chance.random() < 0.25:
                    # Once more, while it starts or finds out what there is.
                    await trio.sleep(run.chance.uniform(0.0, 1.5))
                    await run.kill()
                await run.come_back()
            await until(run.all_have_served_again)
            run.load.is_open = False
            await until(lambda: not switch.channels(), LOOK_SECONDS)
            await until(lambda: all_agents_are_free(server.database), LOOK_SECONDS)
            assert await server.stop() == 0
        finally:
            server.abandon()
        nursery.cancel_scope.cancel()
    return run


def all_agents_are_free(database: Path) -> bool:
    """Say whether the file says of every agent that it waits for a call."""
    return {row["state"] for row in read(database, "SELECT state FROM agents")} == {"Waiting"}


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("impatient_share", "kills"), [(0.0, 2), (0.3, 1)], ids=["all are patient", "some hang up"]
)
async def test_nobody_is_lost_and_no_place_changes_when_callctl_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config, impatient_share: float, kills: int
) -> None:
    kills = pytestconfig.getoption("--kills") or kills
    run = await endure(tmp_path, kills=kills, seed=kills, impatient_share=impatient_share)
    server, witness = run.server, run.witness
    known = Known(run.first_places, run.written_talks, server.back_after)
    wrongs = [*wrongs_of(server.database, witness, known), *server.complaints()]
    assert wrongs == []
    [[unseen]] = [row.values() for row in read(server.database, UNSEEN)]
    print(
        f"\n{len(server.killed_at)} kills, {len(witness.stories)} callers, 0 lost, 0 places changed,"
        f" 0 agents stuck, {unseen} ended unseen; from the start of the process: {run.figures}"
    )
