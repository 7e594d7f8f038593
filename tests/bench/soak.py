"""Twenty minutes of calls: memory, tasks, file descriptors and pending rows stay what they are.

All kinds of calls come: most are handled, some callers give up while they wait or while a phone rings. The
server keeps the last 10,000 calls in mind for its metrics, so memory may grow until these have come; what is
compared are the third and the last quarter.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import mean

import click
import trio
from attrs import frozen

from tests.bench import counted
from tests.bench.calls import place_calls
from tests.bench.figures import Figure
from tests.bench.house import Floor, House, open_house
from tests.bench.lean_people import Plan
from tests.bench.subject import Size, json_option, report

RATE = 40.0
"""Calls a second: 48,000 in twenty minutes."""

AGENTS = 80
PLANS = (
    *[Plan(ring_seconds=0.2, talk_seconds=1.0)] * 16,
    Plan(patience=0.1),
    Plan(leaves_ringing=0.1),
    Plan(ring_seconds=0.5, talk_seconds=2.0),
    Plan(ring_seconds=0.2, talk_seconds=0.0),
)

SAMPLES = 80
MIB = 2**20
MEMORY_GOAL_PERCENT = 1.0
"""Less than this in five minutes is what an allocator does by itself."""


@frozen(kw_only=True)
class Sample:
    """How the server stood at one moment."""

    resident_mib: float
    tasks: int
    files: int
    pending_rows: float


async def soak(minutes: float, settle_seconds: float = 3.0) -> list[Figure]:
    """Let calls come for so many minutes, and compare; before and after, the server comes to rest."""
    samples: list[Sample] = []
    async with open_house(Floor(agents=AGENTS), module=counted.__name__) as house:
        await place_calls(house, len(PLANS), RATE, PLANS[0])  # what is made once is made now
        await house.until_over(len(PLANS))
        await trio.sleep(settle_seconds)
        before = await _sample(house)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_take_samples, house, minutes * 60 / SAMPLES, samples)
            placed = len(PLANS)
            while placed < minutes * 60 * RATE:
                for plan in PLANS:
                    await place_calls(house, 1, RATE, plan)
                    placed += 1
            nursery.cancel_scope.cancel()
        await house.until_over(placed)
        await house.until_history_is_whole()
        await trio.sleep(settle_seconds)
        after = await _sample(house)
        faults = await house.faults()
    return _compare(samples, before, after, len(faults))


async def _take_samples(house: House, interval_seconds: float, samples: list[Sample]) -> None:
    while True:
        await trio.sleep(interval_seconds)
        samples.append(await _sample(house))


async def _sample(house: House) -> Sample:
    """Look at the server, and only then ask it, as the question costs it a task and a file descriptor."""
    return Sample(
        resident_mib=house.server.resident_bytes() / MIB,
        tasks=counted.tasks(house.server.folder),
        files=house.server.open_files(),
        pending_rows=await house.server.metric("callctl_store_pending_rows"),
    )


def _compare(samples: list[Sample], before: Sample, after: Sample, faults: int) -> list[Figure]:
    quarters = [samples[part * len(samples) // 4 : (part + 1) * len(samples) // 4] for part in range(4)]
    memory = [mean(sample.resident_mib for sample in quarter) for quarter in quarters]
    return [
        *(
            Figure(what=f"memory, quarter {part}", measured=value, unit="MiB")
            for part, value in enumerate(memory, 1)
        ),
        Figure(
            what="memory, growth from the third quarter to the last",
            measured=(memory[3] / memory[2] - 1) * 100,
            unit="%",
            goal=MEMORY_GOAL_PERCENT,
        ),
        Figure(what="tasks left, with no call there", measured=after.tasks - before.tasks, unit="", goal=0),
        Figure(
            what="file descriptors left, with no call there",
            measured=after.files - before.files,
            unit="",
            goal=0,
        ),
        Figure(what="rows pending at the end", measured=after.pending_rows, unit="", goal=0),
        Figure(what="most rows pending", measured=max(each.pending_rows for each in samples), unit=""),
        Figure(what="errors", measured=faults, unit="", goal=0),
    ]


async def measure(size: Size) -> list[Figure]:
    """Twenty minutes of calls: no growth of memory, tasks, file descriptors and pending rows."""
    return await soak(size.pick(0.01, 1, 20), size.pick(0.1, 3, 3))


@click.command(help=measure.__doc__)
@click.option("--minutes", default=20.0, show_default=True, help="How long calls come.")
@json_option
def _command(minutes: float, json_file: Path | None) -> None:
    report(partial(soak, minutes), json_file)


if __name__ == "__main__":
    _command()
