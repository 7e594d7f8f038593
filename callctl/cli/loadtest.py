"""`callctl loadtest`: how much this machine carries, and how fast, with invented calls."""

from __future__ import annotations

import json
import math
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
import trio
from attrs import asdict, frozen

from callctl.cli.options import json_option
from callctl.cli.output import progress_bar
from callctl.cli.stage import Stage, open_stage
from callctl.errors import CallctlError
from callctl.logging import quiet
from callctl.model import AgentSettings, QueueSettings
from callctl.sim.people import Caller, Endpoint

QUEUE = QueueSettings(name="caller", ring_timeout=20)

WAIT_SECONDS = 0.005
MOST_WAITS = 12_000
"""A minute without the end of any call is a fault of the test, or of callctl."""

IDLE_QUERY = """
SELECT (julianday(o.offered_at) - julianday(max(c.joined_at, coalesce(b.ended_at, c.joined_at)))) * 86400
FROM offers o
JOIN calls c ON c.id = o.call_id
LEFT JOIN calls b ON b.agent = o.agent AND b.ended_at =
    (SELECT max(p.ended_at) FROM calls p WHERE p.agent = o.agent AND p.ended_at <= o.offered_at)
"""
"""How long a caller and a free agent were there at once before the agent was offered the call."""


@frozen(kw_only=True)
class Latency:
    """How long something took, in milliseconds."""

    p50: float
    p99: float
    max: float


@frozen(kw_only=True)
class Figures:
    """What a load test found."""

    calls: int
    seconds: float
    calls_per_second: float
    most_at_once: int
    handled: int
    errors: int
    wait: Latency
    offer: Latency
    bridge: Latency
    memory_per_call_kib: float


@click.command()
@click.option("--calls", default=1000, show_default=True, type=click.IntRange(1), help="How many call.")
@click.option(
    "--concurrent", default=100, show_default=True, type=click.IntRange(1), help="At most so many at once."
)
@click.option("--rate", default=50.0, show_default=True, type=click.FloatRange(0.1), help="Calls per second.")
@click.option("--agents", default=100, show_default=True, type=click.IntRange(1), help="How many answer.")
@click.option(
    "--switches", default=1, show_default=True, type=click.IntRange(1, 20), help="How many switches."
)
@json_option
def command(calls: int, concurrent: int, rate: float, agents: int, switches: int, as_json: bool) -> None:
    """Measure throughput and latencies with invented calls.

    The real server takes calls from stand-in switches in the same process, so the figures hold for both
    together. Phones ring 0.2 s, talks last one second.

    \b
    Example:
      callctl loadtest --calls 2000 --concurrent 200 --agents 200
    """
    with tempfile.TemporaryDirectory(prefix="callctl-") as folder, quiet():
        database = Path(folder) / "load.db"
        figures = trio.run(_measure, database, calls, concurrent, rate, agents, switches)
    click.echo(json.dumps(asdict(figures)) if as_json else _in_words(figures))


async def _measure(
    database: Path, calls: int, concurrent: int, rate: float, agents: int, switches: int
) -> Figures:
    chance = random.Random(0)
    async with open_stage(database, QUEUE, seed=0, switches=switches) as stage:
        for number in range(agents):
            agent = AgentSettings(name=f"{number:04d}", contact=f"user/{number:04d}")
            stage.hire(agent, QUEUE.name, Endpoint(answer_after=0.2, talk_seconds=1.0))
        memory_before = _memory_kib()
        begun = time.perf_counter()
        most = 0
        with progress_bar() as progress:
            for number in range(calls):
                await _room_for_one(stage, concurrent)
                chance.choice(stage.switches).place_call(Caller(number=f"49{number:07d}"))
                most = max(most, len(stage.server.reception.sessions))
                progress("calls", number + 1, calls)
                await trio.sleep(1 / rate)
            await stage.server.reception.wait_empty()
        seconds = time.perf_counter() - begun
        memory = (_memory_kib() - memory_before) / max(most, 1)
    return _figures(database, calls, seconds, most, memory)


async def _room_for_one(stage: Stage, concurrent: int) -> None:
    for _ in range(MOST_WAITS):
        if len(stage.server.reception.sessions) < concurrent:
            return
        await trio.sleep(WAIT_SECONDS)
    raise CallctlError("the calls do not end: nobody is served any more")


def _figures(database: Path, calls: int, seconds: float, most: int, memory_kib: float) -> Figures:
    with closing(sqlite3.connect(database)) as connection:
        [(found, handled)] = connection.execute("SELECT count(*), sum(outcome = 'handled') FROM calls")

        def column(query: str) -> list[float]:
            return [value for (value,) in connection.execute(query) if value is not None]

        waits = column("SELECT wait_seconds FROM calls WHERE outcome = 'handled'")
        offers = column(IDLE_QUERY)
        bridges = column(
            "SELECT (julianday(bridged_at) - julianday(answered_at)) * 86400 FROM calls"
            " WHERE bridged_at NOTNULL"
        )
    return Figures(
        calls=found,
        seconds=round(seconds, 2),
        calls_per_second=round(found / seconds, 1),
        most_at_once=most,
        handled=handled or 0,
        errors=calls - (handled or 0),
        wait=_latency(waits),
        offer=_latency(offers),
        bridge=_latency(bridges),
        memory_per_call_kib=round(memory_kib, 1),
    )


def _latency(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of `seconds`, in milliseconds; by nearest rank."""
    ordered = sorted(value * 1000 for value in seconds) or [math.nan]

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)

    return Latency(p50=rank(0.5), p99=rank(0.99), max=rank(1.0))


def _memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _in_words(figures: Figures) -> str:
    lines = [
        f"{figures.calls} calls in {figures.seconds:g} s: {figures.calls_per_second:g} a second, "
        f"at most {figures.most_at_once} at once",
        f"{figures.handled} handled, {figures.errors} not; {figures.memory_per_call_kib:g} KiB for each call",
        f"{'':24}{'p50':>10}{'p99':>10}{'max':>10}",
    ]
    for name, latency in (
        ("wait", figures.wait),
        ("free agent to offer", figures.offer),
        ("answer to bridge", figures.bridge),
    ):
        numbers = "".join(f"{value:>7g} ms" for value in (latency.p50, latency.p99, latency.max))
        lines.append(f"{name:24}{numbers}")
    return "\n".join(lines)
