"""`callctl queue`: how the queues of a running server stand, and changing those that the database has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from callctl.api.client import path_of
from callctl.cli.options import config_option, json_option, moment, valid_name
from callctl.cli.output import day_and_time, print_json, print_rows, say
from callctl.cli.target import edit_roster, need_server
from callctl.config import Config
from callctl.config.convert import EnvironmentText, Places, record, table_of
from callctl.config.defined import refuse_queue
from callctl.errors import CallctlError, StoreError, UnknownQueue
from callctl.model import AgentState, QueueSettings
from callctl.store.reports import By, Selection, report_calls
from callctl.store.schema import open_history

COLUMNS = (
    *("queue", "open", "waiting", "longest_wait", "agents", "free"),
    *("service_level_today", "answered_today"),
)
MEMBER_COLUMNS = ("position", "caller_number", "caller_name", "waited", "score", "state", "offered_to")
AGENT_COLUMNS = ("name", "level", "position", "status", "state", "since", "registered", "why_not_free")

Shape = Mapping[str, Any]


def _settings(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, EnvironmentText]:
    """Take KEY=VALUE apart; what the values must be is asked where the record is made."""
    settings = {}
    for each in values:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{each!r} is not of the form KEY=VALUE")
        settings[key.replace("_", "-")] = EnvironmentText(value)
    return settings


settings_argument = click.argument("settings", metavar="[KEY=VALUE]...", nargs=-1, callback=_settings)


@click.group()
def command() -> None:
    """Show how the queues stand, and add, change and remove queues."""


@command.command("list")
@json_option
@config_option
def list_(config: Config, as_json: bool) -> None:
    """List the queues: who waits, which agents are there, and the service level today (local time).

    \b
    Example:
      callctl queue list
    """
    shapes = need_server(config).get(path_of("queues"))["queues"]
    today = _today(config)
    rows = [{**shape, **today.get(shape["name"], _NO_CALLS)} for shape in shapes]
    if as_json:
        print_json(rows)
    else:
        print_rows([_queue_row(row) for row in rows], COLUMNS, as_json=False)


@command.command()
@click.argument("name")
@json_option
@config_option
def show(config: Config, name: str, as_json: bool) -> None:
    """Show one queue: who waits in it, in order, and who serves it.

    \b
    Example:
      callctl queue show caller
    """
    shape = need_server(config).get(path_of("queues", name))
    shape = {**shape, **_today(config).get(name, _NO_CALLS)}
    if as_json:
        print_json(shape)
        return
    print_rows([_queue_row(shape)], COLUMNS, as_json=False)
    click.echo()
    print_rows([_member_row(member) for member in shape["members"]], MEMBER_COLUMNS, as_json=False)
    click.echo()
    print_rows([_agent_row(agent, name) for agent in shape["serving"]], AGENT_COLUMNS, as_json=False)


@command.command()
@click.argument("name", callback=valid_name)
@settings_argument
@config_option
def add(config: Config, name: str, settings: Mapping[str, str]) -> None:
    """Add a queue, with the keys that a [queue.NAME] has in callctl.toml.

    It is kept in the database, and in force at once where a server runs. Lists are divided by commas; other
    values are written as in callctl.toml.

    \b
    Example:
      callctl queue add sales strategy=round-robin max-wait-time=300
      callctl queue add help account=acme 'overflow=[{ to = "voicemail:1000", waited = 60 }]'
    """
    refuse_queue(config, name)
    with edit_roster(config) as keeper:
        if keeper.queue(name) is not None:
            raise CallctlError(f"there is a queue {name} already; callctl queue set changes it")
        keeper.put_queue(_record(name, settings))
    say(f"queue {name} added")


@command.command("set")
@click.argument("name")
@settings_argument
@config_option
def set_(config: Config, name: str, settings: Mapping[str, str]) -> None:
    """Change a queue; what is not given stays, and no call is touched.

    \b
    Example:
      callctl queue set sales strategy=ring-all ring-timeout=15
    """
    if not settings:
        raise click.UsageError("nothing to set; give KEY=VALUE")
    refuse_queue(config, name)
    with edit_roster(config) as keeper:
        before = keeper.queue(name)
        if before is None:
            raise UnknownQueue(f"there is no queue {name}; callctl queue list names them all")
        keeper.put_queue(_record(name, {**table_of(before, but=("name",)), **settings}))
    say(f"queue {name} changed")


@command.command()
@click.argument("name")
@config_option
def remove(config: Config, name: str) -> None:
    """Remove a queue; who waits in it is served, and the history stays.

    Its tiers stay as well, and hold again when there is such a queue.

    \b
    Example:
      callctl queue remove sales
    """
    refuse_queue(config, name)
    with edit_roster(config) as keeper:
        keeper.remove_queue(name)
    say(f"queue {name} removed")


def _record(name: str, settings: Mapping[str, object]) -> QueueSettings:
    return record(QueueSettings, settings, (), Places(Path()), given={"name": name})


_NO_CALLS: Shape = {"service_level_today": None, "offered_today": 0, "answered_today": 0}


def _today(config: Config) -> Mapping[str, Shape]:
    """Return each queue's figures since midnight, local time, by the thresholds of its configuration.

    Who may use the control socket may not be allowed to read the database, and still sees the queues.
    """
    try:
        with closing(open_history(config.server.database)) as connection:
            today = Selection(since=moment("today").epoch())
            figures = report_calls(connection, today, now=time.time(), by=By.QUEUE)
    except StoreError as error:
        say(f"callctl: warning: no figures of today: {error}", error=True)
        return {}
    return {
        each.group: {
            "service_level_today": each.service_level,
            "offered_today": each.offered,
            "answered_today": each.answered,
        }
        for each in figures
    }


def _queue_row(shape: Shape) -> Shape:
    level = shape["service_level_today"]
    agents = shape["agents"]
    return {
        "queue": shape["name"],
        "open": "removed" if shape["is_removed"] else shape["is_open"],
        "waiting": shape["waiting"],
        "longest_wait": shape["longest_wait_seconds"],
        "agents": {state.value: agents[state.value] for state in AgentState if agents.get(state.value)},
        "free": shape["free"],
        "service_level_today": "" if level is None else f"{level:.1%}",
        "answered_today": f"{shape['answered_today']} of {shape['offered_today']}",
    }


def _member_row(member: Shape) -> Shape:
    return {**member, "waited": member["waited_seconds"]}


def _agent_row(agent: Shape, queue: str) -> Shape:
    return {**agent, **agent["tiers"][queue], "since": day_and_time(agent["since"])}
