"""`callctl demo`: the real server at work, with invented callers and agents on a stand-in switch."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import click
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from callctl.cli.stage import Stage, open_stage
from callctl.errors import CallctlError
from callctl.logging import quiet
from callctl.model import AgentSettings, CallState, QueueSettings
from callctl.sim.people import Caller, Endpoint

QUEUE = QueueSettings(name="caller", ring_timeout=3)
"""Phones ring three seconds at most, or the demo would take minutes."""

REFRESH_SECONDS = 0.2

_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Margaret", "Tony")


@click.command()
@click.option("--calls", default=20, show_default=True, type=click.IntRange(1), help="How many call.")
@click.option("--agents", default=5, show_default=True, type=click.IntRange(1), help="How many answer.")
@click.option("--rate", default=2.0, show_default=True, type=click.FloatRange(0.01), help="Calls per second.")
@click.option("--seed", type=int, help="Makes the people behave the same again.")
@click.option("--database", type=click.Path(path_type=Path), help="Where to keep the history.")
def command(calls: int, agents: int, rate: float, seed: int | None, database: Path | None) -> None:
    """Show the real server with invented calls, on this machine alone.

    Callers come in, wait with music, are answered, give up. Nothing needs to be installed but callctl, and
    nothing is left behind but a database to look at.

    \b
    Example:
      callctl demo --calls 50 --agents 8
    """
    if database is not None and database.exists():
        raise CallctlError(f"{database} is there already; give the demo a file of its own")
    database = database or Path(tempfile.mkdtemp(prefix="callctl-")) / "demo.db"
    with quiet():
        trio.run(_play, calls, agents, rate, seed, database)
    _summarise(database, calls)


async def _play(calls: int, agents: int, rate: float, seed: int | None, database: Path) -> None:
    chance = random.Random(seed)
    async with open_stage(database, QUEUE, seed=seed) as stage:
        for number in range(agents):
            agent = AgentSettings(
                name=str(1001 + number), contact=f"user/{1001 + number}", no_answer_delay_time=2
            )
            stage.hire(agent, QUEUE.name, None)
            stage.switch.add_endpoint(agent.contact, lambda: _phone(chance))
        async with _live(stage):
            for number in range(calls):
                stage.switch.place_call(_caller(chance, number))
                await trio.sleep(chance.expovariate(rate))
            await stage.server.reception.wait_empty()


def _phone(chance: random.Random) -> Endpoint:
    """One agent, this time: mostly answers, sometimes is busy, and sometimes is not at the desk."""
    mood = chance.random()
    if mood < 0.05:
        return Endpoint.busy()
    if mood < 0.10:
        return Endpoint.silent()
    return Endpoint(answer_after=chance.uniform(0.3, 1.5), talk_seconds=chance.uniform(1.0, 5.0))


def _caller(chance: random.Random, number: int) -> Caller:
    return Caller(
        number=f"49301{100000 + number}",
        name=chance.choice(_NAMES),
        variables={"account_id": "demo", "lead_number": f"49800{1000 + number}"},
        patience=chance.uniform(2.0, 12.0),
        talk_seconds=chance.uniform(1.5, 6.0),
    )


@asynccontextmanager
async def _live(stage: Stage) -> AsyncIterator[None]:
    """Show the floor while it works: a table on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    # Drawn by a task: the thread that Live would draw by cannot ask for the time.
    with Live(_picture(stage), console=console, transient=True, auto_refresh=False) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_draw, stage, live)
            yield
            nursery.cancel_scope.cancel()


async def _draw(stage: Stage, live: Live) -> None:
    while True:
        live.update(_picture(stage), refresh=True)
        await trio.sleep(REFRESH_SECONDS)


def _picture(stage: Stage) -> Table:
    now = stage.server.clock.now()
    table = Table("call", "caller", "state", "agent", "seconds")
    sessions = sorted(stage.server.reception.sessions.values(), key=lambda s: s.arrival.joined_at)
    for session in sessions:
        record, arrival = session.record, session.arrival
        since = record.bridged_at if record.state is CallState.TALKING else arrival.joined_at
        table.add_row(
            arrival.call[:8],
            f"{arrival.caller_name} {arrival.caller_number}",
            record.state.value,
            record.agent,
            f"{now - (since or now):.1f}",
        )
    return table


def _summarise(database: Path, calls: int) -> None:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = dict(
            connection.execute("SELECT outcome, count(*) FROM calls GROUP BY outcome ORDER BY outcome")
        )
        [(handled_wait,)] = connection.execute(
            "SELECT avg(wait_seconds) FROM calls WHERE outcome = 'handled'"
        )
    table = Table("outcome", "calls")
    for outcome, count in rows.items():
        table.add_row(str(outcome), str(count))
    table.add_row("offered", str(calls), style="bold")
    console = Console()
    console.print(table)
    if handled_wait is not None:
        console.print(f"Answered callers waited {handled_wait:.1f} s on average.")
    console.print("Look at the history:", style="bold")
    console.print(f"  sqlite3 {database} 'SELECT * FROM history LIMIT 20'", soft_wrap=True, highlight=False)
    if None in rows or sum(rows.values()) != calls:
        raise CallctlError(f"the history does not add up: {calls} calls were placed, it knows {rows}")
