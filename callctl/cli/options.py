"""What many commands share: `--config`, `--json`, and how a configuration is read for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from callctl.config import Config, load_config

Function = TypeVar("Function", bound=Callable[..., Any])


def config_option(function: Function) -> Function:
    """Give a command `--config FILE`, read and checked, as its argument `config`."""
    return click.option(
        "--config",
        "config",
        metavar="FILE",
        callback=_read_config,
        help="Configuration file  [default: CALLCTL_CONFIG, ./callctl.toml, /etc/callctl/callctl.toml]",
    )(function)


def json_option(function: Function) -> Function:
    """Give a command `--json`, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def _read_config(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Config | None:
    if ctx.resilient_parsing:  # a shell asks for completions; it needs no configuration
        return None
    return load_config(Path(value) if value is not None else None, os.environ)
