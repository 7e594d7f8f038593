"""What many commands share: `--config`, `--json`, and how a configuration is read for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from attrs import frozen

from callctl.acd.check import check_queues
from callctl.api.client import ControlClient
from callctl.config import Config, load_config
from callctl.config.damaged import config_without_file
from callctl.config.paths import control_socket
from callctl.errors import ConfigError
from callctl.records.names import name_complaint
from callctl.records.printable import printable

Function = TypeVar("Function", bound=Callable[..., Any])
TextCheck = Callable[[click.Context, click.Parameter, str | None], str | None]
"""Returns a text that was given, or raises click.BadParameter."""


@frozen
class Moment:
    """A moment as a person gave it: a time, with or without its zone, or a day as people call it.

    `today` and `yesterday` are days of this machine's time zone, as the person who says so lives there. A
    time without a zone is UTC, like those in the database, unless the command is told to use local time.
    """

    at: datetime
    is_local_day: bool = False

    def epoch(self, *, local_time: bool = False) -> float:
        """Return the moment in seconds since the epoch."""
        if self.at.tzinfo is not None or local_time:
            return self.at.timestamp()
        return self.at.replace(tzinfo=UTC).timestamp()


@frozen
class Period:
    """From when to when, in seconds since the epoch, and whether its days are local ones."""

    since: float | None
    until: float | None
    local_time: bool


def period_options(from_help: str, to_help: str) -> Callable[[Function], Function]:
    """Give a command `--from`, `--to` and `--local-time`, as its argument `period`."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def command(since: Moment | None, until: Moment | None, local_time: bool, **arguments: Any) -> object:
            local_time = local_time or any(each and each.is_local_day for each in (since, until))
            begin = None if since is None else since.epoch(local_time=local_time)
            end = None if until is None else until.epoch(local_time=local_time)
            return function(period=Period(begin, end, local_time), **arguments)

        options = (
            click.option("--from", "since", metavar="TIME", type=moment, help=from_help),
            click.option("--to", "until", metavar="TIME", type=moment, help=to_help),
            click.option(
                "--local-time",
                is_flag=True,
                help="Days, hours and times without a zone are this machine's, not UTC; so with today and "
                "yesterday.",
            ),
        )
        for option in reversed(options):
            command = option(command)
        return cast(Function, command)

    return decorate


def moment(text: str) -> Moment:
    """Return the moment that `text` names; raises BadParameter."""
    now = datetime.now().astimezone()
    if text.lower() == "now":
        return Moment(now)
    days = {"today": 0, "yesterday": 1}
    if (ago := days.get(text.lower())) is not None:
        # Without a zone, so that midnight is found anew on a day when the clocks change.
        day = datetime.combine(now.date() - timedelta(days=ago), time())
        return Moment(day.astimezone(), is_local_day=True)
    try:
        return Moment(datetime.fromisoformat(text))
    except ValueError:
        examples = "2026-11-22, 2026-11-22T15:30Z, today or yesterday"
        raise click.BadParameter(f"{text!r} is no time; write {examples}") from None


def config_option(function: Function) -> Function:
    """Give a command `--config FILE`, read and checked, as its argument `config`.

    It is for commands that work on a running server or on the database: the files that hold passwords are not
    read. Where the configuration cannot be used, and a server runs, the command reaches it all the same, with
    a warning; `config` then says where the database is, and nothing else.
    """
    return _config_option(function, _read_config)


def whole_config_option(function: Function) -> Function:
    """Give a command `--config FILE` as `config_option` does, but whole, with passwords, or not at all."""
    return _config_option(function, _read_whole_config)


Read = Callable[[click.Context, click.Parameter, str | None], Config | None]


def _config_option(function: Function, read: Read) -> Function:
    return click.option(
        "--config",
        "config",
        metavar="FILE",
        callback=read,
        help="Configuration file  [default: CALLCTL_CONFIG, ./callctl.toml, /etc/callctl/callctl.toml]",
    )(function)


def json_option(function: Function) -> Function:
    """Give a command `--json`, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def pairs_option(
    flag: str, name: str, metavar: str, help: str, check: TextCheck
) -> Callable[[Function], Function]:
    """Give a command a repeatable `FLAG KEY=VALUE`, as its argument `name`: a mapping, None if not given.

    `check` is the callback that a click option of a single VALUE would have.
    """
    callback = partial(_pairs, check)
    return click.option(flag, name, metavar=metavar, multiple=True, callback=callback, help=help)


def number_pairs_option(flag: str, name: str, metavar: str, help: str) -> Callable[[Function], Function]:
    """Give a command a repeatable `FLAG KEY=NUMBER`; a bare KEY means 1."""
    return click.option(flag, name, metavar=metavar, multiple=True, callback=_number_pairs, help=help)


def valid_name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Refuse a name that no agent and no queue can have."""
    if complaint := name_complaint(value):
        raise click.BadParameter(f"{complaint}, not {value!r}")
    return value


def one_line(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a text that could forge a command on Event Socket."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("must be one line of printable characters")
    return value


def _pairs(
    check: TextCheck, ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, str] | None:
    pairs = {}
    for each in values:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{each!r} is not of the form {parameter.metavar}")
        one_line(ctx, parameter, key)
        check(ctx, parameter, value)
        pairs[key] = value
    return pairs or None


def _number_pairs(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, int] | None:
    numbers = {}
    for each in values:
        key, equals, number = each.partition("=")
        number = number if equals else "1"
        if not key or not number.isdecimal():
            raise click.BadParameter(f"{each!r} is not of the form {parameter.metavar}")
        one_line(ctx, parameter, each)
        numbers[key] = int(number)
    return numbers or None


def _read_whole_config(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Config | None:
    if ctx.resilient_parsing:  # a shell asks for completions; it needs no configuration
        return None
    return checked_config(_path(value))


def _read_config(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Config | None:
    if ctx.resilient_parsing:
        return None
    try:
        return checked_config(_path(value), passwords=False)
    except ConfigError as error:
        config = config_without_file(_path(value), os.environ)
        if not ControlClient(control_socket(config.server.database)).is_served():
            raise
        warning = f"callctl: warning: {error}; the running server goes on with what it read before"
        click.echo(printable(warning), err=True)
        return config


def _path(value: str | None) -> Path | None:
    return Path(value) if value is not None else None


def checked_config(path: Path | None, *, passwords: bool = True) -> Config:
    """Return the configuration, also checked for what only the distributor knows, such as loops of overflows.

    `passwords` is as for `load_config`. Raises ConfigError.
    """
    config = load_config(path, os.environ, passwords=passwords)
    problems = check_queues(config.queues.values())
    if problems:
        raise ConfigError(f"{config.path or 'the environment'}: {'; '.join(problems)}")
    return config
