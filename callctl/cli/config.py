"""`callctl config`: what is in force, and where it came from."""

from __future__ import annotations

import sys

import click

from callctl.cli.options import whole_config_option
from callctl.cli.output import say
from callctl.config import Config, show_config
from callctl.errors import CallctlError


@click.group()
def command() -> None:
    """Show the configuration that is in force; hash a password for it."""


@command.command()
@whole_config_option
def show(config: Config) -> None:
    """Print what is in force as TOML, each value with where it came from; passwords are masked.

    \b
    Example:
      callctl config show --config /etc/callctl/callctl.toml
    """
    click.echo(show_config(config), nl=False)


@command.command("hash-password")
def hash_password() -> None:
    """Ask for a password, and print its hash for [http.users]; without a terminal it is the first line.

    \b
    Example:
      callctl config hash-password
    """
    from callctl.api.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, hash_of

    if sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise CallctlError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    click.echo(hash_of(password))
    say('in callctl.toml: [http.users.NAME] password-hash = "…", scope = "supervisor"', error=True)
