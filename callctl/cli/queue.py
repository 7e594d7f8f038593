"""`callctl queue`: how the queues of a running server stand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from callctl.api.client import path_of
from callctl.cli.options import config_option, json_option, moment
from callctl.cli.output import day_and_time, print_json, print_rows, say
from callctl.cli.target import need_server
from callctl.config import Config
from callctl.errors import StoreError
from callctl.model import AgentState
from callctl.store.reports import By, Selection, report_calls
from callctl.store.schema import open_history

COLUMNS = (
    *("queue", "open", "waiting", "longest_wait", "agents", "free"),
    *("service_level_today", "answered_today"),
)
MEMBER_COLUMNS = ("position", "caller_number", "caller_name", "waited", "score", "state", "offered_to")
AGENT_COLUMNS = ("name", "level", "position", "status", "state", "since", "registered", "why_not_free")

Shape = Mapping[str, Any]


@click.group()
def command() -> None:
    """Show how the queues stand."""


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
