"""What many commands share: `--config`, `--json`, and how a configuration is read for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from callctl.acd.check import check_queues
from callctl.api.client import ControlClient
from callctl.config import Config, load_config
from callctl.config.damaged import config_without_file
from callctl.config.paths import control_socket
from callctl.errors import ConfigError
from callctl.records.printable import printable

Function = TypeVar("Function", bound=Callable[..., Any])
TextCheck = Callable[[click.Context, click.Parameter, str | None], str | None]
"""Returns a text that was given, or raises click.BadParameter."""


def time_option(flag: str, name: str, help: str) -> Callable[[Function], Function]:
    """Give a command an option for a moment, as seconds since the epoch; None if it is not given."""
    return click.option(flag, name, metavar="TIME", type=moment, help=help)


def moment(text: str) -> float:
    """Return the moment that `text` names, in seconds since the epoch; without a time zone it is UTC."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    try:
        at = words.get(text.lower()) or datetime.fromisoformat(text)
    except ValueError:
        examples = "2026-11-22, 2026-11-22T15:30Z, today or yesterday"
        raise click.BadParameter(f"{text!r} is no time; write {examples}") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


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
