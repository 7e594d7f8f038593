"""`callctl config`: what is in force, and where it came from."""

from __future__ import annotations

import click

from callctl.cli.options import whole_config_option
from callctl.config import Config, show_config


@click.group()
def command() -> None:
    """Show the configuration that is in force."""


@command.command()
@whole_config_option
def show(config: Config) -> None:
    """Print what is in force as TOML, each value with where it came from; passwords are masked.

    \b
    Example:
      callctl config show --config /etc/callctl/callctl.toml
    """
    click.echo(show_config(config), nl=False)
