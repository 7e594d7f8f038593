"""`callctl agent`: who takes calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import click
from attrs import evolve

from callctl.api.client import path_of
from callctl.cli.keepers import Roster
from callctl.cli.options import (
    config_option,
    json_option,
    number_pairs_option,
    one_line,
    pairs_option,
    valid_name,
)
from callctl.cli.output import clock, day_and_time, print_record, print_rows, say
from callctl.cli.target import edit_roster, need_server, read_roster
from callctl.clock import iso_utc
from callctl.config import Config
from callctl.config.defined import refuse_agent
from callctl.errors import CallctlError
from callctl.model import DEFAULT_ACCOUNT, AgentRecord, AgentSettings, AgentStatus
from callctl.records.accounts import account_complaint, display_name_complaint
from callctl.records.contacts import contact_complaint

COLUMNS = (
    *("name", "account", "status", "state", "since", "until", "reason", "registered", "contact", "queues"),
    *("calls", "talk", "misses"),
)

Function = TypeVar("Function", bound=Callable[..., Any])


def _contact(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a dial string that FreeSWITCH could not take apart; "" is no phone."""
    if value and (complaint := contact_complaint(value)):
        raise click.BadParameter(f"{complaint}, not {value!r}")
    return value


def checked_by(check: Callable[[str], str | None]) -> Callable[..., str | None]:
    """Return the callback of an option whose text must pass `check`."""

    def callback(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and (complaint := check(value)):
            raise click.BadParameter(f"{complaint}, not {value!r}")
        return value

    return callback


def settings_options(function: Function) -> Function:
    """Give a command an option for every setting that an agent has; what is not given is None."""
    options = [
        click.option(
            "--account",
            callback=checked_by(account_complaint),
            help="Whose agent it is; * serves the queues of all.",
        ),
        click.option(
            "--display-name",
            metavar="NAME",
            callback=checked_by(display_name_complaint),
            help="The name that people are shown.",
        ),
        click.option("--contact", metavar="DIAL_STRING", callback=_contact, help="The phone: user/1001"),
        pairs_option(
            "--contact-on",
            "contacts",
            "SWITCH=DIAL_STRING",
            help="The phone on one switch; repeatable.",
            check=_contact,
        ),
        click.option(
            "--max-no-answer", type=click.IntRange(0), help="Missed calls until On Break; 0: never."
        ),
        click.option("--wrap-up-time", type=click.FloatRange(0), help="After-call work, in seconds."),
        click.option(
            "--reject-delay-time", type=click.FloatRange(0), help="Pause after declining, in seconds."
        ),
        click.option("--busy-delay-time", type=click.FloatRange(0), help="Pause after busy, in seconds."),
        click.option(
            "--no-answer-delay-time", type=click.FloatRange(0), help="Pause after a miss, in seconds."
        ),
        number_pairs_option("--skill", "skills", "NAME[=LEVEL]", help="What the agent knows; repeatable."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def status_option(function: Function) -> Function:
    """Give a command `--status` and `--reason`."""
    choice = click.Choice([status.value for status in AgentStatus], case_sensitive=False)
    function = click.option("--reason", callback=one_line, help="Why, for the history: lunch")(function)
    return click.option("--status", type=choice, help="What the agent is to be.")(function)


@click.group()
def command() -> None:
    """List and change the agents."""


@command.command("list")
@click.option("--queue", help="Only those who serve this queue.")
@json_option
@config_option
def list_(config: Config, queue: str | None, as_json: bool) -> None:
    """List the agents.

    \b
    Example:
      callctl agent list --queue caller
    """
    roster = read_roster(config)
    rows = [_row(record, roster) for record in roster.agents]
    if queue is not None:
        rows = [row for row in rows if queue in row["queues"]]
    # Most sites have but one account.
    has_accounts = any(record.settings.account != DEFAULT_ACCOUNT for record in roster.agents)
    columns = [column for column in COLUMNS if has_accounts or column != "account"]
    print_rows(rows if as_json else [_for_people(row) for row in rows], columns, as_json=as_json)


@command.command()
@click.argument("name")
@json_option
@config_option
def show(config: Config, name: str, as_json: bool) -> None:
    """Show everything about one agent.

    \b
    Example:
      callctl agent show 1001
    """
    roster = read_roster(config)
    record = roster.agent(name)
    print_record({**_row(record, roster), **attrs.asdict(record.settings)}, as_json=as_json)


@command.command()
@click.argument("name", callback=valid_name)
@settings_options
@status_option
@config_option
def add(config: Config, name: str, status: str | None, reason: str | None, **settings: Any) -> None:
    """Add an agent.

    \b
    Example:
      callctl agent add 1001 --contact user/1001 --status Available
    """
    with edit_roster(config) as keeper:
        agent = AgentSettings(name=name, **_given(settings))
        _refuse_shared_contact(keeper.roster(), agent)
        keeper.add_agent(agent)
        if status is not None:
            keeper.set_status(name, AgentStatus(status), reason or "", None)
    say(f"agent {name} added, {status or AgentStatus.LOGGED_OUT.value}")


@command.command("set")
@click.argument("name")
@settings_options
@status_option
@config_option
def set_(config: Config, name: str, status: str | None, reason: str | None, **settings: Any) -> None:
    """Change an agent's settings or status; what is not given stays.

    \b
    Example:
      callctl agent set 1001 --status "On Break" --reason lunch
      callctl agent set 1001 --wrap-up-time 10 --contact-on fs2=user/1001
    """
    given = _given(settings)
    if not given and status is None and reason is None:
        raise click.UsageError("nothing to set")
    with edit_roster(config) as keeper:
        record = keeper.roster().agent(name)
        if given:
            refuse_agent(config, name)
            agent = evolve(record.settings, **given)
            _refuse_shared_contact(keeper.roster(), agent)
            keeper.set_agent(agent)
        if status is not None or reason is not None:
            keeper.set_status(name, AgentStatus(status or record.status), reason or "", None)
    say(f"agent {name} changed")


@command.command()
@click.argument("name")
@config_option
def remove(config: Config, name: str) -> None:
    """Remove an agent and its tiers; the history stays.

    \b
    Example:
      callctl agent remove 1001
    """
    refuse_agent(config, name)
    with edit_roster(config) as keeper:
        keeper.remove_agent(name)
    say(f"agent {name} removed")


@command.command()
@click.argument("name")
@click.option("--reason", callback=one_line, help="Why, for the history: lunch")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Then the agent is Available again.")
@config_option
def pause(config: Config, name: str, reason: str | None, minutes: float | None) -> None:
    """Send an agent on break.

    \b
    Example:
      callctl agent pause 1001 --reason lunch --minutes 30
    """
    with edit_roster(config) as keeper:
        seconds = minutes * 60 if minutes is not None else None
        keeper.set_status(name, AgentStatus.ON_BREAK, reason or "", seconds)
    say(f"agent {name} is {AgentStatus.ON_BREAK.value}")


@command.command("wrap-up")
@click.argument("name")
@click.option("--extend", type=click.FloatRange(0, min_open=True), help="Lengthen it by so many seconds.")
@config_option
def wrap_up(config: Config, name: str, extend: float | None) -> None:
    """End an agent's wrap-up, or lengthen it; needs a running server.

    \b
    Example:
      callctl agent wrap-up 1001 --extend 60
    """
    change = {} if extend is None else {"extend_seconds": extend}
    need_server(config).post(path_of("agents", name, "wrap-up"), change)
    say(f"the wrap-up of agent {name} " + ("has ended" if extend is None else f"lasts {extend:g} s more"))


def _status_command(verb: str, status: AgentStatus, summary: str) -> None:
    """Make the command that gives an agent this status."""

    @command.command(verb, help=f"{summary}\n\n\b\nExample:\n  callctl agent {verb} 1001")
    @click.argument("name")
    @config_option
    def change(config: Config, name: str) -> None:
        with edit_roster(config) as keeper:
            keeper.set_status(name, status, "", None)
        say(f"agent {name} is {status.value}")


def _given(settings: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _refuse_shared_contact(roster: Roster, settings: AgentSettings) -> None:
    """Two agents on one phone would both be rung at once."""
    ours = {settings.contact, *settings.contacts.values()} - {""}
    for record in roster.agents:
        other = record.settings
        shared = ours & {other.contact, *other.contacts.values()}
        if other.name != settings.name and shared:
            raise CallctlError(f"{min(shared)} is the contact of agent {other.name} already")


def _row(record: AgentRecord, roster: Roster) -> dict[str, Any]:
    name = record.settings.name
    return {
        "name": name,
        "display_name": record.settings.display_name,
        "account": record.settings.account,
        "status": record.status.value,
        "state": record.state.value,
        "since": roster.since.get(name),
        "until": None if record.status_until is None else iso_utc(record.status_until),
        "reason": record.reason,
        "registered": roster.registered.get(name),
        "contact": record.settings.contact,
        "queues": [tier.queue for tier in roster.tiers if tier.agent == name],
        "calls_answered": record.calls_answered,
        "talk_seconds": record.talk_seconds,
        "misses": record.misses,
    }


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with times to the second, UTC, and the talk time as a duration."""
    return {
        **row,
        "since": day_and_time(row["since"]),
        "until": day_and_time(row["until"]),
        "calls": row["calls_answered"],
        "talk": clock(row["talk_seconds"]),
    }


_status_command("login", AgentStatus.AVAILABLE, "Let an agent take calls.")
_status_command("logout", AgentStatus.LOGGED_OUT, "Let an agent take no more calls.")
_status_command("unpause", AgentStatus.AVAILABLE, "End an agent's break.")
