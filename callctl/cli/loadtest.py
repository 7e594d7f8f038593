"""`callctl loadtest`: how much this machine carries, and how fast, with invented calls."""

from __future__ import annotations

import json
import math
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click
import trio
from attrs import asdict, frozen

from callctl.cli.files import raise_file_limit
from callctl.cli.keepers import DatabaseKeeper, Keeper, ServerKeeper
from callctl.cli.load import NAME, Load, agent, contact
from callctl.cli.options import json_option, whole_config_option
from callctl.cli.output import progress_bar
from callctl.cli.process import (
    POLL_SECONDS,
    READY_SECONDS,
    ServerCost,
    process_behind,
    start_server,
    until_ready,
)
from callctl.cli.stage import free_port
from callctl.cli.target import need_server
from callctl.config import Config
from callctl.config.paths import control_socket
from callctl.config.settings import Address, SwitchSettings
from callctl.errors import AgentExists, CallctlError
from callctl.ids import Ids
from callctl.model import AgentSettings, AgentStatus, Tier
from callctl.sim.dialplan import house_dialplan
from callctl.sim.switch import Switch
from callctl.store.roster import editing

OWN_QUEUE = "caller"


@frozen(kw_only=True)
class Latency:
    """How long something took, in milliseconds."""

    p50: float
    p99: float
    max: float


@frozen(kw_only=True)
class Figures:
    """What a load test found. What the server's process costs is None where nobody may look at it."""

    calls: int
    seconds: float
    calls_per_second: float
    most_at_once: int
    handled: int
    errors: int
    wait: Latency
    offer: Latency
    bridge: Latency
    cpu_per_call_ms: float | None
    memory_per_call_kib: float | None


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
@click.option("--running", is_flag=True, help="Load the running server, in place of its switches.")
@whole_config_option
@json_option
def command(
    config: Config,
    calls: int,
    concurrent: int,
    rate: float,
    agents: int,
    switches: int,
    running: bool,
    as_json: bool,
) -> None:
    """Measure throughput and latencies with invented calls.

    A server in a process of its own, on a temporary database, takes calls from stand-in switches in this
    process. Phones ring 0.2 s, talks last one second. Times are taken on the switch.

    With --running the server of the configuration is loaded instead. The stand-ins then listen where its
    [[freeswitch]] sections point to, which must be on this machine and free, and agents loadtest-… serve
    its default queue until the end. The calls stay in its history, as those of the account loadtest.

    \b
    Example:
      callctl loadtest --calls 2000 --concurrent 200 --agents 200
    """
    raise_file_limit(concurrent)
    plan = _Plan(calls=calls, concurrent=concurrent, rate=rate, agents=agents, switches=switches)
    figures = trio.run(_load_running if running else _load_own, plan, config)
    click.echo(json.dumps(asdict(figures)) if as_json else _in_words(figures))


@frozen(kw_only=True)
class _Plan:
    calls: int
    concurrent: int
    rate: float
    agents: int
    switches: int


async def _load_own(plan: _Plan, _config: Config) -> Figures:
    """Load a server of our own."""
    with tempfile.TemporaryDirectory(prefix="callctl-") as folder:
        database, listen = Path(folder) / "load.db", Address("127.0.0.1", await free_port())
        settings = [
            SwitchSettings(name=f"fs{number + 1}", host="127.0.0.1", port=await free_port())
            for number in range(plan.switches)
        ]
        with editing(database) as connection:
            _hire(DatabaseKeeper(connection, {}), plan.agents, OWN_QUEUE)
        async with (
            _open_switches(settings, listen) as switches,
            start_server(Path(folder), listen, database, settings, 2 * plan.concurrent) as pid,
        ):
            return await _measure(plan, switches, pid, OWN_QUEUE)


async def _load_running(plan: _Plan, config: Config) -> Figures:
    """Load the server that runs, in place of its switches."""
    client = need_server(config)
    if plan.switches > len(config.switches):
        raise CallctlError(f"the configuration has {len(config.switches)} switches, not {plan.switches}")
    queue, keeper = config.server.default_queue, ServerKeeper(client)
    _refuse_to_disturb(keeper, queue)
    async with _open_switches(config.switches[: plan.switches], config.server.listen) as switches:
        click.echo("waiting for the server to log in …", err=True)
        await _until_logged_in(switches)
        await until_ready(client)
        try:
            await trio.to_thread.run_sync(_hire, keeper, plan.agents, queue)
            pid = process_behind(control_socket(config.server.database))
            return await _measure(plan, switches, pid, queue)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_dismiss, keeper)


