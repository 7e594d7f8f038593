"""`callctl top`: queues, agents and calls of a running server, live in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from attrs import field, frozen
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from callctl.api.client import ControlClient, path_of
from callctl.cli.options import config_option
from callctl.cli.output import clock
from callctl.cli.target import need_server
from callctl.config import Config
from callctl.errors import CallctlError
from callctl.records.printable import printable
from callctl.store.loading import epoch

Shape = Mapping[str, Any]

WORK = ("In a queue call", "Receiving", "Reserved", "Wrap-up", "Waiting", "Idle")
"""The order in which agents stand: who is busy first."""

COLOUR_OF_STATE = {
    "In a queue call": "green",
    "Receiving": "yellow",
    "Reserved": "yellow",
    "Wrap-up": "cyan",
    "Waiting": "bold",
    "Idle": "dim",
}
LINES_AROUND = 3
"""A table's head, and the empty line after it, and one more for what did not fit."""


@frozen
class Snapshot:
    """What a server said at one moment; `at` is that moment, in whole epoch seconds."""

    queues: Sequence[Shape]
    agents: Sequence[Shape]
    calls: Sequence[Shape]
    at: float = field(factory=lambda: float(int(time.time())))

    @classmethod
    def take(cls, client: ControlClient) -> Snapshot:
        """Ask the server; raises CallctlError."""
        return cls(
            client.get(path_of("queues"))["queues"],
            client.get(path_of("agents"))["agents"],
            client.get(path_of("calls"), live="true")["calls"],
        )


@click.command()
@click.option(
    "--every", default=1.0, show_default=True, type=click.FloatRange(0.2), help="Seconds between two looks."
)
@config_option
def command(config: Config, every: float) -> None:
    """Show queues, agents and calls live, until Ctrl-C.

    \b
    Example:
      callctl top --every 2
    """
    if not sys.stdout.isatty():
        raise CallctlError("top needs a terminal; callctl queue list prints once")
    client = need_server(config)
    console = Console()
    shown = Snapshot.take(client)
    # Drawn only when something changed: a slow line would otherwise never catch up.
    with Live(_screen(shown, console.height), console=console, screen=True, auto_refresh=False) as live:
        size = console.size
        try:
            while True:
                time.sleep(every)
                now = Snapshot.take(client)
                if now != shown or console.size != size:
                    shown, size = now, console.size
                    live.update(_screen(now, size.height), refresh=True)
        except KeyboardInterrupt:
            return


def _screen(snapshot: Snapshot, height: int) -> Group:
    """Return what fits into a terminal of so many lines: all queues, then agents and calls alike."""
    rest = max(0, height - len(snapshot.queues) - 3 * LINES_AROUND)
    most_calls = min(len(snapshot.calls), max(rest // 2, rest - len(snapshot.agents)))
    most_agents = rest - most_calls
    agents = _agents(_sorted(snapshot.agents)[:most_agents], snapshot.at)
    return Group(
        _queues(snapshot.queues),
        Text(),
        *_cut(_calls(snapshot.calls[:most_calls]), len(snapshot.calls) - most_calls, "calls"),
        Text(),
        *_cut(agents, len(snapshot.agents) - most_agents, "agents"),
    )


def _cut(table: Table, left_out: int, what: str) -> list[Table | Text]:
    return [table, Text(f"and {left_out} more {what}", style="dim")] if left_out > 0 else [table]


def _queues(queues: Iterable[Shape]) -> Table:
    table = _table("queue", "open", "waiting", "longest", "present", "free")
    for queue in queues:
        is_alarming = queue["waiting"] and not queue["present"]
        table.add_row(
            _cell(queue["name"]),
            _cell("yes") if queue["is_open"] else _cell("closed", style="yellow"),
            _cell(
                str(queue["waiting"]), style="red bold" if is_alarming else "bold" if queue["waiting"] else ""
            ),
            _cell(clock(queue["longest_wait_seconds"]) if queue["waiting"] else ""),
            _cell(queue["present"]),
            _cell(queue["free"]),
        )
    return table


def _calls(calls: Iterable[Shape]) -> Table:
    table = _table("call", "queue", "caller", "state", "agent", "place", "waited")
    for call in calls:
        place = call["place"] or {"position": "", "waited_seconds": None, "offered_to": []}
        agent = call["agent"] or ", ".join(place["offered_to"])
        table.add_row(
            _cell(str(call["uuid"])[:8]),
            _cell(call["queue"]),
            _cell(" ".join(filter(None, (call["caller_name"], call["caller_number"])))),
            _cell(call["state"]),
            _cell(agent),
            _cell(place["position"]),
            _cell(clock(place["waited_seconds"])),
        )
    return table


def _agents(agents: Iterable[Shape], at: float) -> Table:
    """Return the agents at `at`, in epoch seconds; `for` is how long each has been so."""
    table = _table("agent", "status", "state", "for", "reason", "phone", "queues", "calls", "talk", "misses")
    for agent in agents:
        table.add_row(
            _cell(agent["name"]),
            _cell(_status(agent, at)),
            _cell(agent["state"], style=COLOUR_OF_STATE.get(agent["state"], "")),
            _cell(clock(max(0.0, at - epoch(agent["since"])))),
            _cell(agent["reason"]),
            _phone(agent["registered"]),
            _cell(", ".join(agent["tiers"])),
            _cell(agent["calls_answered"]),
            _cell(clock(agent["talk_seconds"])),
            _cell(agent["misses"] or ""),
        )
    return table


def _status(agent: Shape, at: float) -> str:
    """Return what a person chose, and of a timed pause how long it still takes."""
    if not agent["status_until"]:
        return str(agent["status"])
    return f"{agent['status']}, {clock(max(0.0, epoch(agent['status_until']) - at))} left"


def _phone(is_registered: bool | None) -> Text:
    """Say whether a phone is registered; nothing where that cannot be known, as of a number outside."""
    if is_registered is None:
        return Text()
    return Text("yes") if is_registered else Text("away", style="red")


def _sorted(agents: Iterable[Shape]) -> list[Shape]:
    return sorted(agents, key=lambda agent: (WORK.index(agent["state"]), agent["status"], agent["name"]))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="reverse", expand=True, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table


def _cell(text: object, style: str = "") -> Text:
    """Return a cell that shows `text`; what in it could steer a terminal is replaced."""
    return Text(printable(str(text)), style=style)