def _refuse_to_disturb(keeper: Keeper, queue: str) -> None:
    """Raise CallctlError where agents of a person's would be rung: they count as missing calls."""
    known = keeper.roster()
    others = {tier.agent for tier in known.tiers if tier.queue == queue and not _is_ours(tier.agent)}
    present = [
        name
        for name in sorted(others)
        if known.agent(name).status in (AgentStatus.AVAILABLE, AgentStatus.AVAILABLE_ON_DEMAND)
    ]
    if present:
        raise CallctlError(
            f"{', '.join(present[:5])} would be rung in queue {queue}; callctl agent logout them first"
        )


@asynccontextmanager
async def _open_switches(
    settings: Sequence[SwitchSettings], controller: Address
) -> AsyncIterator[Sequence[Switch]]:
    """Run stand-ins where these switches are said to be; raises CallctlError where they cannot be."""
    chance = random.Random(0)
    async with trio.open_nursery() as nursery:
        switches = []
        for each in settings:
            switch = Switch(
                name=each.name,
                password=each.password,
                random=chance,
                ids=Ids(random.Random(chance.random())),
                dialplan=house_dialplan(str(controller)),
            )
            await nursery.start(switch.run)
            try:
                await nursery.start(switch.listen_inbound, each.host, each.port)
            except OSError as error:
                raise CallctlError(
                    f"a stand-in cannot take the place of {each.name} at {each.host}:{each.port}, which must "
                    f"be on this machine and free: {error.strerror or error}"
                ) from error
            switches.append(switch)
        yield switches
        nursery.cancel_scope.cancel()


async def _until_logged_in(switches: Sequence[Switch]) -> None:
    with trio.move_on_after(READY_SECONDS):
        while True:
            if all(switch.statistics().listeners for switch in switches):
                return
            await trio.sleep(POLL_SECONDS)
    raise CallctlError(f"the server did not log in within {READY_SECONDS:g} s")


def _is_ours(name: str) -> bool:
    return name.startswith(f"{NAME}-")


def _hire(keeper: Keeper, agents: int, queue: str) -> None:
    """Let our agents serve `queue`. Those of a test that was killed are taken over."""
    for number in range(agents):
        settings = AgentSettings(name=agent(number), contact=contact(agent(number)))
        try:
            keeper.add_agent(settings)
        except AgentExists:
            keeper.set_agent(settings)
        keeper.put_tier(Tier(queue=queue, agent=settings.name))
        keeper.set_status(settings.name, AgentStatus.AVAILABLE, "", None)


def _dismiss(keeper: Keeper) -> None:
    for record in keeper.roster().agents:
        if _is_ours(record.settings.name):
            keeper.remove_agent(record.settings.name)


async def _measure(plan: _Plan, switches: Sequence[Switch], pid: int | None, queue: str) -> Figures:
    load = Load(switches, plan.agents, queue)
    cost = None if pid is None else ServerCost(pid)
    begun, next_at = time.perf_counter(), trio.current_time()
    async with trio.open_nursery() as nursery:
        if cost is not None:
            nursery.start_soon(cost.watch_memory)
        with progress_bar() as progress:
            for number in range(plan.calls):
                if load.alive >= plan.concurrent:
                    await load.until_at_most(plan.concurrent - 1)
                    next_at = trio.current_time()  # what could not come meanwhile is not made up for
                load.place_call()
                progress("calls", number + 1, plan.calls)
                next_at += 1 / plan.rate
                await trio.sleep_until(next_at)
            await load.until_at_most(0)
        nursery.cancel_scope.cancel()
    seconds = time.perf_counter() - begun
    return Figures(
        calls=plan.calls,
        seconds=round(seconds, 2),
        calls_per_second=round(plan.calls / seconds, 1),
        most_at_once=load.most_at_once,
        handled=load.handled,
        errors=plan.calls - load.handled,
        wait=_latency(load.times.wait),
        offer=_latency(load.times.offer),
        bridge=_latency(load.times.bridge),
        cpu_per_call_ms=None if cost is None else round(cost.cpu_seconds / plan.calls * 1000, 2),
        memory_per_call_kib=None if cost is None else round(cost.memory_bytes / load.most_at_once / 1024, 1),
    )


def _latency(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of `seconds`, in milliseconds; by nearest rank."""
    ordered = sorted(value * 1000 for value in seconds) or [math.nan]

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)

    return Latency(p50=rank(0.5), p99=rank(0.99), max=rank(1.0))


def _in_words(figures: Figures) -> str:
    cpu = "unknown" if figures.cpu_per_call_ms is None else f"{figures.cpu_per_call_ms:g} ms"
    memory = "unknown" if figures.memory_per_call_kib is None else f"{figures.memory_per_call_kib:g} KiB"
    lines = [
        f"{figures.calls} calls in {figures.seconds:g} s: {figures.calls_per_second:g} a second, "
        f"at most {figures.most_at_once} at once; {figures.handled} handled, {figures.errors} not",
        f"of the server for each call: CPU {cpu}, memory {memory}",
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
